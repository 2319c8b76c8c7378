import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { ORDERS_BEGIN_MAX_ROWS } from '../../../src/config/aging-limits.ts';
import { CRON_SHARES } from '../../../src/config/limits.ts';
import { createDatabase } from '../../../src/db/database.ts';
import type { OrderRow, TokenRow } from '../../../src/db/schema.ts';
import { orderAnew, ORDER_RANKS, retireQueries } from '../../../src/inventory/orders.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { beginDueOrders } from '../../../src/revocation/orders/beginning.ts';
import { SYSTEM_ACTOR } from '../../../src/trail/event.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { ISSUER, TOKENS, type Answer } from '../../support/harness.ts';
import { bareServices } from '../../support/registered-routes.ts';
import { mac } from '../../support/state-secret.ts';
import { clearOrders, ordersOf } from '../harness.ts';
import { createScene, type Scene } from '../scene.ts';

// A rotated token is revoked when its time has come, once, and by no one's wish before; one that nobody uses is suspended.

const HOUR_MS = 3_600_000;
const database = createDatabase(env.DB, workerRuntime, mac);
const context = {
  requestId: 'r',
  ip: '::1',
  userAgent: 'ua',
  policyVersion: 'v',
  traceparent: null,
  trace: newTrace(),
};

let scene: Scene;
let old: { readonly id: string; readonly token: string };
let successor: string;
beforeEach(async () => {
  await clearOrders();
  scene = await createScene();
  old = await mint();
  ({ id: successor } = await mint());
});

// What still waits would begin in the crons of other files, and what is open would be counted there.
afterAll(async () => {
  await clearOrders();
  await env.DB.exec(`update audit_events set status = 'success', settled_at = occurred_at where status = 'attempted'`);
});

const owner = () => ({ issuer: ISSUER, subject: `owner-${scene.workspace}` });
const jwtOf = async (role: string): Promise<string> =>
  await scene.jwt(role, role === 'owner' ? { sub: owner().subject } : {});
const mint = async () => await scene.mint('deploy', await jwtOf('owner'));
const refOf = (tokenId: string) => ({ workspaceUuid: scene.workspace, tokenId });
/** As the batch does that settles a rotation's mint. */
async function retire(inMs: number, id: string = crypto.randomUUID(), guard = sql`true`): Promise<string> {
  const nowMs = scene.now();
  const dueAtMs = nowMs + inMs;
  const retirement = { id, ...refOf(old.id), replacedBy: successor, dueAtMs, nowMs };
  await database.batch(context, retireQueries(database, context, retirement, guard));
  await env.DB.prepare('update tokens set replaced_by = ?, retires_at = ? where workspace_uuid = ? and token_id = ?')
    .bind(successor, dueAtMs, scene.workspace, old.id)
    .run();
  return id;
}
const begin = async () => await beginDueOrders(database, context, scene.now());
const cronAfter = async (ms: number): Promise<void> => {
  scene.elapse(ms / 1000);
  await scene.cron();
};
const orderOf = async (id: string): Promise<OrderRow | undefined> => (await ordersOf(scene)).find((o) => o.id === id);
const rowsOf = async (id: string) => (await scene.rows()).filter((row) => row.id === id);
const revokes = () => scene.pipeops.sent.filter(({ method, tokenId }) => method === 'DELETE' && tokenId === old.id);
const inInventory = async (): Promise<TokenRow | undefined> =>
  (await scene.inventory()).find(({ token_id }) => token_id === old.id);
const readyz = async () => {
  scene.elapse(6);
  return (await scene.send('GET', '/readyz', { jwt: null })).body.data;
};
const status = async () => (await scene.send('GET', '/api/v1/status', { jwt: await jwtOf('admin') })).body.data.orders;
const patch = async (body: object, role = 'owner'): Promise<Answer> =>
  await scene.send('PATCH', `${TOKENS}/${old.id}`, { body, jwt: await jwtOf(role) });

