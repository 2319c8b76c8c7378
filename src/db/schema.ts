import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import { digitsOfWorkspace, isRespelled } from './workspace-spelling.ts';
import { ACTOR_TYPES, AUDIT_ACTIONS, AUDIT_STATUSES, ERROR_CODES, LEASED_WORK, LIST_STATES } from '../vocabulary.ts';

export * from './credential-schema.ts';
export * from './inventory-schema.ts';
export * from './revocation-schema.ts';
export * from './session-schema.ts';
export * from './trail-log-schema.ts';
export * from './upstream-schema.ts';

// Property names are the column names, so that a row as D1 returns it is a row as Drizzle types it. Times are
// milliseconds since the epoch.

/**
 * The trail. The triggers of `drizzle/0001_append_only.sql`, most of which `drizzle/0015_trail_log.sql` has made anew, keep it append-only: a
 * row is inserted final, or it is inserted `attempted` and settled once; `count` and `last_at` of a counted read may grow. `detail` is what was asked for and never changes;
 * `outcome` is what the settlement adds to it.
 */
export const auditEvents = sqliteTable(
  'audit_events',
  {
    /** The order of commits, dense from 1 but for `trail_gaps`, so that a missing number would show a deleted row. Only D1 gives it. */
    seq: integer().primaryKey(),
    id: text().notNull(),
    occurred_at: integer().notNull(),
    settled_at: integer(),
    action: text({ enum: AUDIT_ACTIONS }).notNull(),
    status: text({ enum: AUDIT_STATUSES }).notNull(),
    actor_type: text({ enum: ACTOR_TYPES }).notNull(),
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
    error_code: text({ enum: ERROR_CODES }),
    detail: text().notNull(),
    outcome: text(),
    /** How often a counted read was made within its minute, and when last; `last_at` is null if it was made once. */
    count: integer().notNull().default(1),
    last_at: integer(),
    /** Reads with one key are one row. Everything else has null, and always a row of its own. */
    read_key: text(),
    /** The random suffix of a created token's upstream name; null for everything but creates. */
    marker: text(),
    /** When the log closed a counted row, which grows no more from then on; null while it may grow, and for every other row. */
    closed_at: integer(),
    /** The MAC of what was recorded (`src/trail/row-macs.ts`); null in rows that D1 makes from other tables, and without the Worker's secret. */
    recorded_mac: text(),
    /** The MAC of how an attempt was settled; null in a row that is final from the start, whose `recorded_mac` covers that. */
    settled_mac: text(),
  },
  (table) => [
    uniqueIndex('audit_events_id').on(table.id),
    // There is an index for each filter that must read no more than a page. An index costs a written row for each event in it. Its
    // last column is `seq`, so that its rows come in order.
    index('audit_events_action').on(table.action),
    index('audit_events_actor_subject')
      .on(table.actor_subject)
      .where(sql`${table.actor_subject} is not null`),
    // An event whose label is its subject is found by its subject.
    index('audit_events_actor_label')
      .on(table.actor_label)
      .where(sql`${table.actor_label} is not null and ${table.actor_label} is not ${table.actor_subject}`),
    index('audit_events_workspace_uuid')
      .on(table.workspace_uuid)
      .where(sql`${table.workspace_uuid} is not null`),
    // Only rows from before there was one spelling of a workspace are in it, so it is nearly always empty.
    index('audit_events_respelled').on(digitsOfWorkspace('workspace_uuid')).where(isRespelled('workspace_uuid')),
    index('audit_events_token_id')
      .on(table.token_id)
      .where(sql`${table.token_id} is not null`),
    // The life of a token: no read that is counted is in it, and those are most of a token's events.
    index('audit_events_token_life')
      .on(table.token_id)
      .where(sql`${table.token_id} is not null and ${table.read_key} is null`),
    // Only creates and renames name a token.
    index('audit_events_token_name')
      .on(table.token_name)
      .where(sql`${table.token_name} is not null`),
    // Only failures have a code.
    index('audit_events_error_code')
      .on(table.error_code)
      .where(sql`${table.error_code} is not null`),
    index('audit_events_request_id')
      .on(table.request_id)
      .where(sql`${table.request_id} is not null`),
    // Reconciliation recognises a create by its marker alone.
    index('audit_events_marker')
      .on(table.marker)
      .where(sql`${table.marker} is not null`),
    index('audit_events_read_key')
      .on(table.read_key)
      .where(sql`${table.read_key} is not null`),
    // The cron and /readyz read only attempts that are open, so it is nearly always empty.
    index('audit_events_open')
      .on(table.occurred_at)
      .where(sql`${table.status} = 'attempted'`),
  ],
);

