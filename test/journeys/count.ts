import { afterAll, expect, it } from 'vitest';
import { TOKENS, type Answer } from '../support/harness.ts';
import { createWebhookHarness, type WebhookHarness } from '../revocation/harness.ts';

// How many files of `src` a reader comes by who follows a journey from its request to what it leaves: those of which a function runs
// between the two. `npm run journeys` prints them.

/** What istanbul counts, by file: how often each function was called. */
interface Counters {
  readonly path: string;
  readonly f: Readonly<Record<string, number>>;
}

const JOURNEYS: readonly {
  readonly name: string;
  readonly prepare?: (harness: WebhookHarness) => Promise<string>;
  readonly run: (harness: WebhookHarness, prepared: string) => Promise<Answer>;
  /** By which it comes for certain: a journey that was refused ends before. */
  readonly passes: string;
}[] = [
  {
    name: 'create',
    run: async (h) => await h.send('POST', TOKENS, { body: { name: 'deploy', scopes: ['api:read'] } }),
    passes: 'src/tokens/secret.ts',
  },
  { name: 'list', run: async (h) => await h.send('GET', TOKENS), passes: 'src/pipeops/pages.ts' },
  {
    name: 'leak',
    prepare: async (h) => (await h.mint()).token,
    run: async (h, token) => await h.leak(token),
    passes: 'src/pipeops/client.ts',
  },
  { name: 'query', run: async (h) => await h.send('GET', '/api/v1/audit/events'), passes: 'src/trail/query/page.ts' },
];

const lines: string[] = [];
// oxlint-disable-next-line no-console -- what the command is for
afterAll(() => console.log(lines.join('\n')));

it.each(JOURNEYS)('$name', async ({ name, prepare, run, passes }) => {
  const harness = await createWebhookHarness();
  const prepared = (await prepare?.(harness)) ?? '';
  const before = calls();
  const answer = await run(harness, prepared);
  const after = calls();
  expect([200, 201, 202]).toContain(answer.status);
  const files = [...after].filter(([file, count]) => count > (before.get(file) ?? 0)).map(([file]) => file);
  expect(files).toContain(passes);
  lines.push(`${name}: ${files.length} files`, ...files.toSorted().map((file) => `  ${file}`));
});

/** Calls of functions so far, by file of `src`. */
function calls(): ReadonlyMap<string, number> {
  const inWorker: Record<string, unknown> = globalThis;
  const coverage = inWorker['__VITEST_COVERAGE__'] as Readonly<Record<string, Counters>> | undefined;
  if (coverage === undefined) throw new Error('Nothing counts here. This file is for `npm run journeys`.');
  return new Map(
    Object.values(coverage).map(({ path, f }) => [
      path.slice(path.indexOf('/src/') + 1),
      Object.values(f).reduce((sum, count) => sum + count, 0),
    ]),
  );
}
