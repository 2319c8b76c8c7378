import { and, eq, inArray, isNull, lte, or, sql, type SQL } from 'drizzle-orm';
import { failureOutcome, successOutcome } from '../audit/outcomes.ts';
import type { Database, Query } from '../db/database.ts';
import { revocationOrders } from '../db/schema.ts';
import { selectedRow } from '../db/insert-select.ts';
import { newUuid } from '../db/uuid.ts';
import type { Failure } from '../failures.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import { describeUse } from './deliveries.ts';
import { selectDelivery, selectOrders } from './delivery-queries.ts';
import type { WebhookDependencies } from './dependencies.ts';
import { recordOrders } from './order-queries.ts';

/**
 * Has what is left of a delivery's orders tried at once, and what was given up tried anew. An order that was given up has a
 * final row in the trail, so another order with a row of its own takes its place.
 *
 * Failures: `delivery_not_found`; `forbidden`, unless one role with `tokens: 'any'` may revoke in every workspace of these
 * orders; `audit_unavailable`.
 */
export async function retryDelivery(
  { database, decide, recorder, runtime }: WebhookDependencies,
  context: RequestContext,
  caller: Caller,
  id: string,
): Promise<Result<{ readonly retried: number }, Failure>> {
  const queries = [selectDelivery(database, id), selectOrders(database, id)] as const;
  const read = await database.batch(context, queries);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [[delivery], orders] = read.value;
  const subject = describeUse('webhook.retry', caller, { delivery_id: id });
  const workspaceUuids = [...new Set(orders.map(({ workspace_uuid }) => workspace_uuid))];
  const decision = decide(caller, { operation: 'retry', workspaceUuids });
  const failure = decision.allowed
    ? delivery === undefined && ({ kind: 'delivery_not_found' } as const)
    : decision.failure;
  if (failure !== false) {
    const recorded = await recorder.record(context, subject, failureOutcome(failure), []);
    return recorded.ok ? err(failure) : recorded;
  }
  const retried = orders.filter(({ state }) => ['open', 'acknowledged', 'failed'].includes(state)).length;
  const nowMs = runtime.now();
  const eventId = runtime.newId();
  const terms = {
    deliveryId: id,
    source: delivery?.source ?? '',
    event: delivery?.event ?? '',
    mode: delivery?.mode === 'suspend' ? 'suspend' : 'revoke',
    nowMs,
  } as const;
  const recorded = await recorder.record(context, subject, successOutcome(null, { retried }), [], {
    eventId,
    following: (guard) => [
      hasten(database, id, nowMs, guard),
      reconfirm(database, id, nowMs, guard),
      ...replaceGivenUp(database, id, nowMs, guard),
      recordOrders(database, context, terms, { retry: eventId }),
    ],
  });
  return recorded.ok ? ok({ retried }) : recorded;
}

const ofDelivery = (id: string) => eq(revocationOrders.delivery_id, id);

/** What waits for its next try waits no longer; what a driver holds at this moment it goes on with. */
const hasten = ({ build }: Database, id: string, nowMs: number, guard: SQL): Query =>
  build
    .update(revocationOrders)
    .set({ next_at: nowMs, begun_at: nowMs })
    .where(
      and(
        ofDelivery(id),
        inArray(revocationOrders.state, ['open', 'acknowledged']),
        or(isNull(revocationOrders.claim), lte(revocationOrders.next_at, nowMs)),
        guard,
      ),
    );

/** A token that was revoked and never confirmed gone needs no second row: only its confirmation is taken up again. */
const reconfirm = ({ build }: Database, id: string, nowMs: number, guard: SQL): Query =>
  build
    .update(revocationOrders)
    .set({ state: 'acknowledged', next_at: nowMs, begun_at: nowMs, tries: 0, claim: null })
    .where(and(ofDelivery(id), eq(revocationOrders.state, 'failed'), eq(revocationOrders.result, 'revoked'), guard));

/** The order that takes the place of each that was given up. */
function replaceGivenUp({ build }: Database, id: string, nowMs: number, guard: SQL): readonly Query[] {
  const orders = revocationOrders;
  const isGivenUp = and(ofDelivery(id), eq(orders.state, 'failed'), guard);
  return [
    build.insert(orders).select(
      sql`select ${selectedRow(orders, {
        id: newUuid,
        cause: sql`${orders.cause}`,
        delivery_id: sql`${orders.delivery_id}`,
        workspace_uuid: sql`${orders.workspace_uuid}`,
        token_id: sql`${orders.token_id}`,
        mode: sql`${orders.mode}`,
        rank: sql`${orders.rank}`,
        state: 'open',
        tries: 0,
        next_at: nowMs,
        created_at: nowMs,
        begun_at: nowMs,
        confirm_round: 0,
      })} from ${orders} where ${isGivenUp}`,
    ),
    build.update(orders).set({ state: 'retried' }).where(isGivenUp),
  ];
}
