import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import { COUNTED, isIn } from '../revocation/orders/states.ts';
import {
  ERROR_CODES,
  IGNORED_DELIVERIES,
  ITEM_FINDINGS,
  ORDER_CAUSES,
  ORDER_RESULTS,
  ORDER_STATES,
  OWNER_FINDINGS,
  REVOCATION_MODES,
} from '../vocabulary.ts';

// The tables of webhooks and revocation: deliveries, leavers and orders. As in `schema.ts`, property names are the column names, and times
// are milliseconds since the epoch.

/** Who was offboarded: an owner, everybody with a label, or an owner because of its label. */
export const subjectBlocks = sqliteTable(
  'subject_blocks',
  {
    seq: integer().primaryKey(),
    issuer: text(),
    subject: text(),
    /** The label in the form in which labels are compared. */
    label: text(),
    delivery_id: text().notNull(),
    created_at: integer().notNull(),
  },
  (table) => [
    index('subject_blocks_subject').on(table.issuer, table.subject),
    index('subject_blocks_label').on(table.label),
  ],
);

/** Who carried which label, and when it last became theirs. A row is written when a caller's label differs from its last one. */
export const subjectLabels = sqliteTable(
  'subject_labels',
  {
    issuer: text().notNull(),
    subject: text().notNull(),
    /** The SHA-256 of the label in the form in which labels are compared, since a label may have any length. */
    label_digest: text().notNull(),
    first_seen_at: integer().notNull(),
    /** When this last became the subject's label. The row with the latest time names the label that a subject carries. */
    last_seen_at: integer().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.issuer, table.subject, table.label_digest] }),
    index('subject_labels_label').on(table.label_digest),
  ],
);

/** The deliveries of webhooks whose signature was good, whether or not they led to anything. */
export const webhookDeliveries = sqliteTable(
  'webhook_deliveries',
  {
    /** The order of acceptance. */
    seq: integer().primaryKey(),
    id: text().notNull(),
    source: text().notNull(),
    /** One of WEBHOOK_EVENTS, or the part that is kept of an unknown name. */
    event: text().notNull(),
    /** The id that its sender gave it; null where the protocol has none. */
    sender_id: text(),
    /** A digest of that id, or of the body: a repeated delivery has the key of the first one. */
    dedupe_key: text().notNull(),
    /** A digest of what it orders, or of its body. It tells a repetition from another delivery under a used id. */
    content_digest: text(),
    /** 1 if its id was that of another delivery. */
    id_reused: integer().notNull().default(0),
    /** The id of its row in the trail. */
    event_id: text().notNull(),
    received_at: integer().notNull(),
    /** Why it led to nothing; null if it was carried out. */
    ignored: text({ enum: IGNORED_DELIVERIES }),
    /** The error code with which it was refused, and the path of the field at fault; null if it was not refused. */
    refused: text({ enum: ERROR_CODES }),
    refused_field: text(),
    /** How many of its items could not be acted on, by reason, as a JSON object; null if there are none. */
    rejected_items: text(),
    mode: text({ enum: REVOCATION_MODES }),
    subject_issuer: text(),
    subject: text(),
    subject_label: text(),
    /** 1 if former holders of the label are meant too. */
    former: integer().notNull().default(0),
    /** 1 while orders of it are still to be made, ORDERS_MAKE_BATCH_ROWS at a time. */
    orders_left: integer().notNull().default(0),
  },
  (table) => [
    uniqueIndex('webhook_deliveries_id').on(table.id),
    index('webhook_deliveries_dedupe').on(table.source, table.dedupe_key),
    // Nearly always empty.
    index('webhook_deliveries_left')
      .on(table.seq)
      .where(sql`${table.orders_left} = 1`),
    index('webhook_deliveries_refused')
      .on(table.received_at)
      .where(sql`${table.refused} is not null`),
  ],
);

