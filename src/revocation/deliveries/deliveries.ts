import { asc, desc, eq, lt, sql, type SQL } from 'drizzle-orm';
import * as z from 'zod';
import { WEBHOOK_OWNERS_MAX_COUNT } from '../../config/limits.ts';
import type { Database, RowsOf } from '../../db/database.ts';
import {
  type DeliveryRow,
  type ItemRow,
  type OrderRow,
  type OwnerRow,
  revocationOrders,
  webhookDeliveries,
  webhookItems,
  webhookOwners,
} from '../../db/schema.ts';
import { rfc3339OrNull } from '../../kit/time.ts';
import { ACTOR_TYPES, type OrderState, OWNER_FINDINGS } from '../../vocabulary.ts';
import { AWAITED, isInState, ORDER_STATE } from '../orders/states.ts';
import { rejectedItemsOf } from './delivery-row.ts';

// What came in by webhook and what it led to: how it is read from D1, and how it is shown.

/** A page of deliveries, newest first, with what each led to. One row more than asked for shows that there is another page. */
export const selectDeliveries = ({ build }: Database, beforeSeq: number | null, limitRows: number) =>
  build
    .select(summary)
    .from(webhookDeliveries)
    .where(beforeSeq === null ? undefined : lt(webhookDeliveries.seq, beforeSeq))
    .orderBy(desc(webhookDeliveries.seq))
    .limit(limitRows + 1);

/** @param id of the delivery, or a subquery that gives it; so in the queries below. */
export const selectDelivery = ({ build }: Database, id: string | SQL) =>
  build.select(summary).from(webhookDeliveries).where(eq(webhookDeliveries.id, id));

export const selectItems = ({ build }: Database, deliveryId: string | SQL) =>
  build.select().from(webhookItems).where(eq(webhookItems.delivery_id, deliveryId)).orderBy(asc(webhookItems.seq));

/** The owners that a delivery about a subject found, at most WEBHOOK_OWNERS_MAX_COUNT. Those whom it means come first. */
export const selectOwners = ({ build }: Database, deliveryId: SQL) =>
  build
    .select()
    .from(webhookOwners)
    .where(eq(webhookOwners.delivery_id, deliveryId))
    .orderBy(desc(webhookOwners.found), asc(webhookOwners.issuer), asc(webhookOwners.subject))
    .limit(WEBHOOK_OWNERS_MAX_COUNT);

export const selectOrders = ({ build }: Database, deliveryId: string | SQL) =>
  build
    .select()
    .from(revocationOrders)
    .where(eq(revocationOrders.delivery_id, deliveryId))
    .orderBy(asc(revocationOrders.created_at), asc(revocationOrders.id));

// Written out, since Drizzle leaves the table's name out of a column here, and the column would be the inner table's.
const OF_DELIVERY = sql.raw('delivery_id = webhook_deliveries.id');
const ordersIn = (state: OrderState) =>
  sql<number>`(select count(*) from revocation_orders where ${OF_DELIVERY} and state = ${state})`.as(state);
const itemsFound = (found: string) =>
  sql<number>`(select count(*) from webhook_items where ${OF_DELIVERY} and found = ${found})`;

/**
 * What stands in the source's place where a caller has ordered it. No source of the policy is called so. Its row in the trail says who
 * the caller is, and why.
 */
export const BY_CALLER = '@caller';

