import { eq, getTableColumns, notExists, sql, type SQL } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import type { NewAuditRow } from './events.ts';

/**
 * Inserts a row where a condition holds and the row is not there yet, so that its batch may be repeated. The trail's guards
 * abort on a conflict, so ON CONFLICT cannot say this.
 */
export function insertEventWhere({ build }: Database, row: NewAuditRow, condition: SQL) {
  const values: Readonly<Record<string, unknown>> = row;
  const columns = Object.keys(getTableColumns(auditEvents)).map((name) => sql`${values[name] ?? null}`);
  const isNew = notExists(
    build
      .select({ one: sql`1` })
      .from(auditEvents)
      .where(eq(auditEvents.id, row.id)),
  );
  return build.insert(auditEvents).select(sql`select ${sql.join(columns, sql`, `)} where ${isNew} and ${condition}`);
}
