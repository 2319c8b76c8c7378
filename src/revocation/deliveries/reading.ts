import type { Failure, RequestFailure } from '../../failures.ts';
import { matching } from '../../http/query.ts';
import { createProblems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import {
  type DeliverySummary,
  presentDelivery,
  presentWhole,
  selectDeliveries,
  selectDelivery,
  selectItems,
  selectOrders,
} from './deliveries.ts';
import { describeUse } from './retry.ts';

// Reading deliveries and revocations: each read is itself in the trail.

/**
 * A page of what came in by webhook, newest first. One batch reads it and records that it was read, so neither happens without
 * the other. Fails with `audit_unavailable` if D1 does not take the batch.
 *
 * @param asked how many, and the `seq` before which the page begins, or null for the newest.
 */
export async function listDeliveries(
  { database, recorder, issuers }: WebhookDependencies,
  context: RequestContext,
  caller: Caller,
  asked: { readonly beforeSeq: number | null; readonly limitRows: number },
): Promise<Result<{ deliveries: readonly ReturnType<typeof presentDelivery>[]; nextSeq: number | null }, Failure>> {
  const subject = describeUse('webhook.query', caller, {
    limit: asked.limitRows,
    ...(asked.beforeSeq !== null && { before_seq: asked.beforeSeq }),
  });
  const query = selectDeliveries(database, asked.beforeSeq, asked.limitRows);
  const recorded = await recorder.recordRead(context, subject, [query]);
  if (!recorded.ok) return recorded;
  const shown = recorded.value.rows[0].slice(0, asked.limitRows);
  const hasMore = recorded.value.rows[0].length > asked.limitRows;
  return ok({
    deliveries: shown.map((row) => presentDelivery(row, { issuers })),
    nextSeq: hasMore ? (shown.at(-1)?.seq ?? null) : null,
  });
}

/**
 * One delivery with all that it led to. It leaves only once it is recorded that it was read, in a second trip to D1, since the row
 * says whether it was found. Fails with `delivery_not_found` or `audit_unavailable`.
 *
 * @param isShown whether this caller may know of it.
 */
export async function readDelivery(
  { database, recorder, issuers }: WebhookDependencies,
  context: RequestContext,
  caller: Caller,
  id: string,
  isShown: (row: DeliverySummary) => boolean = () => true,
): Promise<Result<ReturnType<typeof presentWhole>, Failure>> {
  const queries = [selectDelivery(database, id), selectItems(database, id), selectOrders(database, id)] as const;
  const read = await database.batch(context, queries);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [[delivery], items, orders] = read.value;
  const subject = describeUse('webhook.query', caller, { delivery_id: id });
  if (delivery === undefined || !isShown(delivery))
    return await recorder.refuse(context, subject, { kind: 'delivery_not_found' });
  const recorded = await recorder.recordRead(context, subject, []);
  return recorded.ok ? ok(presentWhole(delivery, items, orders, { issuers })) : recorded;
}

/** The id of a delivery from the path. Fails with `invalid_request`. */
export function parseDeliveryId(text: string): Result<string, RequestFailure> {
  const problems = createProblems();
  const id = readId(text.toLowerCase());
  if (id.ok) return id;
  problems.misunderstood('id', id.error);
  return err(problems.failure());
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const readId = matching((text) => UUID.test(text), 'Use the id of a delivery, as its receipt gave it.');
