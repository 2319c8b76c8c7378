import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { ERROR_CODES, UPSTREAM_OUTCOMES } from '../vocabulary.ts';

// What isolates tell each other of PipeOps. `schema.ts` says how rows are written here, and exports these tables too.

/** What PipeOps said about how many calls it takes, so that every isolate knows it. */
export const upstreamLimits = sqliteTable('upstream_limits', {
  /**
   * `all`: nothing is to be sent at all. `try`: a revocation has tried all the same. `minute` and `hour`: `remaining` calls are left
   * of that window. `minute_limit` and `hour_limit`: that window has `remaining` calls. The UUID of a workspace: PipeOps does not let
   * us act there.
   */
  scope: text().primaryKey(),
  /** When this stops being true. */
  until: integer().notNull(),
  /** The calls that are left of a window, or that it has. */
  remaining: integer(),
});

/** How many calls to PipeOps were reserved in each twelfth of a window. The cron erases what is over. */
export const upstreamCalls = sqliteTable(
  'upstream_calls',
  {
    span: text({ enum: ['minute', 'hour'] }).notNull(),
    /** The number of the twelfth, counted since the epoch. */
    bucket: integer().notNull(),
    calls: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.span, table.bucket] })],
);

/**
 * What calls to PipeOps came to, as far as isolates have told each other: the last success under each credential, and the last time of
 * each trouble. Its migration makes the table WITHOUT ROWID.
 */
export const upstreamOutcomes = sqliteTable(
  'upstream_outcomes',
  {
    kind: text({ enum: UPSTREAM_OUTCOMES }).notNull(),
    /** The id of a credential, the UUID of a workspace, or empty where it is about PipeOps as a whole. */
    subject: text().notNull(),
    /** When the trouble began that goes on; null once it is over, and for a success. */
    since: integer(),
    last_at: integer().notNull(),
    error_code: text({ enum: ERROR_CODES }),
    upstream_status: integer(),
    /** Of a success: the workspace that the call was about. */
    workspace_uuid: text(),
    /** Of a success: when the credential ends by its own word. */
    ends_at: integer(),
  },
  (table) => [primaryKey({ columns: [table.kind, table.subject] })],
);
