import * as z from 'zod';
import type { RowsOf } from '../db/database.ts';
import type { ItemRow, OrderRow } from '../db/schema.ts';
import { rfc3339OrNull } from '../times.ts';
import type { selectDelivery } from './delivery-queries.ts';

export type DeliverySummary = RowsOf<ReturnType<typeof selectDelivery>>[number];

/** A delivery as those see it who may read the trail. Times are RFC 3339 with milliseconds. */
export const presentDelivery = (row: DeliverySummary) => ({
  id: row.id,
  source: row.source,
  event: row.event,
  sender_id: row.sender_id,
  received_at: rfc3339OrNull(row.received_at),
  /** Its row in the trail. */
  event_id: row.event_id,
  ignored: row.ignored,
  ...(row.mode !== null && { mode: row.mode }),
  ...(row.subject_label !== null && { subject: { label: row.subject_label } }),
  ...(row.subject !== null && { subject: { issuer: row.subject_issuer, subject: row.subject } }),
  tokens: { matched: row.matched, unmatched: row.unmatched, out_of_scope: row.out_of_scope },
  orders: { pending: row.pending, done: row.done, failed: row.failed },
});

/** The same with each token that it named, and what became of each: the receipt of a leak. */
export const presentWhole = (row: DeliverySummary, items: readonly ItemRow[], orders: readonly OrderRow[]) => ({
  ...presentDelivery(row),
  items: items.map(presentItem),
  revocations: orders.map((order) => presentOrder(order, row.received_at)),
});

const presentItem = (item: ItemRow) => ({
  position: item.position,
  found: item.found,
  location: item.location,
  workspace_uuid: item.workspace_uuid,
  token_id: item.token_id,
  ...(item.candidates !== null && { candidates: z.array(z.string()).parse(JSON.parse(item.candidates)) }),
});

function presentOrder(order: OrderRow, receivedAtMs: number) {
  const isPending = order.state === 'open' || order.state === 'acknowledged';
  return {
    /** Its row in the trail. */
    event_id: order.id,
    workspace_uuid: order.workspace_uuid,
    token_id: order.token_id,
    mode: order.mode,
    state: order.state,
    result: order.result,
    error_code: order.error_code,
    tries: order.tries,
    next_try_at: isPending ? rfc3339OrNull(order.next_at) : null,
    received_at: rfc3339OrNull(receivedAtMs),
    matched_at: rfc3339OrNull(order.created_at),
    [order.mode === 'revoke' ? 'revoked_at' : 'suspended_at']: rfc3339OrNull(order.acknowledged_at),
    ...(order.rank === 0 && { confirmed_gone_at: rfc3339OrNull(order.confirmed_at) }),
  };
}
