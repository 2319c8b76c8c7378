import { sql, type SQL } from 'drizzle-orm';
import { CONTRADICTION_AFTER_MS, ORDERS_LEASE_MS, UNKNOWN_WORKSPACES_MAX_COUNT } from '../../config/limits.ts';
import type { Database, Query, RowsOf } from '../../db/database.ts';
import { revocationOrders, tokens } from '../../db/schema.ts';
import { idsOf } from '../../db/sql.ts';
import { canonicalWorkspace } from '../../db/workspace-spelling.ts';
import { ORDER_RANKS } from '../../inventory/orders.ts';
import { mustWait } from '../../pipeops/quota-news.ts';
import type { OrderState } from '../../vocabulary.ts';
import { isReopening, type Move } from './rules.ts';
import { DRIVEN, type DrivenState, isIn, LOOKED_AT, ORDER_COLUMNS, ORDER_STATE, SENT } from './states.ts';

// What a driver reads and writes of orders: leases, moves and what goes with them. Each query is sent by whoever has a batch to
// put it in.

/** An order in one of these states that a driver has leased, and what D1 knows of its token. */
export type LeasedOrder<S extends DrivenState = DrivenState> = S extends DrivenState
  ? Omit<RowsOf<ReturnType<typeof selectLeased>>[number], 'state'> & { readonly state: S }
  : never;

/** Whose orders a run is about: those of a delivery, one alone, or all if null. */
export type OrdersOf = { readonly deliveryId: string } | { readonly orderId: string } | null;

/** Which orders to lease, and for whom. */
export interface LeaseTerms<S extends DrivenState = DrivenState> {
  /** The id of this lease: no two are the same. */
  readonly lease: string;
  readonly states: readonly S[];
  readonly ranks: readonly number[];
  readonly of: OrdersOf;
  readonly limitRows: number;
  readonly nowMs: number;
  /** A further condition on the orders. */
  readonly among?: SQL;
}

export const URGENT_RANKS = [ORDER_RANKS.leak, ORDER_RANKS.live] as const;
export const EXPIRED_RANKS = [ORDER_RANKS.expired] as const;
export const KNOWN_RANKS = [...URGENT_RANKS, ...EXPIRED_RANKS] as const;
export const UNKNOWN_RANKS = [ORDER_RANKS.unknown] as const;

/**
 * Leases orders that are due, by rank and then those that have waited longest, and reads them: two queries of one batch. A leased
 * order is due again when its lease ends, so no two drivers send one order at once, and a driver that died is followed by
 * another. While PipeOps says wait, nothing is due, except for the call a minute that is tried all the same.
 */
export function leaseDueOrders<S extends DrivenState>(database: Database, terms: LeaseTerms<S>) {
  const { lease, states, ranks, of, limitRows, nowMs, among = sql`true` } = terms;
  // One query for each rank, so that the index gives the rows of each in order and no others are read.
  const dueOf = (rank: number): SQL => sql`
    select * from (select id, rank, next_at from revocation_orders
      where ${isOf(of, sql`rank = ${rank}`)}
        and next_at <= ${nowMs} and ${isIn('state', states)} and ${among}
      order by next_at limit ${limitRows})`;
  const due = sql`(select id from (${sql.join(ranks.map(dueOf), sql` union all `)})
    order by rank, next_at limit ${limitRows})`;
  const orders = revocationOrders;
  return [
    database.build
      .update(orders)
      .set({
        claim: lease,
        next_at: nowMs + ORDERS_LEASE_MS,
        tries: sql`${orders.tries} + 1`,
        begun_at: sql`coalesce(${orders.begun_at}, ${nowMs})`,
      })
      .where(sql`${orders.id} in ${due} and not ${mustWait(nowMs)}`),
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the query before has leased orders in these states alone
    selectLeased(database, terms) as unknown as Query<LeasedOrder<S>[]>,
  ] as const;
}

/**
 * Whether an order of some ranks is among those of a run. The plus keeps SQLite from the index of all that are due, where the orders of
 * one delivery, or one order, are found without it.
 */
function isOf(of: OrdersOf, isOfRanks: SQL): SQL {
  if (of === null) return isOfRanks;
  return 'orderId' in of
    ? sql`id = ${of.orderId} and +${isOfRanks}`
    : sql`delivery_id = ${of.deliveryId} and +${isOfRanks}`;
}

