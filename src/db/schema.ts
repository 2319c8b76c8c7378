import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

// Property names are the column names, so that a row as D1 returns it is a row as Drizzle types it. Times are
// milliseconds since the epoch.

/**
 * The trail. Append-only by the triggers of `drizzle/0001_append_only.sql`: a row is inserted final, or `attempted` and
 * then settled once; of a counted read `count` and `last_at` may grow. `detail` is what was asked for and never changes; `outcome` is what settling adds to it.
 */
export const auditEvents = sqliteTable(
  'audit_events',
  {
    /** Commit order, dense from 1: a gap would show a deleted row. Given by D1, never by us. */
    seq: integer().primaryKey(),
    id: text().notNull(),
    occurred_at: integer().notNull(),
    settled_at: integer(),
    action: text().notNull(),
    status: text().notNull(),
    actor_type: text().notNull(),
    actor_issuer: text(),
    actor_subject: text(),
    actor_label: text(),
    workspace_uuid: text(),
    token_id: text(),
    token_name: text(),
    request_id: text(),
    ip: text(),
    user_agent: text(),
    upstream_status: integer(),
    error_code: text(),
    detail: text().notNull(),
    outcome: text(),
    /** How often a counted read was made within its minute, and when last; null: once. */
    count: integer().notNull().default(1),
    last_at: integer(),
    /** Reads of one key are one row. Null on everything else, which always has a row of its own. */
    read_key: text(),
    /** The random suffix of the token's upstream name, on creates alone. */
    marker: text(),
  },
  (table) => [
    uniqueIndex('audit_events_id').on(table.id),
    // One for each filter that must read no more than a page. Each costs a row written to every event that it holds, and
    // each holds `seq` as its last column, so that its rows come in order.
    index('audit_events_action').on(table.action),
    index('audit_events_actor_subject')
      .on(table.actor_subject)
      .where(sql`${table.actor_subject} is not null`),
    // A label that is the subject is found by that.
    index('audit_events_actor_label')
      .on(table.actor_label)
      .where(sql`${table.actor_label} is not null and ${table.actor_label} is not ${table.actor_subject}`),
    index('audit_events_workspace_uuid')
      .on(table.workspace_uuid)
      .where(sql`${table.workspace_uuid} is not null`),
    index('audit_events_token_id')
      .on(table.token_id)
      .where(sql`${table.token_id} is not null`),
    index('audit_events_request_id')
      .on(table.request_id)
      .where(sql`${table.request_id} is not null`),
    // Reconciliation recognises a create by nothing else.
    index('audit_events_marker')
      .on(table.marker)
      .where(sql`${table.marker} is not null`),
    index('audit_events_read_key')
      .on(table.read_key)
      .where(sql`${table.read_key} is not null`),
    // Nearly always empty: the cron and /readyz read no more than what is open.
    index('audit_events_open')
      .on(table.occurred_at)
      .where(sql`${table.status} = 'attempted'`),
  ],
);

/** The inventory: which tokens exist, and who owns them. PipeOps has no owner. */
export const tokens = sqliteTable(
  'tokens',
  {
    workspace_uuid: text().notNull(),
    token_id: text().notNull(),
    owner_issuer: text(),
    owner_subject: text(),
    marker: text(),
    /** The audit event of its create. */
    create_event_id: text(),
    created_at: integer().notNull(),
    expires_at: integer(),
    revoked_at: integer(),
  },
  (table) => [primaryKey({ columns: [table.workspace_uuid, table.token_id] })],
);

/** Open attempts that reconciliation has looked into: how often, and when next. Settling removes the row. */
export const attemptReviews = sqliteTable('attempt_reviews', {
  event_id: text().primaryKey(),
  tries: integer().notNull(),
  /** Until then nobody else looks into it: the lease of this run, and the pause before the next. */
  next_at: integer().notNull(),
  /** Which run holds it. */
  claim: text().notNull(),
});

/** The last good key set of each issuer, for outages of its JWKS endpoint. */
export const jwksCache = sqliteTable('jwks_cache', {
  issuer: text().primaryKey(),
  jwks: text().notNull(),
  fetched_at: integer().notNull(),
});

export type AuditEventRow = typeof auditEvents.$inferSelect;
export type TokenRow = typeof tokens.$inferSelect;
