import { createHarness, TOKENS, type Answer, type Harness, type HarnessOptions } from '../support/harness.ts';

/** A company of several isolates on one D1 and one clock, with snapshots as they are by default. */
export async function createCompany(options: HarnessOptions = {}) {
  let skewMs = 0;
  const now = (): number => Date.now() + skewMs;
  const snapshots = { SNAPSHOT_MAX_AGE_SECONDS: '15' };
  const isolate = async (more: HarnessOptions = {}): Promise<Harness> =>
    await createHarness({
      ...options,
      ...more,
      env: { ...snapshots, ...options.env, ...more.env },
      runtime: { now, ...options.runtime, ...more.runtime },
    });
  const first = await isolate();
  return {
    first,
    another: async (more: HarnessOptions = {}) => await isolate({ like: first, ...more }),
    age: (seconds: number): void => {
      skewMs += seconds * 1000;
    },
  };
}

/** By the clock of the isolate. */
export async function jwtNow(isolate: Harness, role = 'admin', claims: Record<string, unknown> = {}): Promise<string> {
  const iat = Math.floor(isolate.runtime.now() / 1000);
  return await isolate.jwtFor(role, { iat, exp: iat + 300, ...claims });
}

export const list = async (isolate: Harness, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  await isolate.send('GET', TOKENS, { headers, jwt: await jwtNow(isolate) });

export const namesIn = (answer: Answer): string[] =>
  (answer.body.data.tokens as { name: string }[]).map(({ name }) => name).toSorted();

/** How often PipeOps was asked for a list or a token since `begin`. */
export const readsAt = async (isolate: Harness): Promise<string[]> =>
  (await isolate.upstream()).filter(({ method }) => method === 'GET').map(({ path }) => path);

/** What the log says of the last request. */
export const lastLine = (isolate: Harness) => isolate.lines.findLast(({ event }) => event === 'request');
