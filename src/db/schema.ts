import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import { digitsOfWorkspace, isRespelled } from './workspace-spelling.ts';
import {
  ACTOR_TYPES,
  AUDIT_ACTIONS,
  AUDIT_STATUSES,
  ERROR_CODES,
  LEASED_WORK,
  LIST_STATES,
  TOKEN_ENDS,
} from '../vocabulary.ts';

export * from './revocation-schema.ts';

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
    // What was written before there was one spelling of a workspace. Nearly always empty.
    index('audit_events_respelled').on(digitsOfWorkspace('workspace_uuid')).where(isRespelled('workspace_uuid')),
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

/**
 * The earliest and the latest time of `size` consecutive events of the trail, of which `last_seq` is the last: a search for
 * times skips the spans that cannot hold one, however the clocks behind the events ran. Written by a trigger when a span is
 * full, and never changed (`drizzle/0005_time_spans.sql`, which also makes the table WITHOUT ROWID). Sizes are
 * AUDIT_SPAN_SIZES.
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
    /** Since when it is known to have ended: see `ended_by`. */
    revoked_at: integer(),
    /** How its end is known; null where it has none, or where an earlier version of this service believed one list. */
    ended_by: text({ enum: TOKEN_ENDS }),
    /** When the first look that proves its absence was begun; null since it was last seen. One such look proves nothing yet. */
    unseen_at: integer(),
    /** The owner's label in the form in which labels are compared. */
    owner_label: text(),
    /** What PipeOps shows of the secret. */
    token_prefix: text(),
    /** HMAC over the SHA-256 of the secret, and the id of its key: what a leaked secret is recognised by. */
    fingerprint: text(),
    fingerprint_key_id: text(),
    /** Why it is suspended: a JSON list of SUSPENSION_REASONS; null where nothing here suspended it. */
    suspended_by: text(),
  },
  (table) => [
    primaryKey({ columns: [table.workspace_uuid, table.token_id] }),
    // A leaver's tokens are found by their owner, and those of its former logins by the label they were minted under.
    index('tokens_owner')
      .on(table.owner_issuer, table.owner_subject)
      .where(sql`${table.owner_issuer} is not null`),
    // Live tokens of an owner are counted without those that have ended, of which there may be any number.
    index('tokens_owner_live')
      .on(table.owner_issuer, table.owner_subject, table.expires_at)
      .where(sql`${table.owner_issuer} is not null and ${table.revoked_at} is null`),
    index('tokens_owner_label')
      .on(table.owner_label)
      .where(sql`${table.owner_label} is not null`),
    index('tokens_fingerprint')
      .on(table.fingerprint)
      .where(sql`${table.fingerprint} is not null`),
    // A list is judged with what it shows, and with what should be there: tokens that are over, thousands in a workspace, are never
    // read for it. Those that have not expired come first.
    index('tokens_without_end')
      .on(table.workspace_uuid, table.expires_at)
      .where(sql`${table.ended_by} is null`),
    index('tokens_listed_end')
      .on(table.workspace_uuid)
      .where(sql`${table.ended_by} = 'listed'`),
    // Which keys live tokens still need: `/readyz` walks over the ids, not over the tokens.
    index('tokens_fingerprint_key')
      .on(table.fingerprint_key_id, table.expires_at)
      .where(sql`${table.revoked_at} is null and ${table.fingerprint_key_id} is not null`),
  ],
);

/**
 * How many live tokens an owner holds, in all workspaces together: those whose end is not known and that had not expired at
 * `counted_at`. Triggers on `tokens` keep it (`drizzle/0008_token_counts.sql`, which also makes this table and the next WITHOUT ROWID),
 * so no statement that enters, ends or revives tokens has to name it. An owner without a row never held one.
 */
export const tokenCounts = sqliteTable(
  'token_counts',
  {
    owner_issuer: text().notNull(),
    owner_subject: text().notNull(),
    live: integer().notNull(),
    /** Tokens that expire by then are not in `live`. */
    counted_at: integer().notNull(),
    /** The most that the owner's roles allowed when it last asked for a token; null: it has not since this is counted. */
    max_tokens: integer(),
  },
  (table) => [
    primaryKey({ columns: [table.owner_issuer, table.owner_subject] }),
    // `/status` reads only those above four fifths.
    index('token_counts_near')
      .on(table.live)
      .where(sql`${table.live} * 5 > ${table.max_tokens} * 4`),
  ],
);

