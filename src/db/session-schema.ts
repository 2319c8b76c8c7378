import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { ACTOR_TYPES, SESSION_ENDS } from '../vocabulary.ts';

/**
 * Browser sessions. A row makes nobody a caller: the identity is sealed in the cookie, and the row lives only while its columns are
 * those that the cookie seals and its `mac`, which needs a secret of the Worker, names a minute of the last half hour.
 */
export const sessions = sqliteTable(
  'sessions',
  {
    /** A keyed digest of the `state` of the sign-in, so that one sign-in makes one session. */
    id: text().primaryKey(),
    actor_type: text({ enum: ACTOR_TYPES }).notNull(),
    issuer: text().notNull(),
    subject: text().notNull(),
    /** In the form in which labels are compared. */
    label: text(),
    started_at: integer().notNull(),
    ends_at: integer().notNull(),
    /** The MAC of the columns above and of the minute of the last use that was written down; null once the session is over. */
    mac: text(),
    /** When that was. The cron finds idle sessions by it, and nothing else believes it. */
    seen_at: integer().notNull(),
    ended_at: integer(),
    end_reason: text({ enum: SESSION_ENDS }),
    /** When `session.end` was recorded. */
    recorded_at: integer(),
  },
  (table) => [
    // The cron reads the sessions whose end is not recorded, and those that were kept for long enough.
    index('sessions_unrecorded')
      .on(table.seen_at)
      .where(sql`${table.recorded_at} is null`),
    index('sessions_recorded')
      .on(table.recorded_at)
      .where(sql`${table.recorded_at} is not null`),
  ],
);

export type SessionRow = typeof sessions.$inferSelect;
