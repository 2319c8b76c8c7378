import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { SETTLE_MAX_ATTEMPTS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { createOwedGenerations } from '../../src/reads/generation.ts';
import { createSnapshotMemory } from '../../src/reads/snapshot.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { clearOrders } from '../revocation/harness.ts';
import { tokenList } from '../support/upstream-token.ts';

// A change whose outcome nobody recorded: no list from before is served, though D1 did not take the raised generation.

const SNAPSHOTS = { SNAPSHOT_MAX_AGE_SECONDS: '300' };

beforeEach(clearOrders);

/** An isolate with a D1 whose batches can be made to fail, and that holds a list. */
async function rig() {
  let fails: (batch: number) => boolean = () => false;
  let batches = 0;
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
      return async (statements: D1PreparedStatement[]) => {
        batches += 1;
        if (fails(batches)) throw new Error('injected: D1 is down');
        return await target.batch(statements);
      };
    },
  });
  const harness = await createHarness({ db, env: SNAPSHOTS, runtime: { sleep: async () => {} } });
  const { id } = await harness.mint();
  await names(harness);
  return {
    harness,
    id,
    /** Counted from the next batch on. */
    failing: (which: typeof fails) => {
      batches = 0;
      fails = which;
    },
  };
}

const names = async (h: Harness): Promise<readonly string[]> =>
  (await h.send('GET', TOKENS)).body.data.tokens.map(({ name }: { name: string }) => name);
const patches = (h: Harness) => ({ workspace_uuid: h.workspace, method: 'PATCH' });
const generation = async (h: Harness): Promise<number | null> =>
  await env.DB.prepare('select generation from workspaces where workspace_uuid = ?')
    .bind(h.workspace)
    .first<number>('generation');
const TRIP_1 = 1;

describe.each([
  ['of which PipeOps lost the answer', { drop: 'after_commit', times: 2 }, 504],
  ['that PipeOps refused after all', { status: 422, commit: true }, 503],
  ['that PipeOps answered', null, 504],
] as const)('a rename %s', (_case, fault, status) => {
  it('is in the very next list, though D1 took nothing after its attempt', async () => {
    const { harness, id, failing } = await rig();
    if (fault !== null) await harness.control.fault({ ...fault, match: patches(harness) });
    failing((batch) => batch > TRIP_1);
    const answer = await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' } });
    expect(answer.status, answer.text).toBe(status);
    failing(() => false);
    expect(await names(harness)).toEqual(['renamed']);
  });
});

it('D1 is asked again before anything is owed', async () => {
  const { harness, id, failing } = await rig();
  const before = await generation(harness);
  await harness.control.fault({ drop: 'after_commit', times: 2, match: patches(harness) });
  failing((batch) => batch > TRIP_1 && batch < TRIP_1 + SETTLE_MAX_ATTEMPTS);
  expect((await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' } })).status).toBe(504);
  expect(await generation(harness)).toBe((before ?? 0) + 1);
  expect(await names(harness)).toEqual(['renamed']);
  expect(await generation(harness)).toBe((before ?? 0) + 1);
});

it('what is owed is paid once, by a batch that D1 answers, and is of one workspace', async () => {
  const { harness, id, failing } = await rig();
  const elsewhere = `${TOKENS}?workspace_uuid=${crypto.randomUUID()}`;
  await harness.control.fault({ drop: 'after_commit', times: 2, match: patches(harness) });
  failing((batch) => batch > TRIP_1);
  await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' } });
  const before = await generation(harness);
  // A read that D1 does not take is not answered, and pays nothing.
  expect((await harness.send('GET', TOKENS)).status).toBe(503);
  failing(() => false);
  await harness.send('GET', elsewhere);
  expect(await generation(harness)).toBe(before);
  for (const _ of [1, 2, 3]) expect(await names(harness)).toEqual(['renamed']);
  expect(await generation(harness)).toBe((before ?? 0) + 1);
});

it('the list of another isolate is no way round it', async () => {
  const { harness, id, failing } = await rig();
  const other = await createHarness({ like: harness, env: SNAPSHOTS });
  await names(other);
  await harness.control.fault({ drop: 'after_commit', times: 2, match: patches(harness) });
  failing((batch) => batch > TRIP_1);
  await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' } });
  failing(() => false);
  expect(await names(harness)).toEqual(['renamed']);
  expect(await names(other)).toEqual(['renamed']);
});

it('a token that was withheld, of which D1 took nothing, is in the next list as it is', async () => {
  const { harness, failing } = await rig();
  failing((batch) => batch > TRIP_1);
  expect((await harness.send('POST', TOKENS, { body: { name: 'new', scopes: ['api:read'] } })).status).toBe(503);
  const before = (await harness.upstream()).filter(({ method }) => method === 'GET').length;
  failing(() => false);
  expect((await harness.send('GET', TOKENS)).body.data.tokens).toMatchObject([
    { name: 'deploy', is_revoked: false },
    { name: 'new', is_revoked: true },
  ]);
  expect((await harness.upstream()).filter(({ method }) => method === 'GET')).toHaveLength(before + 1);
});

it('the list that this isolate holds is forgotten at once, and those of other workspaces are not', () => {
  const memory = createSnapshotMemory();
  const list = { list: tokenList([]), generation: 1, begunAtMs: 1 };
  for (const workspace of ['here', 'elsewhere']) memory.put(workspace, list);
  createOwedGenerations(createDatabase(env.DB, workerRuntime), memory).owe('here');
  expect([memory.get('here', 0), memory.get('elsewhere', 0)]).toEqual([null, list]);
});
