import { fillPlaceholders } from 'drizzle-orm';
import type { Database, Query } from './database.ts';

type Builder = Pick<Database, 'build'>;

/**
 * A query that is built once, with `sql.placeholder(name)` where values go, and then only filled in: for statements that are
 * sent many times a second, of which building takes longer than sending. All databases share its text.
 */
export function compiled<Q extends Query>(
  build: (database: Builder) => Q,
): (database: Builder, values: Readonly<Record<string, unknown>>) => Q {
  let built: { readonly sql: string; readonly params: unknown[] } | null = null;
  return (database, values) => {
    // Not while the Worker starts.
    built ??= build(database).toSQL();
    const { sql, params } = built;
    const filled = { sql, params: fillPlaceholders(params, values) };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch needs its SQL, and the types of its rows
    return { toSQL: () => filled } as unknown as Q;
  };
}