const selectLeased = ({ build }: Database, terms: LeaseTerms) => {
  const orders = revocationOrders;
  return build
    .select({
      id: orders.id,
      cause: orders.cause,
      workspace_uuid: orders.workspace_uuid,
      token_id: orders.token_id,
      mode: orders.mode,
      rank: orders.rank,
      created_at: orders.created_at,
      state: orders.state,
      result: orders.result,
      error_code: orders.error_code,
      tries: orders.tries,
      next_at: orders.next_at,
      begun_at: orders.begun_at,
      acknowledged_at: orders.acknowledged_at,
      confirmed_at: orders.confirmed_at,
      confirm_round: orders.confirm_round,
      unseen_at: orders.unseen_at,
      contradicted_at: orders.contradicted_at,
      /** 1 if the inventory has its token. */
      known: sql<number>`${tokens.token_id} is not null`.as('known'),
      ended_by: tokens.ended_by,
      suspended_by: tokens.suspended_by,
      /** 1 if its row in the trail is open. */
      attempted:
        sql<number>`exists (select 1 from audit_events as e where e.id = revocation_orders.id and e.status = 'attempted')`.as(
          'attempted',
        ),
      /** See `LookContext.updatedUntilMs`. */
      updated_until: sql<number | null>`(select max(case e.status when 'attempted' then ${Number.MAX_SAFE_INTEGER}
        else e.settled_at end) from ${BESIDE})`.as('updated_until'),
    })
    .from(orders)
    .leftJoin(
      tokens,
      sql`${tokens.workspace_uuid} = ${orders.workspace_uuid} and ${tokens.token_id} = ${orders.token_id}`,
    )
    .where(isLeased(terms))
    .orderBy(orders.rank, orders.created_at, orders.id);
};

/** Updates and creates of the order's token by callers, which no order caused. */
const BESIDE = sql`audit_events as e indexed by audit_events_token_id
  where e.token_id = revocation_orders.token_id and ${canonicalWorkspace('e.workspace_uuid')} = revocation_orders.workspace_uuid
    and e.action in ('service_account_token.update', 'service_account_token.create')
    and e.actor_type <> 'system' and (e.status = 'attempted' or e.settled_at > revocation_orders.created_at)
    and not exists (select 1 from revocation_orders as other where other.id = e.id)`;

/** By the index: what this lease has is due when the lease ends. */
const isLeased = ({ ranks, nowMs, lease }: LeaseTerms): SQL =>
  sql`${revocationOrders.rank} in (${sql.raw(ranks.join(', '))}) and ${revocationOrders.next_at} = ${nowMs + ORDERS_LEASE_MS}
    and ${revocationOrders.claim} = ${lease}`;

/** How many orders a lease has, in the batch that makes it. */
export const countLeased = (terms: LeaseTerms): SQL =>
  sql`(select count(*) from ${revocationOrders} where ${isLeased(terms)})`;

/**
 * Whether an order's workspace is one of those that an unknown turn asks about, UNKNOWN_WORKSPACES_MAX_COUNT at the most. One
 * workspace of each delivery comes before the second of any, and those tried least come first, so that a sender that makes up a
 * thousand workspaces delays no other. While orders wait because PipeOps refused their workspace, later ones of it wait too.
 */
export const isInUnknownTurn = (nowMs: number): SQL => sql`workspace_uuid in (
  select workspace_uuid from (
    select w.workspace_uuid, w.tries, w.since, row_number() over (partition by w.delivery_id order by w.tries, w.since, w.workspace_uuid) as turn
    from (select d.workspace_uuid, max(d.delivery_id) as delivery_id, min(d.tries) as tries, min(d.next_at) as since
      from revocation_orders as d where ${isIn('d.rank', UNKNOWN_RANKS)} and d.next_at <= ${nowMs}
        and ${isIn('d.state', DRIVEN)} group by d.workspace_uuid) as w
    where w.tries > 0 or not exists (select 1 from revocation_orders as other where other.workspace_uuid = w.workspace_uuid
      and ${isIn('other.state', SENT)} and other.next_at > ${nowMs}
      and other.error_code in ('workspace_unavailable', 'upstream_forbidden')))
  order by turn, tries, since limit ${UNKNOWN_WORKSPACES_MAX_COUNT})`;

/**
 * Whether orders are due for a look, or to be compared with a list, or to be made, or to be asked about in an unknown workspace:
 * 1 or 0 each. Nearly always each is 0.
 */
