import { eq, sql, type SQL } from 'drizzle-orm';
import { ORDERS_MAKE_BATCH_ROWS, ORDERS_MAKE_BATCHES_MAX_COUNT, ORDERS_MAKE_MAX_QUERIES } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { type DeliveryRow, revocationOrders, webhookDeliveries, webhookItems } from '../../db/schema.ts';
import { isEndUnproven, newUuid, selectedRow } from '../../db/sql.ts';
import { addSuspension } from '../../inventory/inventory.ts';
import { ORDER_RANKS } from '../../inventory/orders.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { DriverDependencies } from '../dependencies.ts';
import { isDeliveryOf } from './queue.ts';
import type { Run } from './run.ts';
import { STATE_LITERALS, ORDER_STATE } from './states.ts';
import { attemptedRow, type NewAuditRow, type Origin, SYSTEM_ACTOR } from '../../trail/event.ts';
import { insertEventsFrom } from '../../trail/statements.ts';
import type { OrderCause, RevocationMode } from '../../vocabulary.ts';

/** What the orders of a delivery have in common. */
export interface OrderTerms {
  readonly deliveryId: string;
  readonly event: string;
  readonly mode: RevocationMode;
  readonly nowMs: number;
}

/** What of a delivery its orders are made from. */
type OrderingDelivery = Pick<DeliveryRow, 'id' | 'event' | 'mode' | 'received_at'>;

/**
 * Makes an order for each token of ours that a delivery named, whatever the inventory says of its end. The order of a token that
 * is gone is confirmed without a call.
 *
 * @param namedWorkspaces the workspaces that the configuration names.
 */
export const orderMatched = (
  { build }: Database,
  terms: OrderTerms,
  cause: Extract<OrderCause, 'leak' | 'command'>,
  namedWorkspaces: readonly string[],
) =>
  build.insert(revocationOrders).select(
    sql`select ${selectedRow(revocationOrders, {
      ...orderRow(terms, cause),
      workspace_uuid: sql`target.workspace_uuid`,
      token_id: sql`target.token_id`,
      rank: cause === 'leak' ? ORDER_RANKS.leak : commandRank(namedWorkspaces),
    })} from (select distinct ${webhookItems.workspace_uuid} as workspace_uuid, ${webhookItems.token_id} as token_id
      from ${webhookItems} where ${webhookItems.delivery_id} = ${terms.deliveryId} and ${webhookItems.found} = 'matched') as target
      where ${isUnordered(terms.deliveryId, 'target')}`,
  );

/**
 * Makes at most `limitRows` orders of a delivery about a leaver, for the tokens of each owner whom it means. Tokens that have not
 * expired come first; those whose end is proven, or that have an order of this delivery, get none. Each order has its row in the
 * trail in the same batch, and a suspended token says why. `orders_left` of the delivery says whether another batch is needed.
 *
 * Two runs at once are harmless: D1 takes one batch after the other, and the second finds what the first has made.
 */
export function makeOrders(
  database: Database,
  context: RequestContext,
  delivery: OrderingDelivery,
  limitRows: number,
  nowMs: number,
): readonly Query[] {
  const { build } = database;
  const mode = delivery.mode ?? 'revoke';
  const terms: OrderTerms = { deliveryId: delivery.id, event: delivery.event, mode, nowMs };
  const row = {
    ...orderRow(terms, 'offboarding'),
    workspace_uuid: sql`target.workspace_uuid`,
    token_id: sql`target.token_id`,
    rank: sql`target.rank`,
  };
  const rank = sql`iif(t.expires_at <= ${delivery.received_at}, ${ORDER_RANKS.expired}, ${ORDER_RANKS.live})`;
  const unordered = unorderedTokens(delivery.id);
  const made = newestOrders(delivery.id, limitRows);
  return [
    build.insert(revocationOrders).select(
      sql`select ${selectedRow(revocationOrders, row)} from (
        select t.workspace_uuid, t.token_id, ${rank} as rank ${unordered} order by rank limit ${limitRows}) as target`,
    ),
    recordOrders(database, context, terms, {}, made),
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
    build
      .update(webhookDeliveries)
      .set({ orders_left: sql`exists (select 1 ${unordered})` })
      .where(eq(webhookDeliveries.id, delivery.id)),
  ];
}

/**
 * Inserts the row in the trail of each open order of a delivery that has none yet: it is there before anything is sent. Its actor is
 * who ordered the delivery, as the delivery's own row names it: a sender of webhooks, or a caller.
 *
 * @param why what the rows say besides the delivery.
 * @param among a condition on the orders; by default that they are the delivery's.
 */
export function recordOrders(
  database: Database,
  origin: Origin,
  terms: OrderTerms,
  why: Readonly<Record<string, unknown>> = {},
  among: SQL = eq(revocationOrders.delivery_id, terms.deliveryId),
) {
  const row = attemptedRow('', terms.nowMs, origin, {
    action: terms.mode === 'revoke' ? 'service_account_token.revoke' : 'service_account_token.update',
    // The columns below take its place.
    actor: SYSTEM_ACTOR,
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {
      delivery_id: terms.deliveryId,
      event: terms.event,
      ...why,
      ...(terms.mode === 'suspend' && { is_active: false }),
    },
  });
  // SQLite evaluates such a subquery once, however many orders there are.
  const orderedBy = (
    column: keyof Pick<NewAuditRow, 'actor_type' | 'actor_issuer' | 'actor_subject' | 'actor_label'>,
  ) =>
    sql`(select e.${sql.raw(column)} from webhook_deliveries as d join audit_events as e on e.id = d.event_id
      where d.id = ${terms.deliveryId})`;
  const { id, workspace_uuid, token_id, state } = revocationOrders;
  return insertEventsFrom(
    database,
    row,
    {
      id: sql`${id}`,
      workspace_uuid: sql`${workspace_uuid}`,
      token_id: sql`${token_id}`,
      // An order of nobody would still have its row.
      actor_type: sql`coalesce(${orderedBy('actor_type')}, ${SYSTEM_ACTOR.type})`,
      actor_issuer: orderedBy('actor_issuer'),
      actor_subject: orderedBy('actor_subject'),
      actor_label: orderedBy('actor_label'),
    },
    sql`from ${revocationOrders} where ${among} and ${state} = ${STATE_LITERALS.open}
      and not exists (select 1 from audit_events as e where e.id = ${id})`,
  );
}

/** A workspace is known where the configuration names it, or the inventory holds a token of it. */
const commandRank = (namedWorkspaces: readonly string[]): SQL => sql`iif(
  target.workspace_uuid in (select value from json_each(${JSON.stringify(namedWorkspaces)}))
    or exists (select 1 from tokens as t where t.workspace_uuid = target.workspace_uuid),
  ${ORDER_RANKS.live}, ${ORDER_RANKS.unknown})`;

/** What every order of a delivery begins with. */
const orderRow = ({ deliveryId, mode, nowMs }: OrderTerms, cause: OrderCause) => ({
  id: newUuid,
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
    const next = database.build
      .select()
      .from(webhookDeliveries)
      // The literal of the partial index.
      .where(sql`${webhookDeliveries.orders_left} = 1 and ${isDeliveryOf(run.of)}`)
      .orderBy(webhookDeliveries.seq)
      .limit(1);
    const read = await database.batch(context, [next]);
    const [delivery] = read.ok ? read.value[0] : [];
    if (delivery === undefined) return;
    const made = await database.batch(
      context,
      makeOrders(database, context, delivery, ORDERS_MAKE_BATCH_ROWS, runtime.now()),
    );
    if (!made.ok) return;
  }
}