/** Creates under way that may mint a token: each counts like a token of its owner until a trigger of the trail sees its row settled. */
export const openCreates = sqliteTable(
  'open_creates',
  {
    owner_issuer: text().notNull(),
    owner_subject: text().notNull(),
    /** The audit event of the create. */
    event_id: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.owner_issuer, table.owner_subject, table.event_id] })],
);

/** What PipeOps said about how much it takes, for every isolate to know. */
export const upstreamLimits = sqliteTable('upstream_limits', {
  /**
   * `all`: nothing is to be sent at all. `try`: a revocation has tried all the same. `minute`, `hour`: so many calls are left of that
   * window. `minute_limit`, `hour_limit`: so many it has. A workspace's UUID: PipeOps does not let us act there.
   */
  scope: text().primaryKey(),
  /** Until when this holds. */
  until: integer().notNull(),
  /** Calls: left of a window, or that it has. */
  remaining: integer(),
});

/** The calls to PipeOps that were reserved, by the twelfth of a window in which they were. The cron erases what is over. */
export const upstreamCalls = sqliteTable(
  'upstream_calls',
  {
    span: text({ enum: ['minute', 'hour'] }).notNull(),
    /** Twelfths of that window since the epoch. */
    bucket: integer().notNull(),
    calls: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.span, table.bucket] })],
);

/** Open attempts that reconciliation has looked into: how often, and when next. Settling removes the row. */
export const attemptReviews = sqliteTable('attempt_reviews', {
  event_id: text().primaryKey(),
  tries: integer().notNull(),
  /** Until then nobody else looks into it: the lease of this run, and the pause before the next. */
  next_at: integer().notNull(),
  /** Which run holds it. */
  claim: text().notNull(),
  /** When the first look that proves the absence of what it is about was begun; null since that was last seen. */
  unseen_at: integer(),
});

/** Which run does which of the work that one does at a time, and until when nobody else does. */
export const jobLeases = sqliteTable('job_leases', {
  job: text({ enum: LEASED_WORK }).primaryKey(),
  holder: text().notNull(),
  until: integer().notNull(),
});

/** The last good key set of each issuer, or of a source of webhooks, for outages of where it comes from. */
export const jwksCache = sqliteTable('jwks_cache', {
  issuer: text().primaryKey(),
  jwks: text().notNull(),
  fetched_at: integer().notNull(),
});

/** A workspace's generation, and who reads its list at the moment. */
export const workspaces = sqliteTable(
  'workspaces',
  {
    workspace_uuid: text().primaryKey(),
    /** Raised when its tokens may have changed. */
    generation: integer().notNull(),
    /** The generation for which an isolate is asking PipeOps, and until when others wait for it; -1: a change waits to be listed. */
    lease_generation: integer(),
    lease_until: integer().notNull(),
    /** Which batch took it. */
    lease_holder: text(),
    /** 1: it was taken because tokens have changed since the last one, not because the list is old. */
    lease_changed: integer(),
    /** When a list was last asked for: that of a workspace in use was within the hour. */
    listed_at: integer(),
    /** What its last list was good for; null: none was asked for. */
    list_state: text({ enum: LIST_STATES }),
    /** Since when that is so. */
    list_state_at: integer(),
  },
  (table) => [
    index('workspaces_listed_at')
      .on(table.listed_at, table.list_state)
      .where(sql`${table.listed_at} is not null`),
  ],
);

/** The last list of each workspace, for isolates that do not hold it. */
export const snapshots = sqliteTable('snapshots', {
  workspace_uuid: text().primaryKey(),
  /** The workspace's before the list was asked for. */
  generation: integer().notNull(),
  begun_at: integer().notNull(),
  /** The tokens as JSON, markers included. No secret is in a list. */
  body: text().notNull(),
});

/** Which create holds an idempotency key, and what a replay of it answers. */
export const idempotencyKeys = sqliteTable(
  'idempotency_keys',
  {
    /** A keyed hash over caller, route, workspace and the key. */
    key_hash: text().primaryKey(),
    /** Of the request as it was sent: the same key with another request is a mistake. */
    request_fingerprint: text().notNull(),
    /** The audit event of the create that holds it. */
    event_id: text().notNull(),
    expires_at: integer().notNull(),
    /** The answer, as a JWE that D1 alone cannot open; null: not answered yet. */
    sealed: text(),
  },
  (table) => [index('idempotency_keys_expires_at').on(table.expires_at)],
);

export type AuditEventRow = typeof auditEvents.$inferSelect;
export type TokenRow = typeof tokens.$inferSelect;
