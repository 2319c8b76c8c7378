import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { D1_TIMEOUT_MS, READ_FLUSH_MAX_MS, READ_LEAD_MAX_GROUPS, READ_LEAD_MAX_MS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { createQuota } from '../../src/pipeops/quota.ts';
import { newTrace } from '../../src/request-context.ts';
import { createReadGroup } from '../../src/snapshot/read-group.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

// Which request sends the trips of reads that came while a batch was under way.

/** Batches wait until they are let go, and reads run in the background of the request that sends them. */
function setUp() {
  let nowMs = Date.now();
  const deadlines: AbortController[] = [];
  const batches: { size: number; letGo: () => void }[] = [];
  const jobs: { isOver: boolean }[] = [];
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
    timeout: (ms: number) => {
      const controller = new AbortController();
      if (ms === D1_TIMEOUT_MS) deadlines.push(controller);
      return controller.signal;
    },
    background: (work: Promise<unknown>) => {
      const job = { isOver: false };
      jobs.push(job);
      void work.finally(() => {
        job.isOver = true;
      });
    },
  };
  const group = createReadGroup(createDatabase(db, runtime), runtime, createQuota());
  const read = async (workspaceUuid: string) =>
    await group.send({ workspaceUuid, held: null, minBegunMs: null, isShared: true, record: null }, newTrace());
  const advance = (ms: number) => {
    nowMs += ms;
  };
  return { read, batches, jobs, deadlines, advance };
}

const begun = async (batches: readonly unknown[], count: number) => await expect.poll(() => batches.length).toBe(count);

it('a request that sent for others long enough hands that to one that waits: Workers would end it in the middle', async () => {
  const { read, batches, jobs, advance } = setUp();
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
  await expect.poll(() => jobs).toEqual([{ isOver: true }, { isOver: true }]);
});

it('a read whose group died with another request gives up at its deadline, and the next one sends again', async () => {
  const { read, batches, deadlines, advance } = setUp();
  void read('w-1');
  await begun(batches, 1);
  const joined = read('w-2');
  await expect.poll(() => deadlines.length).toBe(3);

  for (const deadline of deadlines.slice(2)) deadline.abort();
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
