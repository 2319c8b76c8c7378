import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { FORBIDDEN_WORKSPACE_MS, UPSTREAM_TIMEOUT_MS, UPSTREAM_WAIT_DEFAULT_MS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { selectQuotaNews, type QuotaNews } from '../../src/pipeops/quota-news.ts';
import { createQuota, type Quota } from '../../src/pipeops/quota.ts';
import type { Purpose } from '../../src/pipeops/quota-windows.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { json, patientCall, callWith, REF, RUNTIME, API_URL, CREATE, NOW_MS, UNHEARD } from './scripted-pipeops.ts';
import { createAdmission } from '../../src/pipeops/quota-calls.ts';
import { createPipeOps } from '../../src/pipeops/client.ts';
import { createCredentials } from '../../src/pipeops/credentials.ts';

// What PipeOps' answers, and other isolates, tell of its limits; and what may be sent then.

const WS = 'ws-1';
const database = createDatabase(env.DB, { ...workerRuntime, now: () => NOW_MS, log: () => {} });
const seconds = (count: number): number => NOW_MS + count * 1000;

const headers = (limit: number, remaining: number, reset: number | null, more: Record<string, string> = {}) => ({
  'X-RateLimit-Limit': String(limit),
  'X-RateLimit-Remaining': String(remaining),
  ...(reset !== null && { 'X-RateLimit-Reset': String(reset) }),
  ...more,
});
const answer = (status: number, all: Record<string, string> = {}) => ({ status, headers: new Headers(all) });
const noted = (status: number, all: Record<string, string> = {}, nowMs = NOW_MS, quota = createQuota()): Quota => {
  quota.note(answer(status, all), WS, nowMs);
  return quota;
};
const MINUTE_END = NOW_MS / 1000 + 60;
const HOUR_END = NOW_MS / 1000 + 3_600;
const limited = (retryAfterSeconds: number): unknown =>
  expect.objectContaining({ kind: 'upstream_rate_limited', status: 429, retryAfterSeconds });
const permits = (quota: Quota, nowMs = NOW_MS) =>
  (['change', 'revocation'] as const).map((purpose: Purpose) => quota.permit(purpose, WS, nowMs));

describe('a 429', () => {
  it.each([
    [{ 'Retry-After': '90' }, 90],
    [{ 'Retry-After': 'Tue, 24 Nov 2026 12:00:05 GMT' }, 5],
    [{ 'Retry-After': '999999' }, 3_600],
    [{}, UPSTREAM_WAIT_DEFAULT_MS / 1000],
    [{ 'Retry-After': 'soon' }, UPSTREAM_WAIT_DEFAULT_MS / 1000],
  ])('with %j stops everything for %i s, to the millisecond', (all, wait) => {
    const quota = noted(429, all);
    expect(permits(quota)).toEqual([limited(wait), limited(wait)]);
    expect(permits(quota, seconds(wait) - 1)).toEqual([limited(1), limited(1)]);
    expect(permits(quota, seconds(wait))).toEqual([null, null]);
  });

  it('is not shortened by one that comes later and says less', () => {
    const quota = noted(429, { 'Retry-After': '90' });
    noted(429, { 'Retry-After': '1' }, NOW_MS, quota);
    expect(quota.standing(NOW_MS).waitUntilMs).toBe(seconds(90));
  });
});

describe('the last calls of a window', () => {
  it.each([
    ['minute', 100, MINUTE_END, 11, 60],
    ['hour', 1_000, HOUR_END, 101, 3_600],
  ])('of the %s are kept for revocation', (_name, limit, reset, enough, wait) => {
    expect(permits(noted(200, headers(limit, enough, reset)))).toEqual([null, null]);
    const quota = noted(200, headers(limit, enough - 1, reset));
    expect(permits(quota)).toEqual([limited(wait), null]);
    expect(permits(noted(200, headers(limit, 0, reset)))).toEqual([limited(wait), null]);
    expect(permits(quota, seconds(wait))).toEqual([null, null]);
  });

  it('are counted less what is under way', () => {
    const quota = noted(200, headers(100, 13, MINUTE_END));
    quota.begin(NOW_MS);
    quota.begin(NOW_MS);
    expect(quota.permit('change', WS, NOW_MS)).toBeNull();
    const end = quota.begin(NOW_MS);
    expect(quota.permit('change', WS, NOW_MS)).toEqual(limited(60));
    end();
    expect(quota.permit('change', WS, NOW_MS)).toBeNull();
  });

  it('are counted less no call that was killed with its request, once its time is over', () => {
    const quota = noted(200, headers(100, 11, MINUTE_END));
    quota.begin(NOW_MS);
    expect(quota.permit('change', WS, NOW_MS + UPSTREAM_TIMEOUT_MS)).not.toBeNull();
    expect(quota.permit('change', WS, NOW_MS + UPSTREAM_TIMEOUT_MS + 1)).toBeNull();
  });

  it('of both make us wait for the later end', () => {
    const quota = noted(200, headers(100, 3, MINUTE_END));
    noted(200, headers(1_000, 3, HOUR_END), NOW_MS, quota);
    expect(quota.permit('change', WS, NOW_MS)).toEqual(limited(3_600));
  });
});

describe('the headers', () => {
  it.each([
    ['a reset in seconds since the epoch', MINUTE_END - 30, 30],
    ['in seconds from now', 30, 30],
    ['in milliseconds since the epoch', seconds(30), 30],
    ['none', null, 60],
    ['one beyond the window', MINUTE_END + 7_200, 60],
  ])('%s', (_case, reset, wait) => {
    expect(noted(200, headers(100, 5, reset)).standing(NOW_MS).minute).toEqual({
      remaining: 5,
      untilMs: seconds(wait),
    });
  });

  it.each([
    ['no limit', { 'X-RateLimit-Remaining': '1' }],
    ['no number', headers(100, 5, null, { 'X-RateLimit-Remaining': 'few' })],
    ['a negative number', headers(100, -5, null)],
    ['a window that is over', headers(100, 1, MINUTE_END - 61)],
  ])('%s tell of no window', (_case, all) => {
    expect(noted(200, all).standing(NOW_MS)).toMatchObject({ waitUntilMs: null, minute: null, hour: null });
  });

  it.each([401, 419])('of a credential that is refused with %i are not ours', (status) => {
    expect(noted(status, headers(100, 0, MINUTE_END)).standing(NOW_MS).minute).toBeNull();
  });
});

describe('two answers of one window', () => {
  it.each([
    ['in order', 50, 40],
    ['the other way round', 40, 50],
  ])('%s: the lower number counts', (_case, first, second) => {
    const quota = noted(200, headers(100, first, MINUTE_END));
    noted(200, headers(100, second, MINUTE_END - 1), NOW_MS, quota);
    expect(quota.standing(NOW_MS).minute?.remaining).toBe(40);
  });

  it('of which the second is of the next window: it replaces the first, and a late answer counts for nothing', () => {
    const quota = noted(200, headers(100, 0, MINUTE_END));
    // A clock that is a second ahead of ours.
    noted(200, headers(100, 99, MINUTE_END + 59), seconds(59), quota);
    expect(quota.standing(seconds(59)).minute).toMatchObject({ remaining: 99 });
    noted(200, headers(100, 1, MINUTE_END), seconds(59), quota);
    expect(quota.standing(seconds(59)).minute).toMatchObject({ remaining: 99 });
  });
});

describe('a 403', () => {
  it('is remembered for its workspace alone, for a minute, and holds back no revocation', () => {
    const quota = noted(403);
    expect(permits(quota)).toEqual([{ kind: 'upstream_forbidden', status: 403 }, null]);
    expect(quota.permit('change', 'ws-2', NOW_MS)).toBeNull();
    expect(quota.permit('change', null, NOW_MS)).toBeNull();
    expect(quota.permit('change', WS, NOW_MS + FORBIDDEN_WORKSPACE_MS)).toBeNull();
  });

  it('is forgotten with the next success there', () => {
    const quota = noted(403);
    quota.note(answer(200), 'ws-2', NOW_MS);
    expect(quota.permit('change', WS, NOW_MS)).not.toBeNull();
    quota.note(answer(204), WS, NOW_MS);
    expect(quota.permit('change', WS, NOW_MS)).toBeNull();
  });

  it.each(['all', 'minute', 'hour'])('of a workspace that is called %s stops nobody', async (name) => {
    const quota = createQuota();
    quota.note(answer(403), name, NOW_MS);
    expect(quota.news(database, NOW_MS)).toEqual([]);
    expect(quota.permit('change', name, NOW_MS)).toBeNull();
  });
});

describe('the news of other isolates', () => {
  const learned = (rows: readonly QuotaNews[], nowMs = NOW_MS, quota = createQuota()): Quota => {
    quota.learn(rows, nowMs);
    return quota;
  };

  it('counts as if PipeOps had told it here', () => {
    expect(permits(learned([{ scope: 'all', until: seconds(20), remaining: null }]))).toEqual([
      limited(20),
      limited(20),
    ]);
    expect(permits(learned([{ scope: 'minute', until: seconds(20), remaining: 10 }]))).toEqual([limited(20), null]);
    expect(permits(learned([{ scope: 'hour', until: seconds(20), remaining: 101 }]))).toEqual([null, null]);
    const forbidden = learned([{ scope: WS, until: seconds(20), remaining: null }]);
    expect(permits(forbidden)).toEqual([{ kind: 'upstream_forbidden', status: 403 }, null]);
  });

  it('is merged: the later wait, the lower number of a window, the later window', () => {
    const quota = noted(429, headers(100, 30, MINUTE_END, { 'Retry-After': '40' }));
    learned([{ scope: 'all', until: seconds(20), remaining: null }], NOW_MS, quota);
    learned([{ scope: 'minute', until: seconds(60), remaining: 50 }], NOW_MS, quota);
    expect(quota.standing(NOW_MS)).toMatchObject({ waitUntilMs: seconds(40), minute: { remaining: 30 } });
    learned([{ scope: 'minute', until: seconds(60), remaining: 20 }], NOW_MS, quota);
    expect(quota.standing(NOW_MS)).toMatchObject({ minute: { remaining: 20 } });
    learned([{ scope: 'minute', until: seconds(119), remaining: 90 }], seconds(59), quota);
    expect(quota.standing(seconds(59))).toMatchObject({ minute: { remaining: 90 } });
  });

  it('is not shared again, and a wait without end is cut to an hour', () => {
    const rows = [
      { scope: 'all', until: seconds(1e6), remaining: null },
      { scope: 'minute', until: seconds(60), remaining: 3 },
      { scope: WS, until: seconds(20), remaining: null },
    ];
    const quota = learned(rows);
    expect(quota.news(database, NOW_MS)).toEqual([]);
    expect(quota.permit('revocation', WS, NOW_MS)).toEqual(limited(3_600));
  });
});

/** Sends what there is to tell, and gives the table as others read it; null: there was nothing. */
async function tell(quota: Quota, nowMs = NOW_MS): Promise<readonly QuotaNews[] | null> {
  const news = quota.news(database, nowMs);
  if (news.length === 0) return null;
  const queries = [...news, selectQuotaNews(database, nowMs, WS)];
  const told = await database.batch({ trace: newTrace() }, queries);
  if (!told.ok) throw new Error(told.error);
  return (told.value.at(-1) as QuotaNews[]).toSorted((a, b) => a.scope.localeCompare(b.scope));
}

describe('the news for other isolates', () => {
  const emptied = async (): Promise<void> => void (await env.DB.prepare('delete from upstream_limits').run());

  it('is a 429, once', async () => {
    await emptied();
    const quota = noted(429, { 'Retry-After': '17' });
    expect(await tell(quota)).toEqual([{ scope: 'all', until: seconds(17), remaining: null }]);
    expect(await tell(quota)).toBeNull();
    noted(429, { 'Retry-After': '18' }, NOW_MS, quota);
    expect(await tell(quota)).toEqual([{ scope: 'all', until: seconds(18), remaining: null }]);
  });

  it('is a window each time it has halved, and when it comes to its reserve', async () => {
    await emptied();
    const quota = createQuota();
    const told: number[] = [];
    for (let remaining = 99; remaining >= 0; remaining -= 1) {
      noted(200, headers(100, remaining, MINUTE_END), NOW_MS, quota);
      const rows = await tell(quota);
      if (rows !== null) told.push(rows[0]?.remaining ?? -1);
    }
    expect(told).toEqual([50, 25, 12, 10, 5, 2, 1, 0]);
  });

  it('begins anew with the next window, which replaces the last one', async () => {
    await emptied();
    const quota = noted(200, headers(100, 0, MINUTE_END));
    expect(await tell(quota)).toEqual([{ scope: 'minute', until: seconds(60), remaining: 0 }]);
    noted(200, headers(100, 99, MINUTE_END + 60), seconds(60), quota);
    expect(await tell(quota, seconds(60))).toBeNull();
    noted(200, headers(100, 40, MINUTE_END + 60), seconds(61), quota);
    expect(await tell(quota, seconds(61))).toEqual([{ scope: 'minute', until: seconds(120), remaining: 40 }]);
  });

  it('does not overwrite what is lower, longer or later in D1', async () => {
    await emptied();
    const first = noted(429, headers(100, 3, MINUTE_END, { 'Retry-After': '40' }));
    const second = noted(429, headers(100, 9, MINUTE_END, { 'Retry-After': '4' }));
    await tell(first);
    expect(await tell(second)).toEqual([
      { scope: 'all', until: seconds(40), remaining: null },
      { scope: 'minute', until: seconds(60), remaining: 3 },
    ]);
    const next = noted(200, headers(100, 50, MINUTE_END + 55), seconds(56));
    await tell(next, seconds(56));
    const late = noted(200, headers(100, 2, MINUTE_END), seconds(56));
    expect(await tell(late, seconds(56))).toEqual([{ scope: 'minute', until: seconds(115), remaining: 50 }]);
  });

  it('is a 403 of a workspace, once, and its end', async () => {
    await emptied();
    const quota = noted(403);
    expect(await tell(quota)).toEqual([{ scope: WS, until: NOW_MS + FORBIDDEN_WORKSPACE_MS, remaining: null }]);
    noted(403, {}, NOW_MS, quota);
    expect(await tell(quota)).toBeNull();
    noted(200, {}, NOW_MS, quota);
    expect(await tell(quota)).toEqual([]);
    expect(await tell(quota)).toBeNull();
    // What others never heard of needs no end.
    const silent = noted(403);
    noted(200, {}, NOW_MS, silent);
    expect(await tell(silent)).toBeNull();
  });

  it('is nothing while all is well, and erases what has expired', async () => {
    await emptied();
    await tell(noted(429, { 'Retry-After': '1' }));
    expect(await tell(noted(200, headers(100, 99, MINUTE_END)))).toBeNull();
    await tell(noted(403, {}, seconds(5)), seconds(5));
    const { results } = await env.DB.prepare('select scope from upstream_limits').all();
    expect(results).toEqual([{ scope: WS }]);
  });
});

describe('the client', () => {
  const clientOf = (quota: Quota, ...answers: readonly (() => Response | Promise<Response>)[]) => {
    let calls = 0;
    const fetch = async (): Promise<Response> => {
      calls += 1;
      return (await answers[calls - 1]?.()) ?? new Response(null, { status: 404 });
    };
    const runtime = { ...RUNTIME, fetch };
    const admit = createAdmission(database, quota, runtime);
    const pipeops = createPipeOps({
      apiUrl: API_URL,
      credentials: createCredentials(['admin-jwt']),
      outcomes: UNHEARD,
      quota,
      admit,
      runtime,
    });
    return { pipeops, calls: () => calls };
  };
  const done = () => Response.json({ success: true, data: { uuid: 'tok-1', name: 'deploy' } });

  it('makes no request that is not permitted, and does not count it', async () => {
    const { pipeops, calls } = clientOf(noted(429, { 'Retry-After': '7' }));
    const trace = newTrace();
    const call = callWith(new AbortController().signal, { trace });
    expect(await pipeops.revoke(REF, call)).toEqual({ ok: false, error: limited(7) });
    expect(await pipeops.create(CREATE, call)).toEqual({ ok: false, error: limited(7) });
    expect([calls(), trace.upstreamCalls]).toEqual([0, 0]);
  });

  it('notes every answer', async () => {
    const quota = createQuota();
    const { pipeops } = clientOf(quota, json(200, {}, headers(100, 42, MINUTE_END)) as () => Response);
    await pipeops.get(REF, patientCall());
    expect(quota.standing(NOW_MS).minute?.remaining).toBe(42);
  });

  it('counts a revoke, an update that only suspends, and a call that says so as revocation', async () => {
    const quota = noted(200, headers(100, 10, MINUTE_END));
    const { pipeops, calls } = clientOf(quota, done, done, done);
    const revocation = callWith(new AbortController().signal, { purpose: 'revocation' });
    expect(await pipeops.revoke(REF, patientCall())).toMatchObject({ ok: true });
    expect(await pipeops.update(REF, { isActive: false }, patientCall())).toMatchObject({ ok: true });
    expect(await pipeops.get(REF, revocation)).toMatchObject({ ok: true });
    expect(await pipeops.get(REF, patientCall())).toMatchObject({ ok: false });
    expect(await pipeops.update(REF, { isActive: true }, patientCall())).toMatchObject({ ok: false });
    expect(await pipeops.update(REF, { isActive: false, name: 'x' }, patientCall())).toMatchObject({ ok: false });
    expect(calls()).toBe(3);
  });
});
