import { getTableName, is, sql } from 'drizzle-orm';
import { SQLiteTable } from 'drizzle-orm/sqlite-core';
import journal from '../../drizzle/meta/_journal.json' with { type: 'json' };
import type { Database } from './database.ts';
import * as schema from './schema.ts';

// What this version needs of its database. A version that is deployed before its migrations are applied fails where it first needs
// them, for ever, so `/readyz` compares. Nothing here is written by hand: the migrations are those of drizzle's journal, and the tables
// are those of the schema.

/** Where wrangler, `npm start` and the tests all note which migrations they have applied. */
export const APPLIED = 'd1_migrations';

const TABLES: readonly string[] = [
  APPLIED,
  ...Object.values(schema)
    .filter((value) => is(value, SQLiteTable))
    .map((table) => getTableName(table)),
];

/** The names of the files of the migrations, in their order. */
export const MIGRATIONS: readonly string[] = journal.entries.map(({ tag }) => `${tag}.sql`);

const NAME = sql<string>`name`.as('name');

/** Selects those of the needed tables that are there. It names none of them as a table, so it fails in no state of the schema. */
export const selectTables = ({ build }: Database) =>
  build
    .select({ name: NAME })
    .from(sql`sqlite_master`)
    .where(sql`type = 'table' and name in (select value from json_each(${JSON.stringify(TABLES)}))`);

/** Selects the migrations that are applied. */
export const selectMigrations = ({ build }: Database) => build.select({ name: NAME }).from(sql.raw(APPLIED));

type Named = readonly { readonly name: string }[];

/** The tables that this version needs and the database lacks. */
export const lackingTables = (found: Named): readonly string[] => lacking(TABLES, found);

/** The migrations that this version needs and the database lacks. A later version may have applied more. */
export const lackingMigrations = (found: Named): readonly string[] => lacking(MIGRATIONS, found);

function lacking(needed: readonly string[], found: Named): readonly string[] {
  const names = new Set(found.map(({ name }) => name));
  return needed.filter((name) => !names.has(name));
}
