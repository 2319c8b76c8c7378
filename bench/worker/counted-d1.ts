/** What was asked of D1 so far. */
export interface D1Counts {
  trips: number;
  statements: number;
  rowsRead: number;
  rowsWritten: number;
}

/** How a statement is run by itself. `first` and `raw` lose the `meta` that tells rows, so of those only the trip counts. */
const RUNS = new Set<PropertyKey>(['run', 'all', 'first', 'raw']);

/** D1, with all that goes to it added to `counts`. */
export function countedD1(d1: D1Database, counts: D1Counts): D1Database {
  /** By the statements that were handed out in their place. */
  const originals = new WeakMap<object, D1PreparedStatement>();

  const add = (results: readonly { readonly meta: D1Meta }[]): void => {
    for (const { meta } of results) {
      counts.rowsRead += meta.rows_read;
      counts.rowsWritten += meta.rows_written;
    }
  };

  const counted = (statement: D1PreparedStatement): D1PreparedStatement => {
    const stand = new Proxy(statement, {
      get: (target, key) => {
        if (key === 'bind') return (...params: unknown[]) => counted(target.bind(...params));
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        return async (...params: unknown[]): Promise<unknown> => {
          if (RUNS.has(key)) {
            counts.trips += 1;
            counts.statements += 1;
          }
          const result: unknown = await value.apply(target, params);
          if (hasMeta(result)) add([result]);
          return result;
        };
      },
    });
    originals.set(stand, statement);
    return stand;
  };

  return new Proxy(d1, {
    get: (target, key) => {
      if (key === 'prepare') return (sql: string) => counted(target.prepare(sql));
      if (key === 'batch') {
        return async (statements: readonly D1PreparedStatement[]) => {
          counts.trips += 1;
          counts.statements += statements.length;
          const results = await target.batch(statements.map((statement) => originals.get(statement) ?? statement));
          add(results);
          return results;
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const hasMeta = (value: unknown): value is D1Result => typeof value === 'object' && value !== null && 'meta' in value;