describe('the order that a rotation makes', () => {
  it('waits for its time without a row in the trail, and counts nowhere until then', async () => {
    const id = await retire(HOUR_MS);
    expect(await orderOf(id)).toMatchObject({
      cause: 'rotation',
      mode: 'revoke',
      state: 'scheduled',
      rank: ORDER_RANKS.scheduled,
      delivery_id: null,
      next_at: (await inInventory())?.retires_at,
    });
    await cronAfter(HOUR_MS - 10_000);
    expect(await rowsOf(id)).toEqual([]);
    expect(revokes()).toEqual([]);
    expect(await readyz()).toMatchObject({ ready: true, open_orders: 0, acknowledged_orders: 0 });
    expect(await status()).toMatchObject({
      open: 0,
      oldest_at: null,
      next_scheduled_at: new Date((await inInventory())?.retires_at ?? 0).toISOString(),
    });
  });

  it('revokes the token when it is due, in one row by this service that names the successor', async () => {
    const id = await retire(HOUR_MS);
    await cronAfter(HOUR_MS);
    const beganAtMs = (await orderOf(id))?.created_at ?? 0;
    await cronAfter(60_000);
    await cronAfter(24 * HOUR_MS);
    const rows = (await scene.rows()).filter(({ action }) => action === 'service_account_token.revoke');
    expect(rows).toMatchObject([
      { id, status: 'success', actor_type: 'system', token_id: old.id, ip: null, user_agent: null, error_code: null },
    ]);
    expect(rows[0]?.occurred_at, 'it is dated from when it began').toBe(beganAtMs);
    expect(JSON.parse(rows[0]?.detail ?? '')).toEqual({ replaced_by: successor, policy: scene.policyVersion });
    expect(revokes()).toHaveLength(1);
    expect(await orderOf(id)).toMatchObject({ state: 'confirmed', result: 'revoked', rank: ORDER_RANKS.live });
    expect(await inInventory()).toMatchObject({ ended_by: 'acknowledged' });
    expect(scene.pipeops.alive()).toEqual([successor]);
    expect(await status()).toMatchObject({ next_scheduled_at: null });
  });

  it.each([0, -400 * 24 * HOUR_MS])('is open with its row where it is due at once, %s ms from now', async (inMs) => {
    const id = await retire(inMs);
    expect(await orderOf(id)).toMatchObject({ cause: 'rotation', state: 'open', next_at: expect.any(Number) });
    const [row] = await rowsOf(id);
    expect(row).toMatchObject({ status: 'attempted', actor_type: 'system', token_id: old.id, ip: null });
    expect(JSON.parse(row?.detail ?? '')).toEqual({ replaced_by: successor, policy: 'v' });
    await cronAfter(0);
    await cronAfter(60_000);
    expect(await rowsOf(id)).toMatchObject([{ status: 'success' }]);
    expect(revokes()).toHaveLength(1);
  });

  it.each([0, HOUR_MS])(
    'is made once where its batch is repeated, and not without its guard: due in %s ms',
    async (ms) => {
      const id = await retire(ms);
      await retire(ms, id);
      await retire(ms, crypto.randomUUID(), sql`false`);
      expect((await ordersOf(scene)).map((order) => order.id)).toEqual([id]);
      expect(await rowsOf(id)).toHaveLength(ms === 0 ? 1 : 0);
    },
  );

  it('begins once, though its time is long past when a run finds it, and never early', async () => {
    const past = await retire(HOUR_MS);
    const future = await retire(400 * 24 * HOUR_MS);
    await cronAfter(300 * 24 * HOUR_MS);
    await cronAfter(60_000);
    expect(await rowsOf(past)).toHaveLength(1);
    expect(await orderOf(past)).toMatchObject({ state: 'confirmed', result: 'revoked' });
    expect(await orderOf(future)).toMatchObject({ state: 'scheduled' });
    expect(await rowsOf(future)).toEqual([]);
  });

  it('begins once, whatever runs beside, and a run that dies after that is followed by the next', async () => {
    const id = await retire(HOUR_MS);
    scene.elapse(3_600);
    await Promise.all([begin(), begin(), begin()]);
    expect(await rowsOf(id)).toMatchObject([{ status: 'attempted' }]);
    expect(await orderOf(id)).toMatchObject({ state: 'open', next_at: expect.any(Number), claim: null });
    await begin();
    await Promise.all([scene.cron(), scene.cron()]);
    await cronAfter(60_000);
    expect(await rowsOf(id)).toMatchObject([{ status: 'success' }]);
    expect(revokes()).toHaveLength(1);
  });

  it('is tried again while PipeOps is down, as any other, and /readyz says so', async () => {
    const id = await retire(HOUR_MS);
    scene.pipeops.behave({ intercept: () => Response.json({ success: false, message: 'down' }, { status: 503 }) });
    await cronAfter(HOUR_MS);
    expect(await readyz()).toMatchObject({ open_orders: 1, degraded: ['upstream_unreachable'] });
    // The pauses grow: 5 s, 10 s, 20 s and so on, of which a part is left to chance.
    await scene.minutes(10);
    expect(revokes().length).toBeGreaterThan(3);
    expect(revokes().length).toBeLessThan(8);
    expect(await orderOf(id)).toMatchObject({ state: 'open', error_code: 'upstream_error' });
    scene.pipeops.beHonest();
    await cronAfter(HOUR_MS);
    expect(await rowsOf(id)).toMatchObject([{ status: 'success' }]);
    expect(await readyz()).toMatchObject({ open_orders: 0, degraded: [] });
  });

  it('is driven at once by the request that made it, and no other with it', async () => {
    const id = await retire(0);
    const other = await retire(0);
    const { orders } = bareServices({ ...workerRuntime, now: scene.now, fetch: scene.pipeops.fetch, log: () => {} });
    expect(await orders.runOne(context, id)).toEqual({ due: 1, ended: 1 });
    expect(await orderOf(id)).toMatchObject({ state: 'confirmed', result: 'revoked' });
    expect(await rowsOf(id)).toMatchObject([{ status: 'success' }]);
    expect(await orderOf(other)).toMatchObject({ state: 'open', tries: 0 });
    const scheduled = await retire(HOUR_MS);
    scene.elapse(7_200);
    expect(await orders.runOne(context, scheduled), 'only the cron begins what was scheduled').toEqual({
      due: 0,
      ended: 0,
    });
  });

  it('is given up after three days without PipeOps, and a DELETE of its token takes its place', async () => {
    const id = await retire(HOUR_MS);
    scene.pipeops.behave({ intercept: () => Response.json({ success: false, message: 'down' }, { status: 503 }) });
    await cronAfter(HOUR_MS);
    await cronAfter(73 * HOUR_MS);
    expect(await orderOf(id)).toMatchObject({ state: 'failed', error_code: 'upstream_error' });
    expect(await rowsOf(id)).toMatchObject([{ status: 'failure', error_code: 'upstream_error' }]);
    expect((await readyz()).degraded).toContain('revocation_orders');
    scene.pipeops.beHonest();
    const revoked = await scene.send('DELETE', `${TOKENS}/${old.id}`, { jwt: await jwtOf('owner') });
    expect(revoked.status, revoked.text).toBe(200);
    expect(await orderOf(id)).toMatchObject({ state: 'retried', next_at: null });
    await cronAfter(60_000);
    expect(await readyz()).toMatchObject({ degraded: [], failed_orders: 0, open_orders: 0 });
    expect(scene.pipeops.isAlive(old.id)).toBe(false);
  });

  it('begins though PipeOps takes no calls, and is sent once it does', async () => {
    const id = await retire(HOUR_MS);
    scene.elapse(3_590);
    const headers = { 'Retry-After': '60' };
    scene.pipeops.behave({ intercept: () => Response.json({ success: false }, { status: 429, headers }) });
    await scene.send('GET', TOKENS, { jwt: await jwtOf('owner') });
    scene.pipeops.beHonest();
    await cronAfter(10_000);
    expect(await rowsOf(id)).toHaveLength(1);
    await cronAfter(60_000);
    expect(await orderOf(id)).toMatchObject({ state: 'confirmed', result: 'revoked' });
  });

  it('is settled by a list, without a call, where its token has expired meanwhile', async () => {
    const id = await retire(HOUR_MS);
    await env.DB.prepare('update tokens set expires_at = ? where token_id = ?')
      .bind(scene.now() + 60_000, old.id)
      .run();
    const token = scene.pipeops.tokens.get(old.id);
    if (token !== undefined) token.expiresAt = new Date(scene.now() + 60_000).toISOString();
    await cronAfter(HOUR_MS);
    expect(await orderOf(id)).toMatchObject({ rank: ORDER_RANKS.expired, state: 'confirmed', result: 'expired' });
    expect(await rowsOf(id)).toMatchObject([{ status: 'success' }]);
    expect(revokes()).toEqual([]);
  });
});

