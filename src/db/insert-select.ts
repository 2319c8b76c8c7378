import { getTableColumns, sql, type SQL } from 'drizzle-orm';
import type { SQLiteTable } from 'drizzle-orm/sqlite-core';

/**
 * The columns of a row in the order of its table, for `insert into … select`: how a row is inserted under a condition.
 * What is absent is null.
 */
export function selectedRow(table: SQLiteTable, row: object): SQL {
  const values = new Map<string, unknown>(Object.entries(row));
  const columns = Object.keys(getTableColumns(table)).map((name) => sql`${values.get(name) ?? null}`);
  return sql.join(columns, sql`, `);
}
