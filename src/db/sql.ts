import { fillPlaceholders, getTableColumns, sql, type SQL } from 'drizzle-orm';
import type { SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { Database, Query } from './database.ts';

type Builder = Pick<Database, 'build'>;

/**
 * A query that is built once, with `sql.placeholder(name)` where values go, and then only filled in. It is for statements that are sent
 * many times a second, which take longer to build than to send. All databases share its text.
 */
export function compiled<Q extends Query>(
  build: (database: Builder) => Q,
): (database: Builder, values: Readonly<Record<string, unknown>>) => Q {
  let built: { readonly sql: string; readonly params: unknown[] } | null = null;
  return (database, values) => {
    // It is built by the first request, and not while the Worker starts.
    built ??= build(database).toSQL();
    const filled = { sql: built.sql, params: fillPlaceholders(built.params, values) };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch needs its SQL, and the types of its rows
    return { toSQL: () => filled } as unknown as Q;
  };
}

/**
 * The values of a row in the order of its table's columns, for an `insert into … select` that inserts the row under a condition. A
 * column that `row` does not name is null.
 */
export function selectedRow(table: SQLiteTable, row: object): SQL {
  const values = new Map<string, unknown>(Object.entries(row));
  const columns = Object.keys(getTableColumns(table)).map((name) => sql`${values.get(name) ?? null}`);
  return sql.join(columns, sql`, `);
}

/** The items of a JSON list, as `e.value`. */
export const each = (items: readonly unknown[]): SQL => sql`json_each(${JSON.stringify(items)}) as e`;

/** The ids of a JSON list, to stand behind `in`. */
export const idsOf = (ids: readonly string[]): SQL => sql`(select value from json_each(${JSON.stringify(ids)}))`;

const hex = (bytes: number) => sql.raw(`lower(hex(randomblob(${bytes})))`);

/** A random UUID (RFC 9562 §5.4) that the database makes, for statements that insert a number of rows which is not known before. */
export const newUuid = sql`${hex(4)} || '-' || ${hex(2)} || '-4' || substr(${hex(2)}, 2) || '-a' || substr(${hex(2)}, 2) || '-' || ${hex(6)}`;

/**
 * Whether the end of a token is not proven: its revoke was not acknowledged, and its absence was not proven. A single list proves
 * nothing, and neither does what an earlier version of this service believed.
 *
 * @param name the name under which the statement reads `tokens`.
 */
export const isEndUnproven = (name: string): SQL =>
  sql.raw(`(${name}.ended_by is null or ${name}.ended_by not in ('acknowledged', 'absent'))`);
