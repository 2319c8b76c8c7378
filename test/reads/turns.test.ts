import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { D1_TIMEOUT_MS, READ_FLUSH_MAX_MS, READ_LEAD_MAX_GROUPS, READ_LEAD_MAX_MS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { createQuota } from '../../src/pipeops/quota.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { createLabelMemory } from '../../src/subjects/labels.ts';
import { createPace } from '../../src/reads/pace.ts';
import { createReadGroup } from '../../src/reads/group.ts';
import { createKnownSnapshots } from '../../src/reads/snapshot.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

// Which request sends the trips of reads that came while a batch was under way.

/** Batches wait until they are let go, and reads run in the background of the request that sends them. */
function setUp() {
  let nowMs = Date.now();
  /** Of reads, in their order. */
  const deadlines: (() => void)[] = [];
  const batches: { size: number; letGo: () => void }[] = [];
  const jobs: { isOver: boolean }[] = [];
  const sleepers: (() => void)[] = [];
  const db = new Proxy(env.DB, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
      return async (statements: D1PreparedStatement[]) => {
        await new Promise<void>((resolve) => batches.push({ size: statements.length, letGo: resolve }));
        return await target.batch(statements);
      };
    },
  });
  const runtime = {
    ...workerRuntime,
    now: () => nowMs,
    timeout: () => new AbortController().signal,
    after: (ms: number, call: () => void) => {
      if (ms === D1_TIMEOUT_MS) deadlines.push(call);
      return () => {};
    },
    // Nobody's patience ends by itself.
    sleep: async () => await new Promise<void>((resolve) => sleepers.push(resolve)),
    background: (work: Promise<unknown>) => {
      const job = { isOver: false };
      jobs.push(job);
      void work.finally(() => {
        job.isOver = true;
      });
    },
  };
  const database = createDatabase(db, runtime);
  const quota = createQuota();
  const group = createReadGroup({
    database,
    runtime,
    quota,
    labels: createLabelMemory(),
    owed: { of: () => ({ queries: [], paid: () => {} }) },
    pace: createPace(15_000, quota),
    known: createKnownSnapshots(),
  });
  const read = async (workspaceUuid: string) =>
    await group.send(
      { workspaceUuid, generation: null, wanted: null, tokenId: null, inventoryOf: null, isLook: false, record: null },
      newTrace(),
    );
  const advance = (ms: number) => {
    nowMs += ms;
  };
  return { read, batches, jobs, deadlines, sleepers, advance };
}

/** Batches, or pauses. */
const begun = async (some: readonly unknown[], count: number) => await expect.poll(() => some.length).toBe(count);

it('a request that sent for others long enough hands that to one that waits: Workers would end it in the middle', async () => {
  const { read, batches, jobs, sleepers, advance } = setUp();
  const first = read('w-1');
  await begun(batches, 1);
  const others = [read('w-2'), read('w-3')];

  advance(READ_LEAD_MAX_MS);
  batches[0]?.letGo();
  expect(await first).toMatchObject({ ok: true });
  await begun(batches, 2);

  expect(jobs).toEqual([{ isOver: true }, { isOver: false }]);
  batches[1]?.letGo();
  expect(await Promise.all(others)).toMatchObject([{ ok: true }, { ok: true }]);
  await begun(sleepers, 1);
  sleepers[0]?.();
  await expect.poll(() => jobs).toEqual([{ isOver: true }, { isOver: true }]);
});

it('a read whose group died with another request gives up at its deadline, and the next one sends again', async () => {
  const { read, batches, deadlines, advance } = setUp();
  void read('w-1');
  await begun(batches, 1);
  const joined = read('w-2');
  await begun(deadlines, 2);

  deadlines[1]?.();
  expect(await joined).toEqual({ ok: false, error: { kind: 'audit_unavailable' } });

  advance(READ_FLUSH_MAX_MS + 1);
  const next = read('w-3');
  await begun(batches, 2);
  batches[1]?.letGo();
  expect(await next).toMatchObject({ ok: true });
});

it('so does one that sent many groups: D1 takes a thousand queries of a request', async () => {
  const { read, batches, jobs } = setUp();
  let waiting = read('w-0');
  for (let group = 1; group <= READ_LEAD_MAX_GROUPS; group += 1) {
    await begun(batches, group);
    const next = read(`w-${group}`);
    batches[group - 1]?.letGo();
    expect(await waiting).toMatchObject({ ok: true });
    waiting = next;
  }
  await begun(batches, READ_LEAD_MAX_GROUPS + 1);
  expect(jobs).toEqual([{ isOver: true }, { isOver: false }]);
  batches.at(-1)?.letGo();
  expect(await waiting).toMatchObject({ ok: true });
});

it('after a group of several, the next one is sent when as many have come again: one trip for all of them', async () => {
  const { read, batches } = setUp();
  const first = read('w-1');
  await begun(batches, 1);
  const pair = [read('w-2'), read('w-3')];
  batches[0]?.letGo();
  await first;
  await begun(batches, 2);
  batches[1]?.letGo();
  await Promise.all(pair);

  const again = [read('w-4'), read('w-5')];
  await begun(batches, 3);
  batches[2]?.letGo();
  expect(await Promise.all(again)).toMatchObject([{ ok: true }, { ok: true }]);
});

it('one that comes again alone is sent when patience is over', async () => {
  const { read, batches, sleepers } = setUp();
  const first = read('w-1');
  await begun(batches, 1);
  const pair = [read('w-2'), read('w-3')];
  batches[0]?.letGo();
  await first;
  await begun(batches, 2);
  batches[1]?.letGo();
  await Promise.all(pair);
  await begun(sleepers, 1);

  const alone = read('w-4');
  sleepers[0]?.();
  await begun(batches, 3);
  batches[2]?.letGo();
  expect(await alone).toMatchObject({ ok: true });
});
