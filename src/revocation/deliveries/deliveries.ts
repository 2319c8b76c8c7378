import * as z from 'zod';
import type { RowsOf } from '../../db/database.ts';
import type { DeliveryRow, ItemRow, OrderRow, OwnerRow } from '../../db/schema.ts';
import type { Failure } from '../../failures.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { rfc3339OrNull } from '../../kit/time.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import { rejectedItemsOf } from './delivery-row.ts';
import { selectDeliveries, selectDelivery, selectItems, selectOrders } from './queries.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import { AWAITED, isInState } from '../orders/states.ts';
import { actorOf, type EventSubject, failureOutcome, successOutcome } from '../../trail/event.ts';
import { OWNER_FINDINGS } from '../../vocabulary.ts';

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

type DeliverySummary = RowsOf<ReturnType<typeof selectDelivery>>[number];

/** What of the configuration a receipt is about. */
interface Configured {
  /** The issuers of the policy. */
  readonly issuers: ReadonlySet<string>;
}

/**
 * The receipt that a sender is given: nothing in it tells whether a secret matched.
 *
 * @param owners whom a delivery about a subject found.
 */
export const presentReceipt = (row: DeliveryRow, owners: readonly Owner[], configured: Configured) => ({
  delivery_id: row.id,
  received_at: rfc3339OrNull(row.received_at),
  ...(row.ignored !== null && { ignored: row.ignored }),
  ...presentMarks(row),
  ...presentOwners(row, owners, configured),
});

/** A delivery as those see it who may read the trail. Times are RFC 3339 with milliseconds. */
function presentDelivery(row: DeliverySummary, configured: Configured) {
  const owners = ownersOf(row);
  const notShown = row.owner_count - owners.length;
  return {
    id: row.id,
    source: row.source,
    /** Null: its body does not say. */
    event: row.event === '' ? null : row.event,
    sender_id: row.sender_id,
    received_at: rfc3339OrNull(row.received_at),
    /** Its row in the trail. */
    event_id: row.event_id,
    ignored: row.ignored,
    refused: row.refused,
    ...(row.refused_field !== null && { refused_field: row.refused_field }),
    ...presentMarks(row),
    ...(row.mode !== null && { mode: row.mode }),
    ...(row.former === 1 && { former: true }),
    ...(row.subject_label !== null && { subject: { label: row.subject_label } }),
    ...(row.subject !== null && { subject: { issuer: row.subject_issuer, subject: row.subject } }),
    ...presentOwners(row, owners, configured),
    ...(notShown > 0 && { owners_not_shown: notShown }),
    tokens: { matched: row.matched, unmatched: row.unmatched, out_of_scope: row.out_of_scope },
    orders: {
      open: row.open,
      acknowledged: row.acknowledged,
      confirmed: row.confirmed,
      failed: row.failed,
      ...(row.lifted > 0 && { lifted: row.lifted }),
    },
    ...(row.orders_left === 1 && { orders_left: true }),
  };
}

/** The same with each token that it named, and what became of each: the receipt of a leak. */
const presentWhole = (
  row: DeliverySummary,
  items: readonly ItemRow[],
  orders: readonly OrderRow[],
  configured: Configured,
) => ({
  ...presentDelivery(row, configured),
  items: items.map(presentItem),
  revocations: orders.map((order) => presentOrder(order, row.received_at)),
});

const presentMarks = (row: Pick<DeliveryRow, 'id_reused' | 'rejected_items'>) => ({
  ...(row.id_reused === 1 && { id_reused: true }),
  ...(row.rejected_items !== null && { rejected_items: rejectedItemsOf(row) }),
});

type Owner = Pick<OwnerRow, 'issuer' | 'subject' | 'found' | 'tokens'>;

const owner = z.object({
  issuer: z.string(),
  subject: z.string(),
  found: z.enum(OWNER_FINDINGS),
  tokens: z.number(),
});
const ownersOf = (row: DeliverySummary): readonly Owner[] => z.array(owner).parse(JSON.parse(row.owners));

/** Whom a delivery about a subject found, nobody too: an HR system learns that its word reached no one. */
function presentOwners(
  row: Pick<DeliveryRow, 'subject' | 'subject_issuer' | 'subject_label'>,
  owners: readonly Owner[],
  { issuers }: Configured,
) {
  if (row.subject === null && row.subject_label === null) return {};
  const foundAs = (found: Owner['found']) =>
    owners.filter((one) => one.found === found).map(({ issuer, subject, tokens }) => ({ issuer, subject, tokens }));
  return {
    ...(row.subject_issuer !== null && !issuers.has(row.subject_issuer) && { issuer_configured: false }),
    owners: foundAs('owner'),
    also_carried: foundAs('also_carried'),
  };
}

const presentItem = (item: ItemRow) => ({
  position: item.position,
  found: item.found,
  location: item.location,
  workspace_uuid: item.workspace_uuid,
  token_id: item.token_id,
  ...(item.candidates !== null && { candidates: z.array(z.string()).parse(JSON.parse(item.candidates)) }),
});

const presentOrder = (order: OrderRow, receivedAtMs: number) => ({
  /** Its row in the trail. */
  event_id: order.id,
  workspace_uuid: order.workspace_uuid,
  token_id: order.token_id,
  mode: order.mode,
  state: order.state,
  result: order.result,
  error_code: order.error_code,
  tries: order.tries,
  next_try_at: isInState(order, AWAITED) ? rfc3339OrNull(order.next_at) : null,
  received_at: rfc3339OrNull(receivedAtMs),
  matched_at: rfc3339OrNull(order.created_at),
  /** When PipeOps acknowledged it. */
  [order.mode === 'revoke' ? 'revoked_at' : 'suspended_at']: rfc3339OrNull(order.acknowledged_at),
  /** When a later look agreed. */
  confirmed_at: rfc3339OrNull(order.confirmed_at),
  /** Since when a look contradicts it. */
  contradicted_at: rfc3339OrNull(order.contradicted_at),
});
