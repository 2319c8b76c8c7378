import { env } from 'cloudflare:workers';
import { expect } from 'vitest';
import { D1_TIMEOUT_MS, READ_OVERTAKE_MS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { anyOwner } from '../support/no-macs.ts';
import { createQuota } from '../../src/pipeops/quota.ts';
import { newTrace, type Trace } from '../../src/kit/trace.ts';
import { createLabelMemory } from '../../src/subjects/labels.ts';
import { createPace } from '../../src/reads/pace.ts';
import { createReadGroup } from '../../src/reads/group.ts';
import { createKnownSnapshots } from '../../src/reads/snapshot.ts';
import type { ReadTrip, WantedList } from '../../src/reads/trip.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

/** Batches wait until they are let go, and reads run in the background of the request that sends them. */
export function setUp() {
  let nowMs = Date.now();
  /** Of reads, in their order. */
  const deadlines: (() => void)[] = [];
  const batches: {
    size: number;
    letGo: () => void;
    fail: (message?: string) => void;
    hangAfter: () => Promise<void>;
  }[] = [];
  /** Of reads that wait behind a group, in their order: each call is its 8 ms. */
  const patience: (() => void)[] = [];
  /** Times of timers that were called off. */
  const cancelled: number[] = [];
  const jobs: { isOver: boolean }[] = [];
  const sleepers: (() => void)[] = [];
  const db = new Proxy(env.DB, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
      return async (statements: D1PreparedStatement[]) => {
        await new Promise<void>((resolve, reject) =>
          batches.push({
            size: statements.length,
            letGo: resolve,
            fail: (message = 'injected') => reject(new Error(message)),
            // D1 takes it, and nobody hears of it.
            hangAfter: async () => void (await target.batch(statements)),
          }),
        );
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
      if (ms === READ_OVERTAKE_MS) patience.push(call);
      return () => void cancelled.push(ms);
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
  const known = createKnownSnapshots();
  const group = createReadGroup({
    database,
    runtime,
    quota,
    labels: createLabelMemory(),
    owed: { of: () => ({ queries: [], paid: () => {} }) },
    pace: createPace(15_000, quota),
    known,
    owners: anyOwner,
  });
  const read = async (
    workspaceUuid: string,
    wanted: WantedList | null = null,
    changes: Partial<ReadTrip> = {},
    trace: Trace = newTrace(),
  ) => {
    const asks = { workspaceUuid, generation: null, wanted, tokenId: null, inventoryOf: null, isLook: false };
    return await group.send({ ...asks, record: null, ...changes }, trace);
  };
  const advance = (ms: number) => {
    nowMs += ms;
  };
  return { read, batches, jobs, deadlines, patience, cancelled, sleepers, advance, known };
}

/** Batches, or pauses. */
export const begun = async (some: readonly unknown[], count: number) =>
  await expect.poll(() => some.length).toBe(count);
