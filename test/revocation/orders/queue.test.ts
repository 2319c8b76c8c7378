import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import { CONTRADICTION_AFTER_MS, ORDERS_LEASE_MS, UNKNOWN_WORKSPACES_MAX_COUNT } from '../../../src/config/limits.ts';
import type { OrderRow } from '../../../src/db/schema.ts';
import {
  countLeased,
  endTokens,
  EXPIRED_RANKS,
  isDeliveryOf,
  isInUnknownTurn,
  isLeasedAs,
  KNOWN_RANKS,
  type LeasedOrder,
  leaseDueOrders,
  type LeaseTerms,
  moveOrders,
  releaseOrders,
  reviveTokens,
  selectWork,
  UNKNOWN_RANKS,
  URGENT_RANKS,
} from '../../../src/revocation/orders/queue.ts';
import { afterLook, afterSilence, type Move } from '../../../src/revocation/orders/rules.ts';
import { DRIVEN, type DrivenState, ORDER_COLUMNS, SENT } from '../../../src/revocation/orders/states.ts';
import { context, database, leased, moment, NOW, send, stored, storeEvent, storeToken, WORKSPACE } from './leased.ts';

// What a driver reads and writes of orders, statement by statement.

const OTHER = '0b0b0b0b-0000-4000-8000-000000000000';
beforeEach(async () => {
  await env.DB.batch(
    ['revocation_orders', 'tokens', 'upstream_limits', 'webhook_deliveries'].map((table) =>
      env.DB.prepare(`delete from ${table}`),
    ),
  );
});

const rowOf = async ({ id }: Pick<OrderRow, 'id'>): Promise<OrderRow | null> =>
  await env.DB.prepare('select * from revocation_orders where id = ?').bind(id).first<OrderRow>();
const tokenOf = async (tokenId: string, workspace = WORKSPACE) =>
  await env.DB.prepare('select revoked_at, ended_by, unseen_at from tokens where token_id = ? and workspace_uuid = ?')
    .bind(tokenId, workspace)
    .first();

const termsWith = (values: Partial<LeaseTerms> = {}): LeaseTerms => ({
  lease: 'lease',
  states: SENT,
  ranks: URGENT_RANKS,
  of: null,
  limitRows: 10,
  nowMs: NOW,
  ...values,
});
async function lease(values: Partial<LeaseTerms> = {}): Promise<readonly LeasedOrder[]> {
  const sent = await database.batch(context, leaseDueOrders(database, termsWith(values)));
  if (!sent.ok) throw new Error('D1 does not take it');
  return sent.value[1];
}
const idsOf = (orders: readonly { readonly id: string }[]): readonly string[] => orders.map(({ id }) => id);

