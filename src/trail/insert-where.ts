import { eq, notExists, sql, type SQL } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { selectedRow } from '../db/sql.ts';
import { auditEvents } from '../db/schema.ts';
import type { NewAuditRow } from './events.ts';

/**
 * Inserts a row where a condition holds and the row is not there yet, so that its batch may be repeated. The trail's guards
 * abort on a conflict, so ON CONFLICT cannot say this.
 */
export function insertEventWhere(database: Database, row: NewAuditRow, condition: SQL) {
  const isNew = notExists(
    database.build
      .select({ one: sql`1` })
      .from(auditEvents)
      .where(eq(auditEvents.id, row.id)),
  );
  return insertEventsFrom(database, row, {}, sql`where ${isNew} and ${condition}`);
}

/**
 * Inserts a row for each row of another table.
 *
 * @param row what all of them have in common.
 * @param each the columns that come from the other table.
 * @param source the rest of a SELECT, from its FROM or WHERE on.
 */
export function insertEventsFrom(
  { build }: Database,
  row: NewAuditRow,
  each: Readonly<Partial<Record<keyof NewAuditRow, SQL | SQL.Aliased>>>,
  source: SQL,
) {
  return build.insert(auditEvents).select(sql`select ${selectedRow(auditEvents, { ...row, ...each })} ${source}`);
}
