import { actorOf } from '../../trail/actor.ts';
import type { EventSubject } from '../../trail/events.ts';
import { failureOutcome, successOutcome } from '../../trail/outcomes.ts';
import type { Failure } from '../../failures.ts';
import type { Caller } from '../../policy/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { selectDeliveries, selectDelivery, selectItems, selectOrders } from './delivery-queries.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import { presentDelivery, presentWhole } from './present.ts';

type Dependencies = Pick<WebhookDependencies, 'database' | 'recorder' | 'runtime' | 'issuers'>;

/** What reading about deliveries, or repeating one, is in the trail. */
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

/**
 * A page of what came in by webhook, newest first. The rows and the row of this reading come from one batch, so neither is
 * had without the other: `audit_unavailable` if D1 does not take it.
 *
 * @param page after which `seq` to go on, null: from the newest; and how many.
 */
export async function listDeliveries(
  { database, recorder, issuers }: Dependencies,
  context: RequestContext,
  caller: Caller,
  page: { readonly beforeSeq: number | null; readonly limitRows: number },
): Promise<Result<{ deliveries: readonly ReturnType<typeof presentDelivery>[]; nextSeq: number | null }, Failure>> {
  const subject = describeUse('webhook.query', caller, {
    limit: page.limitRows,
    ...(page.beforeSeq !== null && { before_seq: page.beforeSeq }),
  });
  const query = selectDeliveries(database, page.beforeSeq, page.limitRows);
  const recorded = await recorder.recordRead(context, subject, successOutcome(null), [query]);
  if (!recorded.ok) return recorded;
  const shown = recorded.value.rows[0].slice(0, page.limitRows);
  const hasMore = recorded.value.rows[0].length > page.limitRows;
  return ok({
    deliveries: shown.map((row) => presentDelivery(row, { issuers })),
    nextSeq: hasMore ? (shown.at(-1)?.seq ?? null) : null,
  });
}

/**
 * One delivery with all that it led to. It leaves only after the reading of it is recorded, with what became of it: a
 * second trip to D1. `delivery_not_found`, or `audit_unavailable`.
 */
export async function readDelivery(
  { database, recorder, issuers }: Dependencies,
  context: RequestContext,
  caller: Caller,
  id: string,
): Promise<Result<ReturnType<typeof presentWhole>, Failure>> {
  const queries = [selectDelivery(database, id), selectItems(database, id), selectOrders(database, id)] as const;
  const read = await database.batch(context, queries);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [[delivery], items, orders] = read.value;
  const subject = describeUse('webhook.query', caller, { delivery_id: id });
  if (delivery === undefined) {
    const failure = { kind: 'delivery_not_found' } as const;
    const recorded = await recorder.record(context, subject, failureOutcome(failure), []);
    return recorded.ok ? err(failure) : recorded;
  }
  const recorded = await recorder.recordRead(context, subject, successOutcome(null), []);
  return recorded.ok ? ok(presentWhole(delivery, items, orders, { issuers })) : recorded;
}
