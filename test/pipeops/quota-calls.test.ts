import { env } from 'cloudflare:workers';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { createDatabase } from '../../src/db/database.ts';
import {
  addCalls,
  bucketsAt,
  forgetCalls,
  countGranted,
  reserveCalls,
  selectCalls,
  usedCalls,
  whenFree,
  type CallBucket,
} from '../../src/pipeops/quota-calls.ts';
import { createQuota, type Quota } from '../../src/pipeops/quota.ts';
import { DEFAULT_QUOTA, mostCalls, type WindowCalls, type Purpose } from '../../src/pipeops/quota-windows.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { NOW_MS } from './scripted-pipeops.ts';

// How calls to PipeOps are reserved in D1. These tests use a real D1.

const database = createDatabase(env.DB, { ...workerRuntime, log: () => {} });
const context = { trace: newTrace() };
beforeEach(async () => {
  await env.DB.prepare('delete from upstream_calls').run();
});

const ALL: WindowCalls = DEFAULT_QUOTA;
const reserve = async (calls: number, nowMs: number, most: WindowCalls = ALL): Promise<number> => {
  const queries = [selectCalls(database, nowMs), reserveCalls(database, calls, most, most, nowMs)] as const;
  const reserved = await database.batch(context, queries);
  if (!reserved.ok) throw new Error(reserved.error);
  return countGranted(reserved.value[0], most, calls);
};
const read = async (nowMs: number): Promise<readonly CallBucket[]> => {
  const buckets = await database.batch(context, [selectCalls(database, nowMs)] as const);
  if (!buckets.ok) throw new Error(buckets.error);
  return buckets.value[0];
};
const seconds = (count: number): number => NOW_MS + count * 1000;
const minutes = (count: number): number => seconds(count * 60);

describe('a reservation', () => {
  it('is what is left of the window that has less', async () => {
    expect(await reserve(60, NOW_MS)).toBe(60);
    expect(await reserve(60, NOW_MS)).toBe(40);
    expect(await reserve(1, NOW_MS)).toBe(0);
    expect(usedCalls(await read(NOW_MS), 'minute')).toBe(100);
    expect(usedCalls(await read(NOW_MS), 'hour')).toBe(100);
  });

  it.each([
    ['in the twelve buckets after its own', 64_999, 0],
    ['no longer', 65_000, 100],
  ])('of a minute counts %s', async (_name, laterMs, granted) => {
    await reserve(100, NOW_MS);
    expect(await reserve(100, NOW_MS + laterMs)).toBe(granted);
  });

  it('of an hour counts for an hour and five minutes', async () => {
    for (let minute = 0; minute < 20; minute += 2) expect(await reserve(100, minutes(minute))).toBe(100);
    expect(await reserve(1, minutes(22))).toBe(0);
    expect(await reserve(1, minutes(65) - 1)).toBe(0);
    expect(await reserve(1_000, minutes(65))).toBe(100);
  });

  it.each([
    [0, 0],
    [-3, 0],
  ])('of %i calls is none', async (calls, granted) => {
    expect(await reserve(calls, NOW_MS)).toBe(granted);
    expect(await read(NOW_MS)).toEqual([]);
  });

  it('sees what a clock has noted that is a little ahead, and not what is far ahead', async () => {
    await reserve(100, seconds(30));
    expect(await reserve(1, NOW_MS)).toBe(0);
    await env.DB.prepare('delete from upstream_calls').run();
    await reserve(100, minutes(600));
    expect(await reserve(100, NOW_MS)).toBe(100);
  });

  it('writes two rows at the most, and reads only the rows that count', async () => {
    const times = Array.from({ length: 800 }, (_, index) => seconds(index * 5));
    const added = times.map((atMs) => addCalls(database, bucketsAt(atMs), 1));
    for (let first = 0; first < added.length; first += 100) {
      expect(await database.batch(context, added.slice(first, first + 100))).toMatchObject({ ok: true });
    }
    const nowMs = seconds(4_000);
    const { sql, params } = reserveCalls(database, 1, ALL, ALL, nowMs).toSQL();
    const { meta } = await env.DB.prepare(sql)
      .bind(...params)
      .run();
    expect(meta.rows_written).toBeLessThanOrEqual(2);
    expect(meta.rows_read).toBeLessThanOrEqual(60);
  });
});

it('the calls of any minute and of any hour, wherever they begin, are within their limits', async () => {
  const steps = fc.array(
    fc.record({ afterMs: fc.integer({ min: 0, max: 20_000 }), calls: fc.integer({ min: 1, max: 40 }) }),
    { minLength: 1, maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 0, max: 4_999 }), async (asked, startMs) => {
      await env.DB.prepare('delete from upstream_calls').run();
      const sent: number[] = [];
      let nowMs = NOW_MS + startMs;
      for (const { afterMs, calls } of asked) {
        nowMs += afterMs;
        const granted = await reserve(calls, nowMs, { minute: 100, hour: 300 });
        sent.push(...Array.from({ length: granted }, () => nowMs));
      }
      for (const beginMs of sent) {
        const within = (lengthMs: number) => sent.filter((ms) => ms >= beginMs && ms < beginMs + lengthMs).length;
        expect(within(60_000)).toBeLessThanOrEqual(100);
        expect(within(3_600_000)).toBeLessThanOrEqual(300);
      }
    }),
    { numRuns: 15 },
  );
}, 20_000);