describe('a lease', () => {
  it('takes orders that are due, by rank, and says until when', async () => {
    const second = await stored({ rank: 1, begun_at: 5, tries: 2 });
    const first = await stored({ rank: 0, created_at: NOW });
    await stored({ next_at: NOW + 1 });
    await stored({ next_at: null });
    await stored({ state: 'acknowledged' });
    await stored({ rank: 2 });
    expect(idsOf(await lease())).toEqual([first.id, second.id]);
    const held = { claim: 'lease', next_at: NOW + ORDERS_LEASE_MS };
    expect(await rowOf(first)).toEqual({ ...first, ...held, tries: 1, begun_at: NOW });
    expect(await rowOf(second)).toEqual({ ...second, ...held, tries: 3, begun_at: 5 });
    expect(await lease({ lease: 'another' })).toEqual([]);
  });

  it('takes as many as it may, of the lowest rank and then those that have waited longest', async () => {
    const [late, early] = [await stored({ next_at: NOW - 1 }), await stored({ next_at: NOW - 2 })];
    const leak = await stored({ rank: 0 });
    expect(idsOf(await lease({ limitRows: 2 }))).toEqual([leak.id, early.id]);
    expect(idsOf(await lease({ lease: 'another', limitRows: 2 }))).toEqual([late.id]);
  });

  it.each<[string, LeaseTerms['of'], readonly number[]]>([
    ['of a delivery', { deliveryId: 'one' }, [0, 1]],
    ['alone', { orderId: 'that' }, [1]],
    ['all', null, [0, 1, 2]],
  ])('takes the orders that a run is about: %s', async (_name, of, taken) => {
    const orders = [
      await stored({ delivery_id: 'one' }),
      await stored({ id: 'that', delivery_id: 'one' }),
      await stored({ delivery_id: 'two' }),
      await stored({ delivery_id: 'one', rank: 2 }),
    ];
    expect(idsOf(await lease({ of })).toSorted()).toEqual(idsOf(taken.map((index) => orders[index]!)).toSorted());
  });

  it('of one order takes it only in its rank', async () => {
    const { id } = await stored({ rank: 2 });
    expect(await lease({ of: { orderId: id } })).toEqual([]);
    expect(idsOf(await lease({ of: { orderId: id }, ranks: EXPIRED_RANKS }))).toEqual([id]);
  });

  it('takes nothing else than what it is told, and nothing while PipeOps says wait', async () => {
    await stored();
    expect(await lease({ among: sql`1 = 2` })).toEqual([]);
    await env.DB.prepare(`insert into upstream_limits values ('all', ?, null)`)
      .bind(NOW + 60_000)
      .run();
    expect(await lease()).toEqual([]);
  });

  it('is read by itself, and counted', async () => {
    const held = { next_at: NOW + ORDERS_LEASE_MS, claim: 'lease' };
    await stored({ ...held, claim: 'another' });
    await stored({ ...held, rank: 2 });
    await stored({ ...held, next_at: NOW + 5 });
    const own = await stored();
    expect(idsOf(await lease())).toEqual([own.id]);
    const counted = sql<number>`${countLeased(termsWith())}`.as('count');
    expect(await send(database.build.select({ count: counted }).from(sql`(select 1)`))).toEqual([{ count: 1 }]);
  });

  it('gives an order with all that is known of it', async () => {
    const order = await stored({
      cause: 'unused',
      mode: 'suspend',
      state: 'confirmed',
      result: 'suspended',
      error_code: 'upstream_error',
      acknowledged_at: 3,
      confirmed_at: 4,
      confirm_round: 2,
      unseen_at: 6,
      contradicted_at: 7,
    });
    await storeEvent({ id: order.id });
    await storeToken({ token_id: order.token_id, ended_by: 'listed', suspended_by: '["owner"]' });
    const { claim: _claim, delivery_id: _delivery, ...columns } = order;
    expect(await lease({ states: DRIVEN })).toEqual([
      {
        ...columns,
        tries: 1,
        next_at: NOW + ORDERS_LEASE_MS,
        begun_at: NOW,
        known: 1,
        ended_by: 'listed',
        suspended_by: '["owner"]',
        attempted: 1,
        updated_until: null,
      },
    ]);
  });

  it('knows nothing of an order by the token or the row of another', async () => {
    const order = await stored();
    await storeToken({ token_id: order.token_id, workspace_uuid: OTHER });
    await storeToken({ token_id: 'another' });
    await storeEvent();
    await storeEvent({ id: order.id, status: 'success', settled_at: NOW, outcome: '{}' });
    expect(await lease()).toMatchObject([{ id: order.id, known: 0, ended_by: null, attempted: 0 }]);
  });

  const UPDATE = { action: 'service_account_token.update', actor_type: 'user' };
  const SETTLED = { status: 'success', outcome: '{}' };
  it.each<[string, Readonly<Record<string, unknown>>, number | null]>([
    ['an update that is under way', UPDATE, Number.MAX_SAFE_INTEGER],
    ['a create that is under way', { ...UPDATE, action: 'service_account_token.create' }, Number.MAX_SAFE_INTEGER],
    ['an update that ended since', { ...UPDATE, ...SETTLED, settled_at: NOW - 999 }, NOW - 999],
    ['an update that ended before', { ...UPDATE, ...SETTLED, settled_at: NOW - 1_000 }, null],
    ['a revoke', { ...UPDATE, action: 'service_account_token.revoke' }, null],
    ['an update by the system', { ...UPDATE, actor_type: 'system' }, null],
    ['an update of another workspace', { ...UPDATE, workspace_uuid: OTHER }, null],
    ['an update of another token', { ...UPDATE, token_id: 'another' }, null],
  ])('waits for what a caller does beside an order: %s', async (_name, event, until) => {
    const order = await stored();
    await storeEvent({ token_id: order.token_id, ...event });
    expect(await lease()).toMatchObject([{ updated_until: until }]);
  });

  it('does not wait for what another order does', async () => {
    const order = await stored();
    const other = await stored({ next_at: null });
    await storeEvent({ ...UPDATE, id: other.id, token_id: order.token_id });
    expect(await lease()).toMatchObject([{ updated_until: null }]);
  });

  it('that is given back leaves orders as if they had not been leased', async () => {
    const [fresh, tried, kept, others] = [
      await stored(),
      await stored({ tries: 1, begun_at: 5 }),
      await stored(),
      await stored({ claim: 'another', next_at: NOW + 9, tries: 4 }),
    ];
    await lease();
    const later = NOW + 3;
    await send(releaseOrders(database, 'lease', idsOf([fresh, tried, others]), later));
    expect(await rowOf(fresh)).toEqual({ ...fresh, next_at: later });
    expect(await rowOf(tried)).toEqual({ ...tried, next_at: later });
    expect(await rowOf(kept)).toMatchObject({ claim: 'lease', tries: 1 });
    expect(await rowOf(others)).toEqual(others);
  });
});

