import { asc, desc, eq, lt, sql } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { revocationOrders, webhookDeliveries, webhookItems } from '../db/schema.ts';

// Written out: a column of a query of one table stands there without its table, and would be that of the inner one.
const OF_DELIVERY = sql.raw('delivery_id = webhook_deliveries.id');
const ordersIn = (states: string) =>
  sql<number>`(select count(*) from revocation_orders where ${OF_DELIVERY} and state in ${sql.raw(states)})`;
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
  matched: itemsFound('matched').as('matched'),
  unmatched: itemsFound('unmatched').as('unmatched'),
  out_of_scope: itemsFound('out_of_scope').as('out_of_scope'),
  pending: ordersIn(`('open', 'acknowledged')`).as('pending'),
  done: ordersIn(`('confirmed')`).as('done'),
  failed: ordersIn(`('failed')`).as('failed'),
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

export const selectOrders = ({ build }: Database, deliveryId: string) =>
  build
    .select()
    .from(revocationOrders)
    .where(eq(revocationOrders.delivery_id, deliveryId))
    .orderBy(asc(revocationOrders.created_at), asc(revocationOrders.id));
