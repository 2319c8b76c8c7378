import { eq, sql, type SQL } from 'drizzle-orm';
import { ORDERS_MAKE_BATCH_ROWS, ORDERS_MAKE_BATCHES_MAX_COUNT, ORDERS_MAKE_MAX_QUERIES } from '../../config/limits.ts';
import type { Database, Query, RowsOf } from '../../db/database.ts';
import { auditEvents, type DeliveryRow, revocationOrders, webhookDeliveries, webhookItems } from '../../db/schema.ts';
import { isEndUnproven, newUuid, selectedRow } from '../../db/sql.ts';
import { addSuspension } from '../../inventory/inventory.ts';
import { ORDER_RANKS } from '../../inventory/orders.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { DriverDependencies } from '../dependencies.ts';
import { isDeliveryOf } from './queue.ts';
import type { Run } from './run.ts';
import { ORDER_ACTIONS, STATE_LITERALS, ORDER_STATE } from './states.ts';
import {
  type Actor,
  attemptedRow,
  eventSubject,
  type NewAuditRow,
  type Origin,
  SYSTEM_ACTOR,
} from '../../trail/event.ts';
import { insertOrderEvents, listedRow } from '../../trail/statements.ts';
import type { OrderCause, RevocationMode } from '../../vocabulary.ts';

/** What the orders of a delivery have in common. */
export interface OrderTerms {
  readonly deliveryId: string;
  readonly event: string;
  readonly mode: RevocationMode;
  readonly nowMs: number;
  /** Who ordered the delivery: a sender of webhooks, or a caller. The row of each order says so. */
  readonly actor: Actor;
}

/** What of a delivery its orders are made from. */
type OrderingDelivery = Pick<DeliveryRow, 'id' | 'event' | 'mode' | 'received_at'>;

type Making = Pick<DriverDependencies, 'database'> & { readonly runtime: Pick<Runtime, 'newId'> };

/**
 * Makes an order for each token of ours that a delivery named, with its row in the trail, whatever the inventory says of its end. The
 * order of a token that is gone is confirmed without a call.
 *
 * @param namedWorkspaces the workspaces that the configuration names.
 * @param namedCount how many tokens the delivery names.
 */
export function orderMatched(
  making: Making,
  origin: Origin,
  terms: OrderTerms,
  cause: Extract<OrderCause, 'leak' | 'command'>,
  namedWorkspaces: readonly string[],
  namedCount: number,
): readonly Query[] {
  // One id may be that of tokens in two workspaces.
  const rows = orderRows(making, origin, terms, 2 * namedCount);
  const order = {
    ...orderRow(terms, cause, rows),
    workspace_uuid: sql`target.workspace_uuid`,
    token_id: sql`target.token_id`,
    rank: cause === 'leak' ? ORDER_RANKS.leak : commandRank(namedWorkspaces),
  };
  return [
    making.database.build.insert(revocationOrders).select(
      sql`select ${selectedRow(revocationOrders, order)} from (
        select distinct ${webhookItems.workspace_uuid} as workspace_uuid, ${webhookItems.token_id} as token_id
        from ${webhookItems} where ${webhookItems.delivery_id} = ${terms.deliveryId} and ${webhookItems.found} = 'matched') as target
        where ${isUnordered(terms.deliveryId, 'target')}`,
    ),
    recordOrders(making.database, rows, isOfDelivery(terms.deliveryId)),
  ];
}

/**
 * Makes at most `limitRows` orders of a delivery about a leaver, for the tokens of each owner whom it means. Tokens that have not
 * expired come first; those whose end is proven, or that have an order of this delivery, get none. Each order has its row in the
 * trail in the same batch, and a suspended token says why. `orders_left` of the delivery says whether another batch is needed.
 *
 * Two runs at once are harmless: D1 takes one batch after the other, and the second finds what the first has made.
 */