describe('a turn of unknown workspaces', () => {
  const unknown = async (workspace: string, values: Partial<OrderRow> = {}) =>
    await stored({ workspace_uuid: workspace, delivery_id: workspace, rank: 3, next_at: NOW - 5, ...values });
  /** The workspaces that are asked about. */
  const turn = async () => {
    const orders = await lease({ states: DRIVEN, ranks: UNKNOWN_RANKS, limitRows: 100, among: isInUnknownTurn(NOW) });
    return [...new Set(orders.map(({ workspace_uuid: workspace }) => workspace))].toSorted();
  };
  const NAMES = Array.from({ length: UNKNOWN_WORKSPACES_MAX_COUNT }, (_item, index) => `w-${index}`);

  it('asks about so many at the most, those first that were tried least, and then those that wait longest', async () => {
    for (const name of NAMES) await unknown(name, { tries: 1, next_at: NOW - 5 });
    await unknown('tried more', { tries: 2, next_at: NOW - 9 });
    await unknown('waits longest', { tries: 1, next_at: NOW - 6 });
    await unknown('tried least', { tries: 0, next_at: NOW });
    const asked = await turn();
    expect(asked).toHaveLength(UNKNOWN_WORKSPACES_MAX_COUNT);
    expect(asked).toEqual(expect.arrayContaining(['waits longest', 'tried least']));
    expect(asked).not.toContain('tried more');
  });

  it('asks about one workspace of each delivery before the second of any', async () => {
    for (const name of NAMES) await unknown(name, { delivery_id: 'makes them up', next_at: NOW - 9 });
    await unknown('of another delivery', { tries: 3 });
    expect(await turn()).toContain('of another delivery');
  });

  it.each<[string, Partial<OrderRow>]>([
    ['known', { rank: 1 }],
    ['not due', { next_at: NOW + 1 }],
    ['over', { state: 'failed' }],
  ])('is not used up by orders that are %s', async (_name, values) => {
    for (const name of NAMES) await unknown(name, { next_at: NOW - 9, ...values });
    await unknown('waits', { tries: 1 });
    expect(await turn()).toContain('waits');
  });

  it('asks about orders that are due just now', async () => {
    await unknown('now', { next_at: NOW });
    expect(await turn()).toEqual(['now']);
  });

  const REFUSED = { rank: 1, tries: 2, next_at: NOW + 1, error_code: 'workspace_unavailable' } as const;
  it.each<[string, Partial<OrderRow>, Partial<OrderRow>, boolean]>([
    ['wait with those that PipeOps refused', REFUSED, {}, false],
    ['wait with those that are forbidden', { ...REFUSED, error_code: 'upstream_forbidden' }, {}, false],
    ['go on after they were tried themselves', REFUSED, { tries: 1 }, true],
    ['go on where those are due', { ...REFUSED, next_at: NOW }, {}, true],
    ['go on where those wait for something else', { ...REFUSED, error_code: 'upstream_error' }, {}, true],
    ['go on where those are acknowledged', { ...REFUSED, state: 'acknowledged' }, {}, true],
    ['go on where those are elsewhere', { ...REFUSED, workspace_uuid: 'elsewhere' }, {}, true],
  ])('orders of a workspace %s', async (_name, earlier, values, isAsked) => {
    await stored({ workspace_uuid: 'here', ...earlier });
    await unknown('here', values);
    expect(await turn()).toEqual(isAsked ? ['here'] : []);
  });
});