/**
 * The earliest and the latest time of `size` consecutive events of the trail, the last of which is `last_seq`. A search for times
 * skips the spans that cannot hold one, however the clocks behind the events ran. A trigger writes a span when it is full, and it
 * never changes (`drizzle/0005_time_spans.sql`, which also makes the table WITHOUT ROWID). One that reaches into a gap holds fewer events, and
 * is written with the gap if it ends there (`drizzle/0015_trail_log.sql`). The sizes are AUDIT_SPAN_SIZES.
 */
export const auditTimeSpans = sqliteTable(
  'audit_time_spans',
  {
    size: integer().notNull(),
    last_seq: integer().notNull(),
    earliest_at: integer().notNull(),
    latest_at: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.size, table.last_seq] })],
);

/**
 * The open attempts that reconciliation has looked into: how often, and when it looks next. Settling an attempt removes its row.
 */
export const attemptReviews = sqliteTable('attempt_reviews', {
  event_id: text().primaryKey(),
  tries: integer().notNull(),
  /** Nobody else looks into it before this time, which ends the lease of a run and the pause before the next look. */
  next_at: integer().notNull(),
  /** The run that has its lease. */
  claim: text().notNull(),
  /** When the first of the two looks began that prove the absence of its token; null since the token was last seen. */
  unseen_at: integer(),
});

/** Which run does each piece of the work that one run does at a time, and until when. */
export const jobLeases = sqliteTable('job_leases', {
  job: text({ enum: LEASED_WORK }).primaryKey(),
  holder: text().notNull(),
  until: integer().notNull(),
});

/** The last good key set of each issuer and each sender of webhooks, for the time in which its origin cannot be reached. */
export const jwksCache = sqliteTable('jwks_cache', {
  issuer: text().primaryKey(),
  jwks: text().notNull(),
  fetched_at: integer().notNull(),
  /** The MAC of the issuer, the keys and the time; null where the Worker had no secret for it. */
  mac: text(),
});

/** The generation of each workspace, and who is asking PipeOps for its list at the moment. */
export const workspaces = sqliteTable(
  'workspaces',
  {
    workspace_uuid: text().primaryKey(),
    /** It is raised when tokens of the workspace may have changed. */
    generation: integer().notNull(),
    /**
     * The generation for which an isolate is asking PipeOps, and until when others wait for it; -1 if a change waits to be
     * listed.
     */
    lease_generation: integer(),
    lease_until: integer().notNull(),
    /** The batch that took the lease. */
    lease_holder: text(),
    /** 1 if the lease was taken because tokens have changed since the last one, and not because the list is old. */
    lease_changed: integer(),
    /** When a list was last asked for. A workspace is in use for an hour after that. */
    listed_at: integer(),
    /** What its last list was good for; null if none was asked for. */
    list_state: text({ enum: LIST_STATES }),
    /** When `list_state` became so. */
    list_state_at: integer(),
    /**
     * The latest time of use, as PipeOps tells it, that a look saw to have moved on since the look before: PipeOps fills in times of use
     * here. It is never later than that look.
     */
    usage_advanced_at: integer(),
    /** When its last nightly look at the use of tokens began. */
    usage_swept_at: integer(),
    /** How many of its live tokens were unused then, and how many were never used. */
    usage_unused: integer(),
    usage_never_used: integer(),
  },
  (table) => [
    index('workspaces_listed_at')
      .on(table.listed_at, table.list_state)
      .where(sql`${table.listed_at} is not null`),
  ],
);

/** The last list of each workspace, for isolates that do not have it in memory. */
export const snapshots = sqliteTable('snapshots', {
  workspace_uuid: text().primaryKey(),
  /** The generation of the workspace before the list was asked for. */
  generation: integer().notNull(),
  begun_at: integer().notNull(),
  /** The tokens as JSON, with their markers. No secret is in a list. */
  body: text().notNull(),
});

/** Which create holds an idempotency key, and the answer for a repeat of it. */
export const idempotencyKeys = sqliteTable(
  'idempotency_keys',
  {
    /** A keyed hash over caller, route, workspace and key. */
    key_hash: text().primaryKey(),
    /** A keyed hash over the request as it was sent. A key with another request is a mistake. */
    request_fingerprint: text().notNull(),
    /** The id of the create that holds the key in the trail. */
    event_id: text().notNull(),
    expires_at: integer().notNull(),
    /** The answer as a JWE, which D1 alone cannot open; null while there is none, and where it is not given again. */
    sealed: text(),
  },
  (table) => [index('idempotency_keys_expires_at').on(table.expires_at)],
);

export type AuditEventRow = typeof auditEvents.$inferSelect;