export function makeOrders(
  making: Making,
  origin: Origin,
  actor: Actor,
  delivery: OrderingDelivery,
  limitRows: number,
  nowMs: number,
): readonly Query[] {
  const { database } = making;
  const mode = delivery.mode ?? 'revoke';
  const terms: OrderTerms = { deliveryId: delivery.id, event: delivery.event, mode, nowMs, actor };
  const rows = orderRows(making, origin, terms, limitRows);
  const order = {
    ...orderRow(terms, 'offboarding', rows),
    workspace_uuid: sql`target.workspace_uuid`,
    token_id: sql`target.token_id`,
    rank: sql`target.rank`,
  };
  const rank = sql`iif(t.expires_at <= ${delivery.received_at}, ${ORDER_RANKS.expired}, ${ORDER_RANKS.live})`;
  const unordered = unorderedTokens(delivery.id);
  const made = newestOrders(delivery.id, limitRows);
  return [
    database.build.insert(revocationOrders).select(
      sql`select ${selectedRow(revocationOrders, order)} from (
        select t.workspace_uuid, t.token_id, ${rank} as rank ${unordered} order by rank limit ${limitRows}) as target`,
    ),
    recordOrders(database, rows, made),
    ...(mode === 'suspend'
      ? [
          addSuspension(
            database,
            sql`(workspace_uuid, token_id) in (select workspace_uuid, token_id from revocation_orders where ${made})`,
            'offboarding',
            sql`true`,
          ),
        ]
      : []),
    database.build
      .update(webhookDeliveries)
      .set({ orders_left: sql`exists (select 1 ${unordered})` })
      .where(eq(webhookDeliveries.id, delivery.id)),
  ];
}

/** The rows of orders that D1 is about to make: what they have in common, and the ids and MACs that are made for them. */
export interface OrderRows {
  readonly row: NewAuditRow;
  /** A JSON list of ids. */
  readonly ids: string;
  /** A JSON object with the MAC of each id. */
  readonly macs: string;
}

/**
 * Makes ids and MACs for the rows of orders, before D1 says how many they are: some are left over.
 *
 * @param count the orders that there may be. Of one beyond it, D1 makes the id, and its row has no MAC: it is done, and its seal says that
 *   the row is not authentic.
 * @param why what the rows say besides the delivery.
 */
export function orderRows(
  { database, runtime }: Making,
  origin: Origin,
  { deliveryId, event, mode, nowMs, actor }: OrderTerms,
  count: number,
  why: Readonly<Record<string, unknown>> = {},
): OrderRows {
  const subject = eventSubject(ORDER_ACTIONS[mode], actor, {
    detail: { delivery_id: deliveryId, event, ...why, ...(mode === 'suspend' && { is_active: false }) },
  });
  const row = attemptedRow('', nowMs, origin, subject);
  const listed = Array.from({ length: count }, () => listedRow(database, row, { id: runtime.newId() }, 'token'));
  return {
    row,
    ids: JSON.stringify(listed.map(({ id }) => id)),
    macs: JSON.stringify(Object.fromEntries(listed.map(({ id, recorded_mac }) => [id, recorded_mac]))),
  };
}

/** The id of the next order that a statement makes. SQLite numbers the rows that it inserts. */
export const nextOrderId = ({ ids }: OrderRows): SQL =>
  sql`coalesce(${ids} ->> ('$[' || (row_number() over () - 1) || ']'), ${newUuid})`;

/**
 * Inserts the row in the trail of each open order that has none yet: it is there before anything is sent.
 *
 * @param among a condition on the orders.
 */
export function recordOrders(database: Database, { row, macs }: OrderRows, among: SQL) {
  const { id, workspace_uuid, token_id, state } = revocationOrders;
  return insertOrderEvents(
    database,
    row,
    {
      id: sql`${id}`,
      workspace_uuid: sql`${workspace_uuid}`,
      token_id: sql`${token_id}`,
      // Looked up in the JSON, since a join with json_each would go through the list once for each order.
      recorded_mac: sql`${macs} ->> ('$."' || ${id} || '"')`,
    },
    sql`from ${revocationOrders} where ${among} and ${state} = ${STATE_LITERALS.open}
      and not exists (select 1 from audit_events as e where e.id = ${id})`,
  );
}

export const isOfDelivery = (deliveryId: string): SQL => eq(revocationOrders.delivery_id, deliveryId);

/** A workspace is known where the configuration names it, or the inventory holds a token of it. */
const commandRank = (namedWorkspaces: readonly string[]): SQL => sql`iif(
  target.workspace_uuid in (select value from json_each(${JSON.stringify(namedWorkspaces)}))
    or exists (select 1 from tokens as t where t.workspace_uuid = target.workspace_uuid),
  ${ORDER_RANKS.live}, ${ORDER_RANKS.unknown})`;