describe('what there is to do', () => {
  const NONE = { looks: 0, expired: 0, unmade: 0, unknown: 0 };
  const work = async (of: LeaseTerms['of'] = null) => (await send(selectWork(database, NOW, of)))[0];

  it.each<[string, Partial<OrderRow>, object]>([
    ['nothing', { state: 'failed' }, {}],
    ['an order to be sent', {}, {}],
    ['a look', { state: 'acknowledged' }, { looks: 1 }],
    ['a look at an expired token', { state: 'confirmed', rank: 2 }, { looks: 1 }],
    ['an expired token', { rank: 2 }, { expired: 1 }],
    ['an unknown one', { rank: 3 }, { unknown: 1 }],
    ['a look at an unknown one', { rank: 3, state: 'acknowledged' }, { unknown: 1 }],
    ['an unknown one that failed', { rank: 3, state: 'failed' }, {}],
    ['an expired one later', { rank: 2, next_at: NOW + 1 }, {}],
  ])('is %s', async (_name, values, due) => {
    await stored(values);
    expect(await work()).toEqual({ ...NONE, ...due });
  });

  it('is that of a run alone', async () => {
    const { id } = await stored({ delivery_id: 'one', rank: 2 });
    await stored({ delivery_id: 'two', state: 'acknowledged' });
    expect(await work({ deliveryId: 'one' })).toEqual({ ...NONE, expired: 1 });
    expect(await work({ orderId: id })).toEqual({ ...NONE, expired: 1 });
    expect(await work({ deliveryId: 'three' })).toEqual(NONE);
  });

  it.each([
    [1, null, 1],
    [1, { deliveryId: 'd-1' }, 1],
    [1, { deliveryId: 'd-2' }, 0],
    [1, { orderId: 'd-1' }, 0],
    [0, null, 0],
  ])('is the rest of a delivery: %i left, %j', async (left, of, unmade) => {
    await env.DB.prepare(
      `insert into webhook_deliveries (id, source, event, dedupe_key, event_id, received_at, mode, orders_left)
       values ('d-1', 'hr', 'subject.offboarded', 'd', 'd', 1, 'revoke', ?)`,
    )
      .bind(left)
      .run();
    expect(await work(of)).toEqual({ ...NONE, unmade });
    const isOf = sql<number>`${isDeliveryOf(of)}`.as('is_of');
    const asked = database.build.select({ isOf }).from(sql`(select 'd-1' as id) as webhook_deliveries`);
    expect(await send(asked)).toEqual([
      { is_of: of === null || ('deliveryId' in of && of.deliveryId === 'd-1') ? 1 : 0 },
    ]);
  });

  it('has a rank for each kind of work', () => {
    expect([...KNOWN_RANKS, ...UNKNOWN_RANKS]).toEqual([0, 1, 2, 3]);
  });
});