describe('a token that ends before its time', () => {
  it.each<[string, () => Promise<Answer>]>([
    [
      'by a DELETE of its owner',
      async () => await scene.send('DELETE', `${TOKENS}/${old.id}`, { jwt: await jwtOf('owner') }),
    ],
    ['by a report of its leak', async () => await scene.leak(old.token)],
    ['since its owner leaves', async () => await scene.offboard(owner())],
  ])('%s is revoked at once, and its order concludes without a second call', async (_name, end) => {
    const id = await retire(HOUR_MS);
    const answer = await end();
    expect(answer.status, answer.text).toBeLessThan(300);
    expect(scene.pipeops.isAlive(old.id)).toBe(false);
    expect(await orderOf(id)).toMatchObject({ state: 'scheduled' });
    await cronAfter(HOUR_MS);
    await cronAfter(60_000);
    expect(await orderOf(id)).toMatchObject({ state: 'confirmed', result: 'already_gone' });
    const [row] = await rowsOf(id);
    expect(row).toMatchObject({ status: 'success', actor_type: 'system' });
    expect(JSON.parse(row?.outcome ?? '')).toMatchObject({ already_gone: true });
    expect(revokes()).toHaveLength(1);
    expect((await ordersOf(scene)).filter(({ state }) => state === 'open')).toEqual([]);
  });

  it('and comes alive again is ordered anew for whoever asked for its end: a scheduled order is nobody’s wish', async () => {
    // Its owner has left, its absence was proven, and no order of that is there any more.
    const id = await retire(HOUR_MS);
    await scene.offboard(owner());
    await env.DB.batch([
      env.DB.prepare('delete from revocation_orders where workspace_uuid = ? and id <> ?').bind(scene.workspace, id),
      env.DB.prepare(`update tokens set revoked_at = 1, ended_by = 'absent' where token_id = ?`).bind(old.id),
    ]);
    const token = scene.pipeops.tokens.get(old.id);
    if (token !== undefined) token.revokedAtMs = null;
    scene.elapse(120);
    await scene.send('GET', TOKENS, { jwt: await jwtOf('admin') });
    const orders = (await ordersOf(scene)).filter(({ token_id }) => token_id === old.id);
    expect(orders.map(({ state }) => state).toSorted()).toEqual(['open', 'scheduled']);
  });
});

