import { and, eq, sql, type SQL } from 'drizzle-orm';
import { actorOf, type EventSubject, successOutcome, systemOrigin } from '../../trail/event.ts';
import type { Database, Query } from '../../db/database.ts';
import { selectedRow } from '../../db/sql.ts';
import { revocationOrders, webhookDeliveries } from '../../db/schema.ts';
import type { Failure } from '../../failures.ts';
import type { Caller } from '../../policy/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import {
  isOfDelivery,
  nextOrderId,
  ordererOf,
  orderRows,
  type OrderRows,
  recordOrders,
  selectOrdering,
} from '../orders/making.ts';
import { GIVEN_UP, isIn, ORDER_STATE, SENT, written } from '../orders/states.ts';

/**
 * Has what is left of a delivery's orders tried at once. Open orders are sent. Acknowledged ones are looked at, and so are
 * confirmed ones unless the token's end is proven. An order that was given up has a final row in the trail, so another order with
 * a row of its own takes its place.
 *
 * Fails with `delivery_not_found`; with `forbidden`, unless one role with `tokens: 'any'` may revoke in every workspace of these
 * orders; and with `audit_unavailable`.
 */
export async function retryDelivery(
  { database, decide, recorder, runtime }: WebhookDependencies,
  context: RequestContext,
  caller: Caller,
  id: string,
): Promise<Result<{ readonly retried: number }, Failure>> {
  const queries = [selectOrdering(database, eq(webhookDeliveries.id, id)), selectRetryable(database, id)] as const;
  const read = await database.batch(context, queries);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [[delivery], workspaces] = read.value;
  const subject = describeUse('webhook.retry', caller, { delivery_id: id });
  const workspaceUuids = workspaces.map(({ workspace_uuid }) => workspace_uuid);
  const decision = decide(caller, { operation: 'retry', workspaceUuids });
  const failure = decision.allowed
    ? delivery === undefined && ({ kind: 'delivery_not_found' } as const)
    : decision.failure;
  if (failure !== false) return await recorder.refuse(context, subject, failure);
  const retried = workspaces.reduce((sum, { retryable }) => sum + retryable, 0);
  const nowMs = runtime.now();
  const eventId = runtime.newId();
  const terms = {
    deliveryId: id,
    event: delivery?.event ?? '',
    mode: delivery?.mode === 'suspend' ? 'suspend' : 'revoke',
    nowMs,
    actor: ordererOf(delivery),
  } as const;
  // They are in the name of who ordered the delivery, so the address of who retries it is none of theirs.
  const rows = orderRows({ database, runtime }, systemOrigin(context), terms, retried, { retry: eventId });
  const recorded = await recorder.record(context, subject, successOutcome(null, { retried }), [], {
    eventId,
    following: (guard) => [
      hasten(database, id, nowMs, guard),
      lookAgain(database, id, nowMs, guard),
      ...replace(database, id, rows, nowMs, guard),
      recordOrders(database, rows, isOfDelivery(id)),
    ],
  });
  return recorded.ok ? ok({ retried }) : recorded;
}

/** How the trail names that deliveries are read, or that one is retried. */
export const describeUse = (
  action: 'webhook.query' | 'webhook.retry',
  caller: Caller,
  detail: Readonly<Record<string, unknown>>,
): EventSubject => ({
  action,
  actor: actorOf(caller),
  workspaceUuid: null,
  tokenId: null,
  tokenName: null,
  detail,
});

/** Nothing is left to do where PipeOps has acknowledged the token's end, or the rule of absence has found it. A suspended token has no end. */
const IS_PROVEN =
  sql.raw(`(mode = 'revoke' and exists (select 1 from tokens as t where t.workspace_uuid = revocation_orders.workspace_uuid
  and t.token_id = revocation_orders.token_id and t.ended_by in ('acknowledged', 'absent')))`);
const IS_NOT_FOUND = sql.raw(`result is 'not_found'`);
const IS_CONFIRMED = isIn('state', [ORDER_STATE.confirmed]);
/** PipeOps has acknowledged it, and every look has failed for ORDERS_GIVE_UP_MS. It is not sent again unseen. */
const IS_UNSEEN = sql`${isIn('state', GIVEN_UP)} and ${revocationOrders.acknowledged_at} is not null`;
const IS_LOOKED_AT_AGAIN = sql`(${isIn('state', [ORDER_STATE.acknowledged])} or (${IS_UNSEEN})
  or (${IS_CONFIRMED} and not ${IS_NOT_FOUND} and not ${IS_PROVEN}))`;
const IS_REPLACED = sql`((${isIn('state', GIVEN_UP)} and not (${IS_UNSEEN})) or (${IS_CONFIRMED} and ${IS_NOT_FOUND}))`;

/** How many orders of a delivery a retry would change, by workspace. */
const selectRetryable = ({ build }: Database, id: string) =>
  build
    .select({
      workspace_uuid: revocationOrders.workspace_uuid,
      retryable: sql<number>`sum(${isIn('state', SENT)} or ${IS_LOOKED_AT_AGAIN} or ${IS_REPLACED})`.as('retryable'),
    })
    .from(revocationOrders)
    .where(isOfDelivery(id))
    .groupBy(revocationOrders.workspace_uuid);

/** Whether no driver has leased the order at this moment. A driver that has goes on with it. */
const isFree = (nowMs: number): SQL =>
  sql`(${revocationOrders.claim} is null or ${revocationOrders.next_at} is null or ${revocationOrders.next_at} <= ${nowMs})`;

/** Open orders wait no longer for their next try, and their time begins anew. */
const hasten = ({ build }: Database, id: string, nowMs: number, guard: SQL): Query =>
  build
    .update(revocationOrders)
    .set(written('hasten', { next_at: nowMs, begun_at: null }))
    .where(and(isOfDelivery(id), isIn('state', SENT), isFree(nowMs), guard));

/** Acknowledged orders are looked at now. The look opens the order of a token that is alive again. */
const lookAgain = ({ build }: Database, id: string, nowMs: number, guard: SQL): Query =>
  build
    .update(revocationOrders)
    .set({ ...written('lookAgain', { next_at: nowMs, begun_at: null, tries: 0 }), claim: null })
    .where(and(isOfDelivery(id), IS_LOOKED_AT_AGAIN, isFree(nowMs), guard));

/** Inserts an order in the place of each that was given up, or whose token was not found. */
function replace({ build }: Database, id: string, rows: OrderRows, nowMs: number, guard: SQL): readonly Query[] {
  const orders = revocationOrders;
  const isReplaced = and(isOfDelivery(id), IS_REPLACED, guard);
  const row = {
    id: nextOrderId(rows),
    cause: sql`${orders.cause}`,
    delivery_id: sql`${orders.delivery_id}`,
    workspace_uuid: sql`${orders.workspace_uuid}`,
    token_id: sql`${orders.token_id}`,
    mode: sql`${orders.mode}`,
    rank: sql`${orders.rank}`,
    state: ORDER_STATE.open,
    tries: 0,
    next_at: nowMs,
    created_at: nowMs,
    confirm_round: 0,
    // It stays contradicted until a look agrees with the new order.
    contradicted_at: sql`${orders.contradicted_at}`,
  };
  return [
    build.insert(orders).select(sql`select ${selectedRow(orders, row)} from ${orders} where ${isReplaced}`),
    build
      .update(orders)
      .set(written('replace', { next_at: null, contradicted_at: null }))
      .where(isReplaced),
  ];
}