const summary = {
  seq: webhookDeliveries.seq,
  id: webhookDeliveries.id,
  source: webhookDeliveries.source,
  event: webhookDeliveries.event,
  sender_id: webhookDeliveries.sender_id,
  content_digest: webhookDeliveries.content_digest,
  event_id: webhookDeliveries.event_id,
  by_caller: sql<
    string | null
  >`(select json_object('actor', json_object('type', e.actor_type, 'issuer', e.actor_issuer, 'subject', e.actor_subject,
      'label', e.actor_label), 'workspace_uuid', e.workspace_uuid, 'reason', e.detail ->> 'reason', 'outcome', json(e.outcome))
    from audit_events as e where e.id = webhook_deliveries.event_id and webhook_deliveries.source = ${BY_CALLER})`.as(
    'by_caller',
  ),
  received_at: webhookDeliveries.received_at,
  ignored: webhookDeliveries.ignored,
  mode: webhookDeliveries.mode,
  subject_issuer: webhookDeliveries.subject_issuer,
  subject: webhookDeliveries.subject,
  subject_label: webhookDeliveries.subject_label,
  former: webhookDeliveries.former,
  id_reused: webhookDeliveries.id_reused,
  refused: webhookDeliveries.refused,
  refused_field: webhookDeliveries.refused_field,
  rejected_items: webhookDeliveries.rejected_items,
  orders_left: webhookDeliveries.orders_left,
  matched: itemsFound('matched').as('matched'),
  unmatched: itemsFound('unmatched').as('unmatched'),
  out_of_scope: itemsFound('out_of_scope').as('out_of_scope'),
  open: ordersIn(ORDER_STATE.open),
  acknowledged: ordersIn(ORDER_STATE.acknowledged),
  confirmed: ordersIn(ORDER_STATE.confirmed),
  failed: ordersIn(ORDER_STATE.failed),
  lifted: ordersIn(ORDER_STATE.lifted),
  owners:
    sql<string>`(select json_group_array(json_object('issuer', issuer, 'subject', subject, 'found', found, 'tokens', tokens))
    from (select * from webhook_owners where ${OF_DELIVERY} order by found desc, issuer, subject
      limit ${WEBHOOK_OWNERS_MAX_COUNT}))`.as('owners'),
  owner_count: sql<number>`(select count(*) from webhook_owners where ${OF_DELIVERY})`.as('owner_count'),
};

export type DeliverySummary = RowsOf<ReturnType<typeof selectDelivery>>[number];

/** What of the configuration a receipt tells. */
interface Configured {
  /** The issuers of the policy. */
  readonly issuers: ReadonlySet<string>;
}

/**
 * The receipt that a sender gets. Nothing in it tells whether a secret matched.
 *
 * @param owners the owners that a delivery about a subject found.
 */
export const presentReceipt = (row: DeliveryRow, owners: readonly Owner[], configured: Configured) => ({
  delivery_id: row.id,
  received_at: rfc3339OrNull(row.received_at),
  ...(row.ignored !== null && { ignored: row.ignored }),
  ...presentMarks(row),
  ...presentOwners(row, owners, configured),
});

/** A delivery as readers of the trail see it. Times are RFC 3339 with milliseconds. */
export function presentDelivery(row: DeliverySummary, configured: Configured) {
  const owners = ownersOf(row);
  const notShown = row.owner_count - owners.length;
  return {
    id: row.id,
    /** Null: a caller has ordered it. */
    source: row.source === BY_CALLER ? null : row.source,
    ...presentCaller(row),
    /** Null if its body does not name an event. */
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

const byCaller = z.object({
  actor: z.object({
    type: z.enum(ACTOR_TYPES),
    issuer: z.string().nullable(),
    subject: z.string().nullable(),
    label: z.string().nullable(),
  }),
  workspace_uuid: z.string().nullable(),
  reason: z.string(),
  outcome: z.object({ blocks_lifted: z.number().optional(), still_blocked: z.literal(true).optional() }),
});

type OrderingCaller = z.output<typeof byCaller>;

/** The caller who has ordered it, its workspace and what its row in the trail says; null if a webhook has ordered it. */
export const callerOf = ({ by_caller: json }: Pick<DeliverySummary, 'by_caller'>) =>
  json === null ? null : byCaller.parse(JSON.parse(json));

/** Who has ordered it and why, if a caller has; and of a reinstatement how many blocks it has lifted. */
function presentCaller(
  row: DeliverySummary,
): Partial<Pick<OrderingCaller, 'actor' | 'reason'>> & OrderingCaller['outcome'] {
  const by = callerOf(row);
  if (by === null) return {};
  const { actor, reason, outcome } = by;
  return { actor, reason, ...outcome };
}

/** A delivery with each token that it named and what became of each: the receipt of a leak. */
export const presentWhole = (
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

/** The owners that a delivery about a subject found. An empty list is shown: an HR system learns that its word reached no one. */
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