/** The tokens that a delivery named: whether each is one of ours, and where it was seen. */
export const webhookItems = sqliteTable(
  'webhook_items',
  {
    seq: integer().primaryKey(),
    delivery_id: text().notNull(),
    /** The place in the sender's list, counted from 0. */
    position: integer().notNull(),
    found: text({ enum: ITEM_FINDINGS }).notNull(),
    location: text(),
    workspace_uuid: text(),
    token_id: text(),
    /** The ids of tokens whose prefix fits an unmatched leak, as a JSON list. */
    candidates: text(),
  },
  (table) => [index('webhook_items_delivery').on(table.delivery_id)],
);

/** The owners that a delivery about a subject found when it was accepted. */
export const webhookOwners = sqliteTable(
  'webhook_owners',
  {
    delivery_id: text().notNull(),
    issuer: text().notNull(),
    subject: text().notNull(),
    /** `owner` is meant by the delivery. `also_carried` is a former holder of the label, which is not touched. */
    found: text({ enum: OWNER_FINDINGS }).notNull(),
    /** How many tokens it has whose end is not proven. */
    tokens: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.delivery_id, table.issuer, table.subject] })],
);

/**
 * The durable orders that a token be revoked or suspended. `src/revocation/orders/states.ts` says how they proceed. The id of an order
 * is that of its row in the trail.
 */
export const revocationOrders = sqliteTable(
  'revocation_orders',
  {
    id: text().primaryKey(),
    cause: text({ enum: ORDER_CAUSES }).notNull(),
    /** The delivery that caused it; null where no webhook did. */
    delivery_id: text(),
    workspace_uuid: text().notNull(),
    token_id: text().notNull(),
    mode: text({ enum: REVOCATION_MODES }).notNull(),
    /** Orders of a lower rank go first: see ORDER_RANKS. */
    rank: integer().notNull(),
    state: text({ enum: ORDER_STATES }).notNull(),
    result: text({ enum: ORDER_RESULTS }),
    error_code: text({ enum: ERROR_CODES }),
    tries: integer().notNull().default(0),
    /**
     * Nobody drives it before this time, which ends the lease of a run or the pause before the next step; null if no step is
     * left.
     */
    next_at: integer(),
    /** The run that has its lease. */
    claim: text(),
    created_at: integer().notNull(),
    /** When it was first tried since it was opened; it is given up ORDERS_GIVE_UP_MS later. Null before that. */
    begun_at: integer(),
    /** When PipeOps answered 2xx, or the end of its token was known. */
    acknowledged_at: integer(),
    /** When a later look last agreed. */
    confirmed_at: integer(),
    /** The index in CONFIRM_PAUSES_MS of the look that is due next. */
    confirm_round: integer().notNull().default(0),
    /** What `tokens.unseen_at` is, for a token that the inventory lacks. */
    unseen_at: integer(),
    /** When looks began to contradict it; null once a look agrees. */
    contradicted_at: integer(),
  },
  (table) => [
    index('revocation_orders_delivery').on(table.delivery_id, table.workspace_uuid, table.token_id),
    index('revocation_orders_token').on(table.workspace_uuid, table.token_id),
    // The cron and /readyz read only orders that have a step left, are not over, failed, or are contradicted.
    index('revocation_orders_due')
      .on(table.rank, table.next_at)
      .where(sql`${table.next_at} is not null`),
    index('revocation_orders_state')
      .on(table.state, table.created_at)
      .where(isIn(sql`${table.state}`, COUNTED)),
    index('revocation_orders_contradicted')
      .on(table.contradicted_at)
      .where(sql`${table.contradicted_at} is not null`),
  ],
);

export type DeliveryRow = typeof webhookDeliveries.$inferSelect;
export type ItemRow = typeof webhookItems.$inferSelect;
export type OwnerRow = typeof webhookOwners.$inferSelect;
export type OrderRow = typeof revocationOrders.$inferSelect;
