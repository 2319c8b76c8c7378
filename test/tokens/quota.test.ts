import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { clearOrders, createWebhookHarness } from '../revocation/harness.ts';

// PipeOps' limits are those of the one credential, which all isolates share: what one is told, every other hears through D1.

const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };
const create = async (h: Harness, query = ''): Promise<Answer> => await h.send('POST', `${TOKENS}${query}`, CREATE);
const revoke = async (h: Harness, id: string): Promise<Answer> => await h.send('DELETE', `${TOKENS}/${id}`);
const result = ({ status, body }: Answer) => [status, body.code];
const LIMITED = [429, 'upstream_rate_limited'];
const sent = async (h: Harness): Promise<number> => (await h.control.requests({ credential: h.credential })).length;
/** Of what callers did. */
const lastRow = async (h: Harness) => (await h.rows()).findLast(({ actor_type }) => actor_type !== 'system');

let skewMs: number;
let one: Harness;
let other: Harness;
beforeEach(async () => {
  await clearOrders();
  skewMs = 0;
  const runtime = { now: () => Date.now() + skewMs };
  one = await createHarness({ runtime });
  other = await createHarness({ like: one, runtime });
});
const age = (seconds: number): void => {
  skewMs += seconds * 1000;
};
const fault = async (status: number, headers: Record<string, string> = {}): Promise<void> =>
  await one.control.fault({ status, headers, match: { workspace_uuid: one.workspace } });
/** Another isolate was told this of a window. */
const tellMinute = async (remaining: number): Promise<void> => {
  const query = 'insert or replace into upstream_limits (scope, until, remaining) values (?, ?, ?)';
  await env.DB.prepare(query)
    .bind('minute', one.runtime.now() + 60_000, remaining)
    .run();
};

describe('a 429 that one isolate was told', () => {
  it('stops the mutations of every other, without a call, until the wait is over', async () => {
    const { id } = await one.mint();
    await fault(429, { 'Retry-After': '40' });
    expect(result(await create(one))).toEqual(LIMITED);
    const before = await sent(one);

    const mutations = [
      async (h: Harness) => await create(h),
      async (h: Harness) => await h.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' } }),
      async (h: Harness) => await revoke(h, id),
    ];
    for (const h of [other, one]) {
      for (const mutate of mutations) {
        const answer = await mutate(h);
        expect(result(answer)).toEqual(LIMITED);
        const seconds = Number(answer.headers.get('Retry-After'));
        expect(seconds).toBeGreaterThan(30);
        expect(seconds).toBeLessThanOrEqual(40);
        expect(await lastRow(h)).toMatchObject({
          id: answer.body.event_id,
          status: 'failure',
          error_code: 'upstream_rate_limited',
        });
      }
    }
    expect(await sent(one)).toBe(before);

    age(41);
    expect((await create(other)).status).toBe(201);
    expect((await revoke(one, id)).status).toBe(200);
  });

  it('is heard of by an isolate that starts later', async () => {
    await fault(429, { 'Retry-After': '40' });
    await create(one);
    const before = await sent(one);
    const late = await createHarness({ like: one });
    expect(result(await create(late))).toEqual(LIMITED);
    expect(await sent(one)).toBe(before);
  });
});

