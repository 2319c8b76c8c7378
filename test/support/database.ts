import { env } from 'cloudflare:workers';
import type { D1Migration } from 'cloudflare:test';

/**
 * All migrations as one, which ends with the record of each: a trip to D1 costs more than a statement, and every test file starts with
 * a new database.
 */
export function asOneMigration(migrations: readonly D1Migration[]): D1Migration {
  const last = migrations.at(-1);
  if (last === undefined) throw new Error('There are no migrations.');
  const queries = migrations.flatMap(({ name, queries: own }) =>
    // Whoever applies it records the last name itself.
    name === last.name ? own : [...own, `insert into d1_migrations (name) values ('${name}')`],
  );
  return { name: last.name, queries };
}

/** Every row of every table, in two trips. */
export async function contentsOfTables(): Promise<
  readonly { readonly name: string; readonly rows: readonly object[] }[]
> {
  const { results: tables } = await env.DB.prepare(
    `select name from sqlite_master where type = 'table' and name not like 'sqlite_%' and name not like '_cf_%'`,
  ).all<{ name: string }>();
  if (tables.length === 0) return [];
  const contents = await env.DB.batch<object>(tables.map(({ name }) => env.DB.prepare(`select * from "${name}"`)));
  return tables.map(({ name }, index) => ({ name, rows: contents[index]?.results ?? [] }));
}