describe('a token that is used until its time has come', () => {
  it.each<[string, (() => Promise<Answer>)[]]>([
    ['renamed', [async () => await patch({ name: 'other' })]],
    ['given other scopes', [async () => await patch({ scopes: ['api:read', 'api:write'] })]],
    ['suspended', [async () => await patch({ is_active: false })]],
    [
      'suspended and resumed',
      [async () => await patch({ is_active: false }), async () => await patch({ is_active: true })],
    ],
  ])('may be %s, and is revoked all the same', async (_name, changes) => {
    const id = await retire(HOUR_MS);
    for (const change of changes) {
      const answer = await change();
      expect(answer.status, answer.text).toBe(200);
    }
    expect(await orderOf(id)).toMatchObject({ state: 'scheduled' });
    // The trail of a change that is settled a moment before delays what a look may say of the order.
    await cronAfter(HOUR_MS);
    await cronAfter(60_000);
    expect(await orderOf(id)).toMatchObject({ state: 'confirmed', result: 'revoked' });
    expect(scene.pipeops.isAlive(old.id)).toBe(false);
  });

  it('is revoked though its owner was offboarded, reinstated and it was resumed: nothing of that is about its rotation', async () => {
    const id = await retire(HOUR_MS);
    await scene.offboard({ ...owner(), mode: 'suspend' });
    expect(scene.pipeops.tokens.get(old.id)?.isActive).toBe(false);
    await scene.reinstate(owner());
    expect((await patch({ is_active: true }, 'admin')).status).toBe(200);
    expect((await inInventory())?.suspended_by).toBeNull();
    expect(await orderOf(id)).toMatchObject({ state: 'scheduled' });
    await cronAfter(HOUR_MS);
    expect(await orderOf(id)).toMatchObject({ result: 'revoked' });
    expect(scene.pipeops.alive()).toEqual([successor]);
  });

  it('is revoked by its order alone from when that has begun: an update must not bring it back', async () => {
    await retire(HOUR_MS);
    scene.elapse(3_600);
    await begin();
    const answer = await patch({ name: 'late' });
    expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
  });
});