describe('the last ten calls of a minute', () => {
  it('are kept for revocation, however many ask at once, and nothing exceeds the limit', async () => {
    const first = await one.mint();
    const answers = await Promise.all(Array.from({ length: 110 }, async () => await create(one)));
    const minted = answers.filter(({ status }) => status === 201).map(({ body }) => String(body.data.id));
    // With the first one 90 of the 100.
    expect(minted).toHaveLength(89);
    const refused = answers.filter(({ status }) => status !== 201);
    expect(new Set(refused.map((answer) => result(answer).join(' ')))).toEqual(new Set([LIMITED.join(' ')]));
    expect(refused.every(({ headers }) => Number(headers.get('Retry-After')) > 0)).toBe(true);
    expect(await sent(one)).toBe(90);

    expect(result(await create(other))).toEqual(LIMITED);
    expect(await sent(one)).toBe(90);

    const ids = [first.id, ...minted];
    const suspend = { body: { is_active: false } };
    expect((await other.send('PATCH', `${TOKENS}/${ids[20]}`, suspend)).status).toBe(200);
    expect(result(await other.send('PATCH', `${TOKENS}/${ids[20]}`, { body: { name: 'x' } }))).toEqual(LIMITED);
    for (const id of ids.slice(0, 9)) expect((await revoke(id === first.id ? one : other, id)).status).toBe(200);
    expect(await sent(one)).toBe(100);

    expect(result(await revoke(other, ids[10] ?? ''))).toEqual(LIMITED);
    expect(result(await revoke(one, ids[11] ?? ''))).toEqual(LIMITED);
    expect(await sent(one)).toBe(100);
  }, 30_000);

  it('are half kept from reconciliation too: its attempts wait, and no try is counted', async () => {
    await one.control.fault({ drop: 'after_commit', match: { workspace_uuid: one.workspace } });
    const { body } = await create(one);
    age(121);
    await tellMinute(5);
    const before = await sent(one);
    await other.cron();
    expect(await sent(one)).toBe(before);
    expect(await lastRow(one)).toMatchObject({ id: body.event_id, status: 'attempted' });
    expect(
      await env.DB.prepare('select * from attempt_reviews where event_id = ?').bind(body.event_id).first(),
    ).toBeNull();

    age(61);
    await other.cron();
    expect(await lastRow(one)).toMatchObject({ id: body.event_id, status: 'failure', error_code: 'undelivered' });
  });

  it('are spent on what a webhook ordered', async () => {
    await clearOrders();
    const webhooks = await createWebhookHarness({ like: one });
    const { id, token } = await webhooks.mint('leaked');
    await tellMinute(3);
    expect((await webhooks.leak(token)).status).toBe(202);
    expect(await one.upstreamTokens()).toMatchObject([{ id, is_revoked: true }]);
  });
});

it('an attempt that a 429 kept from being looked into is due as soon as the wait is over', async () => {
  await one.control.fault({ drop: 'after_commit', times: 2, match: { workspace_uuid: one.workspace } });
  const [first, second] = [await create(one), await create(one)];
  const open = async () => (await one.rows()).filter(({ status }) => status === 'attempted').map(({ id }) => id);
  age(121);
  await fault(429, { 'Retry-After': '10' });
  await other.cron();
  expect(await open()).toEqual([first.body.event_id, second.body.event_id]);
  age(11);
  await other.cron();
  expect(await open()).toHaveLength(1);
  age(60);
  await other.cron();
  expect(await open()).toEqual([]);
});

describe('a 403 of one workspace', () => {
  const ELSEWHERE = `?workspace_uuid=${crypto.randomUUID()}`;

  it('is remembered for it alone, by every isolate, for a minute', async () => {
    const { id } = await one.mint();
    await fault(403);
    expect(result(await create(one))).toEqual([502, 'upstream_forbidden']);
    const before = await sent(one);
    for (const h of [one, other]) expect(result(await create(h))).toEqual([502, 'upstream_forbidden']);
    expect(await sent(one)).toBe(before);
    expect((await create(other, ELSEWHERE)).status).toBe(201);

    age(61);
    expect((await create(other)).status).toBe(201);
    expect((await revoke(one, id)).status).toBe(200);
  });

  it('holds back no revoke, and is over with the first success', async () => {
    const { id } = await one.mint();
    await fault(403);
    await create(one);
    expect((await revoke(one, id)).status).toBe(200);
    expect((await create(one)).status).toBe(201);
    const { results } = await env.DB.prepare('select * from upstream_limits').all();
    expect(results).toEqual([]);
  });
});

it('GET /api/v1/status shows what is left, and until when PipeOps says wait', async () => {
  const quota = async (h: Harness) => (await h.send('GET', '/api/v1/status')).body.data.quota;
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);
  const minute = { limit: 100, reserved: 0, remaining: null, resets_at: null };
  const hour = { ...minute, limit: 1_000 };
  expect(await quota(one)).toEqual({ wait_until: null, minute, hour });
  await one.mint();
  expect(await quota(one)).toEqual({
    wait_until: null,
    minute: { ...minute, reserved: 1, remaining: 99, resets_at: time },
    hour: { ...hour, reserved: 1 },
  });
  await tellMinute(7);
  await fault(429, { 'Retry-After': '40' });
  await revoke(one, 'no-such-token');
  expect(await quota(other)).toMatchObject({
    wait_until: time,
    minute: { remaining: 7, resets_at: time },
    hour: { remaining: null, resets_at: null },
  });
});