/** What every order of a delivery begins with. */
const orderRow = ({ deliveryId, mode, nowMs }: OrderTerms, cause: OrderCause, rows: OrderRows) => ({
  id: nextOrderId(rows),
  cause,
  delivery_id: deliveryId,
  mode,
  state: ORDER_STATE.open,
  tries: 0,
  next_at: nowMs,
  created_at: nowMs,
  confirm_round: 0,
});

/**
 * The tokens, as `t`, of the owners whom a delivery means, without those whose end is proven or that have an order of it. Tokens
 * that an owner has minted after being reinstated are not the delivery's.
 */
const unorderedTokens = (deliveryId: string): SQL => sql`
  from webhook_owners as o cross join tokens as t on t.owner_issuer = o.issuer and t.owner_subject = o.subject
  where o.delivery_id = ${deliveryId} and o.found = 'owner' and ${isEndUnproven('t')} and ${isUnordered(deliveryId, 't')}
    and (exists (select 1 from subject_blocks as b where b.issuer = o.issuer and b.subject = o.subject)
      or not exists (select 1 from audit_events as made where made.id = t.create_event_id and made.seq >
        (select e.seq from webhook_deliveries as d join audit_events as e on e.id = d.event_id where d.id = ${deliveryId})))`;

const isUnordered = (deliveryId: string, token: 't' | 'target'): SQL => sql`not exists (
  select 1 from revocation_orders as r where r.delivery_id = ${deliveryId}
    and r.workspace_uuid = ${sql.raw(token)}.workspace_uuid and r.token_id = ${sql.raw(token)}.token_id)`;

/**
 * The orders that the statement before has made: those of the delivery among the last `limitRows` rows. A delivery may have
 * thousands of orders, and a batch reads its own alone. The plus keeps SQLite from the index that would read them all.
 */
const newestOrders = (deliveryId: string, limitRows: number): SQL => sql`revocation_orders.rowid in (
  select n.rowid from revocation_orders as n order by n.rowid desc limit ${limitRows}) and +revocation_orders.delivery_id = ${deliveryId}`;

/**
 * Makes the orders that are left of deliveries about more tokens than one batch takes: the oldest delivery first, up to
 * ORDERS_MAKE_BATCHES_MAX_COUNT batches. They are due at once.
 */
export async function makeOrdersLeft(
  { database, runtime }: DriverDependencies,
  context: RequestContext,
  run: Run,
): Promise<void> {
  for (let batches = 0; batches < ORDERS_MAKE_BATCHES_MAX_COUNT; batches += 1) {
    if (!run.goesOn(ORDERS_MAKE_MAX_QUERIES)) return;
    // The literal of the partial index.
    const next = sql`${webhookDeliveries.orders_left} = 1 and ${isDeliveryOf(run.of)}`;
    const read = await database.batch(context, [selectOrdering(database, next)]);
    const [delivery] = read.ok ? read.value[0] : [];
    if (delivery === undefined) return;
    const made = await database.batch(
      context,
      makeOrders({ database, runtime }, context, ordererOf(delivery), delivery, ORDERS_MAKE_BATCH_ROWS, runtime.now()),
    );
    if (!made.ok) return;
  }
}

/** The first of these deliveries, with who ordered it as the delivery's own row in the trail names it. */
export const selectOrdering = ({ build }: Database, among: SQL) =>
  build
    .select({
      id: webhookDeliveries.id,
      event: webhookDeliveries.event,
      mode: webhookDeliveries.mode,
      received_at: webhookDeliveries.received_at,
      actor_type: auditEvents.actor_type,
      actor_issuer: auditEvents.actor_issuer,
      actor_subject: auditEvents.actor_subject,
      actor_label: auditEvents.actor_label,
    })
    .from(webhookDeliveries)
    .leftJoin(auditEvents, eq(auditEvents.id, webhookDeliveries.event_id))
    .where(among)
    .orderBy(webhookDeliveries.seq)
    .limit(1);

/** An order of nobody would still have its row. */
export const ordererOf = (delivery: RowsOf<ReturnType<typeof selectOrdering>>[number] | undefined): Actor => ({
  type: delivery?.actor_type ?? SYSTEM_ACTOR.type,
  issuer: delivery?.actor_issuer ?? null,
  subject: delivery?.actor_subject ?? null,
  label: delivery?.actor_label ?? null,
});