it('no two reservations that are made at once take one call', async () => {
  const granted = await Promise.all(Array.from({ length: 50 }, async () => await reserve(3, NOW_MS)));
  expect(granted.reduce((sum, calls) => sum + calls, 0)).toBe(100);
});

describe('when calls are free again', () => {
  const bucket = (span: 'minute' | 'hour', secondsAgo: number, calls: number): CallBucket => ({
    span,
    bucket: Math.floor((NOW_MS - secondsAgo * 1000) / (span === 'minute' ? 5_000 : 300_000)),
    calls,
  });
  it.each([
    ['at once', [], 1, 0],
    ['at once, with one left', [bucket('minute', 20, 99)], 1, 0],
    ['when the bucket of the first leaves', [bucket('minute', 20, 100)], 1, 45],
    ['when enough of them have left', [bucket('minute', 20, 60), bucket('minute', 10, 40)], 61, 55],
    ['when the hour has room, where that is later', [bucket('minute', 20, 100), bucket('hour', 600, 1_000)], 1, 3_300],
    ['when the last has left, at the latest', [bucket('minute', 0, 100)], 1_000, 65],
  ] as const)('%s', (_name, buckets, calls, afterSeconds) => {
    expect(whenFree(buckets, ALL, calls, NOW_MS).atMs).toBe(seconds(afterSeconds));
  });
});

describe('the share that each purpose leaves to the next', () => {
  it.each([
    ['read', 70, 800],
    ['change', 90, 900],
    ['reconciliation', 95, 950],
    ['revocation', 100, 1_000],
  ] as const)('leaves %s %i calls a minute and %i an hour', (purpose, minute, hour) => {
    expect(mostCalls('minute', purpose, 100)).toBe(minute);
    expect(mostCalls('hour', purpose, 1_000)).toBe(hour);
  });

  it.each([10, 11, 37, 100, 999])('leaves more to each that is more urgent, of %i calls too', (limit) => {
    const most = (['read', 'change', 'reconciliation', 'revocation'] as const).map((purpose) =>
      mostCalls('minute', purpose, limit),
    );
    expect(most).toEqual(most.toSorted((a, b) => a - b));
    expect(most[0]).toBeGreaterThan(0);
    expect(most[1]).toBeLessThan(limit);
    expect(most[3]).toBe(limit);
  });

  const granted = async (quota: Quota, purpose: Purpose, calls: number, nowMs = NOW_MS) => {
    const reservation = quota.reserve(database, purpose, calls, nowMs);
    const reserved = await database.batch(context, reservation.queries);
    if (!reserved.ok) throw new Error(reserved.error);
    return reservation.grant(reserved.value[0]);
  };

  it('is there when it is needed, without any header of PipeOps', async () => {
    const quota = createQuota();
    expect(await granted(quota, 'read', 100)).toMatchObject({ calls: 70, refusal: { retryAfterSeconds: 65 } });
    expect(await granted(quota, 'change', 100)).toMatchObject({ calls: 20 });
    expect(await granted(quota, 'reconciliation', 100)).toMatchObject({ calls: 5 });
    expect(await granted(quota, 'revocation', 5)).toMatchObject({ calls: 5, refusal: null });
    expect(await granted(quota, 'revocation', 1)).toMatchObject({ calls: 0 });
  });

  it.each([
    ['lower', '50', 45],
    ['higher', '300', 270],
    ['that is none', '3', 90],
  ])('is of a limit that headers tell, where that is %s', async (_name, limit, changes) => {
    const quota = createQuota();
    const headers = new Headers({ 'X-RateLimit-Limit': limit, 'X-RateLimit-Remaining': limit });
    quota.note({ status: 200, headers }, 'ws-1', NOW_MS);
    expect((await granted(quota, 'change', 1_000)).calls).toBe(changes);
  });

  it('is given back where no call was sent, and added where one was sent without being reserved', async () => {
    const quota = createQuota();
    const reserved = quota.reservedCalls();
    reserved.add(await granted(quota, 'change', 5));
    expect([reserved.take(), reserved.take()]).toEqual([true, true]);
    reserved.end();
    expect(reserved.take()).toBe(false);
    quota.countLater(NOW_MS);
    await database.batch(context, quota.news(database, seconds(3)));
    expect(usedCalls(await read(NOW_MS), 'minute')).toBe(3);
    expect(quota.news(database, seconds(3))).toEqual([]);
  });
});

it('buckets that count no more are erased, and so are those of a clock that was far ahead', async () => {
  for (const at of [minutes(-100), minutes(-2), NOW_MS, minutes(200)]) await reserve(1, at);
  await database.batch(context, [forgetCalls(database, NOW_MS)]);
  const { results } = await env.DB.prepare('select span, count(*) as rows from upstream_calls group by span').all();
  expect(results).toEqual([
    { span: 'hour', rows: 2 },
    { span: 'minute', rows: 1 },
  ]);
});
