import { asc, desc, eq, lt, sql, type SQL } from 'drizzle-orm';
import { WEBHOOK_OWNERS_MAX_COUNT } from '../../config/limits.ts';
import type { Database } from '../../db/database.ts';
import { revocationOrders, webhookDeliveries, webhookItems, webhookOwners } from '../../db/schema.ts';
import { ORDER_STATE } from '../orders/states.ts';
import type { OrderState } from '../../vocabulary.ts';

// Written out: a column of a query of one table stands there without its table, and would be that of the inner one.
const OF_DELIVERY = sql.raw('delivery_id = webhook_deliveries.id');
const ordersIn = (state: OrderState) =>
  sql<number>`(select count(*) from revocation_orders where ${OF_DELIVERY} and state = ${state})`.as(state);
const itemsFound = (found: string) =>
  sql<number>`(select count(*) from webhook_items where ${OF_DELIVERY} and found = ${found})`;

const summary = {
  seq: webhookDeliveries.seq,
  id: webhookDeliveries.id,
  source: webhookDeliveries.source,
  event: webhookDeliveries.event,
  sender_id: webhookDeliveries.sender_id,
  event_id: webhookDeliveries.event_id,
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

/** A page of deliveries, newest first, with what each led to; one more row than asked for shows that there is a next. */
export const selectDeliveries = ({ build }: Database, beforeSeq: number | null, limitRows: number) =>
  build
    .select(summary)
    .from(webhookDeliveries)
    .where(beforeSeq === null ? undefined : lt(webhookDeliveries.seq, beforeSeq))
    .orderBy(desc(webhookDeliveries.seq))
    .limit(limitRows + 1);

export const selectDelivery = ({ build }: Database, id: string) =>
  build.select(summary).from(webhookDeliveries).where(eq(webhookDeliveries.id, id));

export const selectItems = ({ build }: Database, deliveryId: string) =>
  build.select().from(webhookItems).where(eq(webhookItems.delivery_id, deliveryId)).orderBy(asc(webhookItems.seq));

/** Whom a delivery about a subject found, those that it is about first: WEBHOOK_OWNERS_MAX_COUNT of them. */
export const selectOwners = ({ build }: Database, deliveryId: SQL) =>
  build
    .select()
    .from(webhookOwners)
    .where(eq(webhookOwners.delivery_id, deliveryId))
    .orderBy(desc(webhookOwners.found), asc(webhookOwners.issuer), asc(webhookOwners.subject))
    .limit(WEBHOOK_OWNERS_MAX_COUNT);

export const selectOrders = ({ build }: Database, deliveryId: string) =>
  build
    .select()
    .from(revocationOrders)
    .where(eq(revocationOrders.delivery_id, deliveryId))
    .orderBy(asc(revocationOrders.created_at), asc(revocationOrders.id));