export const selectWork = ({ build }: Database, nowMs: number, of: OrdersOf) => {
  const isDue = (
    states: readonly OrderState[],
    ranks: readonly number[],
  ): SQL => sql`exists (select 1 from revocation_orders
    where ${isOf(of, sql`rank in (${sql.raw(ranks.join(', '))})`)}
      and next_at <= ${nowMs} and ${isIn('state', states)})`;
  const isUnmade = sql`exists (select 1 from webhook_deliveries where orders_left = 1
    and ${isDeliveryOf(of)})`;
  return build
    .select({
      looks: sql<number>`w.looks`.as('looks'),
      expired: sql<number>`w.expired`.as('expired'),
      unmade: sql<number>`w.unmade`.as('unmade'),
      unknown: sql<number>`w.unknown`.as('unknown'),
    })
    .from(
      sql`(select ${isDue(LOOKED_AT, KNOWN_RANKS)} as looks, ${isDue(SENT, EXPIRED_RANKS)} as expired, ${isUnmade} as unmade,
        ${isDue(DRIVEN, UNKNOWN_RANKS)} as unknown) as w`,
    );
};

/** Whether a delivery is one whose orders a run is about. The statement may read other tables too. */
export function isDeliveryOf(of: OrdersOf): SQL {
  if (of === null) return sql`true`;
  return 'orderId' in of ? sql`false` : sql`webhook_deliveries.id = ${of.deliveryId}`;
}

/** An order and what becomes of it. */
export interface MovedOrder {
  readonly order: LeasedOrder;
  readonly move: Move;
}

/**
 * Writes down what orders have become, any number of them in one query, each only where its state is still the one that was
 * judged. A look that contradicts an order may find that another look has reopened it just now: it is written all the same.
 *
 * @param guard `isLeasedAs`, or what proves as well that no other driver moves these orders.
 */
export function moveOrders({ build }: Database, moved: readonly MovedOrder[], guard: SQL) {
  const rows = moved.map(({ order, move }) => ({
    id: order.id,
    was: order.state,
    reopens: isReopening(move) ? 1 : 0,
    ...Object.fromEntries(ORDER_COLUMNS.map((name) => [name, move.columns[name]])),
  }));
  const fields = ['id', 'was', 'reopens', ...ORDER_COLUMNS].map((name) => sql.raw(`value ->> '${name}' as ${name}`));
  const become = Object.fromEntries(ORDER_COLUMNS.map((name) => [name, sql.raw(`become.${name}`)]));
  return build
    .update(revocationOrders)
    .set({ ...become, claim: null })
    .from(sql`(select ${sql.join(fields, sql`, `)} from json_each(${JSON.stringify(rows)})) as become`)
    .where(
      sql`revocation_orders.id = become.id and ((revocation_orders.state = become.was and ${guard})
        or (become.reopens and revocation_orders.state = ${ORDER_STATE.open} and revocation_orders.claim is null))`,
    );
}

/** The guard of orders under a lease. */
export const isLeasedAs = (lease: string): SQL => sql`revocation_orders.claim = ${lease}`;

/** Gives back orders that were leased and not tried: they are due again at once, as if they had not been leased. */
export const releaseOrders = ({ build }: Database, lease: string, ids: readonly string[], nowMs: number) =>
  build
    .update(revocationOrders)
    .set({
      next_at: nowMs,
      tries: sql`max(${revocationOrders.tries} - 1, 0)`,
      begun_at: sql`case when ${revocationOrders.tries} > 1 then ${revocationOrders.begun_at} end`,
      claim: null,
    })
    .where(sql`${revocationOrders.id} in ${idsOf(ids)} and ${revocationOrders.claim} = ${lease}`);

/** Whether a token is one of those of the orders that are in one of these states. */
export const isTokenOf = (ids: readonly string[], states: readonly OrderState[]): SQL =>
  sql`(workspace_uuid, token_id) in (select o.workspace_uuid, o.token_id from json_each(${JSON.stringify(ids)}) as j
    join revocation_orders as o on o.id = j.value where ${isIn('o.state', states)})`;

/** Notes that PipeOps has acknowledged the end of the orders' tokens, where `guard` holds. A proven end stays as it is. */
export const endTokens = ({ build }: Database, ids: readonly string[], nowMs: number, guard: SQL) =>
  build
    .update(tokens)
    .set({ revoked_at: nowMs, ended_by: 'acknowledged', unseen_at: null })
    .where(
      sql`${isTokenOf(ids, [ORDER_STATE.acknowledged])}
        and (${tokens.ended_by} is null or ${tokens.ended_by} not in ('acknowledged', 'absent')) and ${guard}`,
    );

/**
 * Notes that the tokens of reopened orders have no end after all. An end younger than CONTRADICTION_AFTER_MS stays: it may be
 * another order's, and later than the look.
 */
export const reviveTokens = ({ build }: Database, ids: readonly string[], nowMs: number) =>
  build
    .update(tokens)
    .set({ revoked_at: null, ended_by: null, unseen_at: null })
    .where(sql`${isTokenOf(ids, [ORDER_STATE.open])} and ${tokens.revoked_at} <= ${nowMs - CONTRADICTION_AFTER_MS}`);