describe('a move', () => {
  const columnsOf = ({ columns }: Move) => Object.fromEntries(ORDER_COLUMNS.map((name) => [name, columns[name]]));
  const HELD = { claim: 'lease', next_at: NOW + ORDERS_LEASE_MS } as const;
  const asLeased = <S extends DrivenState>(row: OrderRow, state: S) => leased(state, { ...row, state });

  it('is written where its order is as it was judged, and ends the lease', async () => {
    const [row, beside] = [await stored({ ...HELD, tries: 3 }), await stored(HELD)];
    const move = afterSilence(asLeased(row, 'open'), moment);
    const failed = { ...move, columns: { ...move.columns, state: 'failed', unseen_at: 4, confirm_round: 2 } } as const;
    await send(moveOrders(database, [{ order: asLeased(row, 'open'), move: failed }], isLeasedAs('lease')));
    expect(await rowOf(row)).toEqual({ ...row, ...columnsOf(failed), claim: null });
    expect(await rowOf(beside)).toEqual(beside);
  });

  it.each<[string, Partial<OrderRow>]>([
    ['has moved', { state: 'lifted' }],
    ['is leased by another', { claim: 'another' }],
    ['is no longer leased', { claim: null }],
  ])('is not written where its order %s', async (_name, values) => {
    const row = await stored({ ...HELD, ...values });
    const order = asLeased(row, 'open');
    await send(moveOrders(database, [{ order, move: afterSilence(order, moment) }], isLeasedAs('lease')));
    expect(await rowOf(row)).toEqual(row);
  });

  it.each<[string, Partial<OrderRow>, boolean]>([
    ['under its lease', {}, true],
    ['that another look has reopened', { state: 'open', claim: null }, true],
    ['that is reopened and leased', { state: 'open', claim: 'another' }, false],
    ['that has moved on', { state: 'failed', claim: null }, false],
  ])('of a look that contradicts an order is written to one %s', async (_name, values, isWritten) => {
    const row = await stored({ ...HELD, state: 'acknowledged', acknowledged_at: 5, ...values });
    const order = leased('acknowledged', { ...row, state: 'acknowledged', acknowledged_at: 5 } as never);
    const move = afterLook(order, 'alive', { ...moment, begunAtMs: NOW, updatedUntilMs: null, isLifted: false });
    await send(moveOrders(database, [{ order, move }], isLeasedAs('lease')));
    expect(await rowOf(row)).toEqual(isWritten ? { ...row, ...columnsOf(move), claim: null } : row);
  });
});

describe('the tokens of orders', () => {
  const END = { revoked_at: NOW, ended_by: 'acknowledged', unseen_at: null };

  it.each([
    ['has no end', null, END],
    ['was listed as revoked', 'listed', END],
    ['has ended by another revoke', 'acknowledged', null],
    ['is gone', 'absent', null],
  ])('end with what PipeOps acknowledges: one that %s', async (_name, ended_by, end) => {
    const order = await stored({ state: 'acknowledged' });
    const before = { revoked_at: ended_by === null ? null : 5, ended_by, unseen_at: 6 };
    await storeToken({ token_id: order.token_id, ...before });
    await storeToken({ token_id: 'another' });
    await send(endTokens(database, [order.id], NOW, sql`1 = 2`));
    expect(await tokenOf(order.token_id)).toEqual(before);
    await send(endTokens(database, [order.id], NOW, sql`1 = 1`));
    expect(await tokenOf(order.token_id)).toEqual(end ?? before);
    expect(await tokenOf('another')).toEqual({ revoked_at: null, ended_by: null, unseen_at: null });
  });

  it('do not end while their order is open', async () => {
    const order = await stored();
    await storeToken({ token_id: order.token_id });
    await send(endTokens(database, [order.id], NOW, sql`1 = 1`));
    expect(await tokenOf(order.token_id)).toMatchObject({ revoked_at: null });
  });

  it.each([
    ['open', CONTRADICTION_AFTER_MS, true],
    ['open', CONTRADICTION_AFTER_MS - 1, false],
    ['acknowledged', CONTRADICTION_AFTER_MS, false],
  ] as const)('have no end where a look contradicts it: %s, %i ms ago', async (state, agoMs, isRevived) => {
    const order = await stored({ state });
    const end = { revoked_at: NOW - agoMs, ended_by: 'acknowledged', unseen_at: 6 };
    await storeToken({ token_id: order.token_id, ...end });
    await storeToken({ token_id: 'another', ...end });
    await send(reviveTokens(database, [order.id], NOW));
    expect(await tokenOf(order.token_id)).toEqual(
      isRevived ? { revoked_at: null, ended_by: null, unseen_at: null } : end,
    );
    expect(await tokenOf('another')).toEqual(end);
  });
});