it('five hundred that are due at once begin in the order of their times, a run’s share in each run', async () => {
  const due = JSON.stringify(
    Array.from({ length: 500 }, (_item, index) => ({ n: index + 1, id: crypto.randomUUID() })),
  );
  await env.DB.batch([
    env.DB.prepare(
      `insert into tokens (workspace_uuid, token_id, created_at, replaced_by)
       select ?1, 'tok-' || (value ->> 'n'), 1, 'next-' || (value ->> 'n') from json_each(?2)`,
    ).bind(scene.workspace, due),
    env.DB.prepare(
      `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, next_at, created_at)
       select value ->> 'id', 'rotation', ?1, 'tok-' || (value ->> 'n'), 'revoke', 4, 'scheduled', ?3 + (value ->> 'n'), 1
       from json_each(?2)`,
    ).bind(scene.workspace, due, scene.now()),
  ]);
  scene.elapse(60);
  for (const run of [1, 2]) {
    await cronAfter(60_000);
    const begun = (await ordersOf(scene)).filter(({ state }) => state !== 'scheduled');
    const first = run * ORDERS_BEGIN_MAX_ROWS;
    expect(begun.map(({ token_id }) => Number(token_id.slice(4))).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: first }, (_item, index) => index + 1),
    );
    const rows = (await scene.rows()).filter(({ action }) => action === 'service_account_token.revoke');
    const successors = rows.map(({ detail }): string => JSON.parse(detail).replaced_by);
    expect(successors.toSorted()).toEqual(begun.map(({ token_id }) => token_id.replace('tok', 'next')).toSorted());
    const line = scene.lines.findLast(({ event }) => event === 'cron');
    expect(line?.['d1_queries']).toBeLessThan(CRON_SHARES.orders.d1Queries + CRON_SHARES.attempts.d1Queries);
  }
});

describe('a suspension of a token that nobody uses', () => {
  const suspendUnused = async (): Promise<string> => {
    const order = {
      id: crypto.randomUUID(),
      ...refOf(old.id),
      cause: 'unused',
      mode: 'suspend',
      state: 'open',
    } as const;
    const evidence = { last_used_at: null };
    await database.batch(
      context,
      orderAnew(database, context, SYSTEM_ACTOR, { ...order, nowMs: scene.now() }, evidence, sql`true`),
    );
    return order.id;
  };

  it('says why from PipeOps’ acknowledgement on, and its owner resumes it', async () => {
    const id = await suspendUnused();
    scene.pipeops.behave({ intercept: () => Response.json({ success: false, message: 'down' }, { status: 503 }) });
    await cronAfter(0);
    expect((await inInventory())?.suspended_by).toBeNull();
    scene.pipeops.beHonest();
    await cronAfter(60_000);
    expect(scene.pipeops.tokens.get(old.id)?.isActive).toBe(false);
    expect((await inInventory())?.suspended_by).toBe('["unused"]');
    expect(await rowsOf(id)).toMatchObject([
      { action: 'service_account_token.update', actor_type: 'system', status: 'success' },
    ]);
    expect((await patch({ is_active: true })).status).toBe(200);
    expect((await inInventory())?.suspended_by).toBeNull();
    expect(scene.pipeops.tokens.get(old.id)?.isActive).toBe(true);
    await scene.minutes(10);
    expect(await orderOf(id)).toMatchObject({ state: 'lifted' });
    expect(scene.pipeops.tokens.get(old.id)?.isActive).toBe(true);
  });

  it('stands beside the reason of an administrator, which the owner does not lift', async () => {
    expect((await patch({ is_active: false }, 'admin')).status).toBe(200);
    await suspendUnused();
    await cronAfter(0);
    expect((await inInventory())?.suspended_by).toBe('["administrator","unused"]');
    expect((await patch({ is_active: true })).status).toBe(200);
    expect((await inInventory())?.suspended_by).toBe('["administrator"]');
    expect(scene.pipeops.tokens.get(old.id)?.isActive).toBe(false);
  });
});
