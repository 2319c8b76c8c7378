/** What was asked of D1 so far. */
export interface D1Counts {
  trips: number;
  statements: number;
  rowsRead: number;
  rowsWritten: number;
}

/** Is called for each trip, with the number of its statements; makes it by `trip`. */
export type AroundTrip = <T>(statements: number, trip: () => Promise<T>) => Promise<T>;

/** How a statement is run by itself. */
const RUNS = new Set<PropertyKey>(['run', 'all', 'first', 'raw']);

/** D1, with `around` about each trip: a batch, or a statement that is run by itself. */
export function aroundTrips(d1: D1Database, around: AroundTrip): D1Database {
  /** By the statements that were handed out in their place. */
  const originals = new WeakMap<object, D1PreparedStatement>();

  const wrapped = (statement: D1PreparedStatement): D1PreparedStatement => {
    const stand = new Proxy(statement, {
      get: (target, key) => {
        if (key === 'bind') return (...params: unknown[]) => wrapped(target.bind(...params));
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        const call = async (params: readonly unknown[]): Promise<unknown> => await value.apply(target, params);
        return async (...params: unknown[]): Promise<unknown> =>
          RUNS.has(key) ? await around(1, async () => await call(params)) : await call(params);
      },
    });
    originals.set(stand, statement);
    return stand;
  };

  return new Proxy(d1, {
    get: (target, key) => {
      if (key === 'prepare') return (sql: string) => wrapped(target.prepare(sql));
      if (key === 'batch') {
        return async (statements: readonly D1PreparedStatement[]) =>
          await around(
            statements.length,
            async () => await target.batch(statements.map((statement) => originals.get(statement) ?? statement)),
          );
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** D1, with all that goes to it added to `counts`. `first` and `raw` lose the `meta` that tells rows: of those the trip counts. */
export const countedD1 = (d1: D1Database, counts: D1Counts): D1Database =>
  aroundTrips(d1, async (statements, trip) => {
    counts.trips += 1;
    counts.statements += statements;
    const answer = await trip();
    const results: readonly unknown[] = Array.isArray(answer) ? answer : [answer];
    for (const { meta } of results.filter(hasMeta)) {
      counts.rowsRead += meta.rows_read;
      counts.rowsWritten += meta.rows_written;
    }
    return answer;
  });

const hasMeta = (value: unknown): value is D1Result => typeof value === 'object' && value !== null && 'meta' in value;

/** A D1 that is far away: each trip takes so many milliseconds more, whatever else is under way. */
export interface FarD1 {
  readonly d1: D1Database;
  delayMs: number;
}

export function farD1(d1: D1Database): FarD1 {
  const far: FarD1 = {
    delayMs: 0,
    d1: aroundTrips(d1, async (_statements, trip) => {
      if (far.delayMs > 0) await scheduler.wait(far.delayMs);
      return await trip();
    }),
  };
  return far;
}
