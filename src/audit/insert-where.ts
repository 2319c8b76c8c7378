import { getTableColumns, sql, type SQL } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import type { NewAuditRow } from './events.ts';

/**
 * Inserts a row where a condition holds. The trail's guards abort on a conflict, so what must happen once is asked for
 * this way instead of with ON CONFLICT.
 */
export function insertEventWhere({ build }: Database, row: NewAuditRow, condition: SQL) {
  const values: Readonly<Record<string, unknown>> = row;
  const columns = Object.keys(getTableColumns(auditEvents)).map((name) => sql`${values[name] ?? null}`);
  return build.insert(auditEvents).select(sql`select ${sql.join(columns, sql`, `)} where ${condition}`);
}
