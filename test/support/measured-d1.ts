import { env } from 'cloudflare:workers';

/** A D1 binding that adds up what its batches read, write and give back. */
export function measuredD1() {
  const cost = { batches: 0, statements: 0, rowsRead: 0, rowsWritten: 0, bytes: 0, largest: 0 };
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
      return async (statements: D1PreparedStatement[]) => {
        const results = await target.batch(statements);
        const bytes = JSON.stringify(results.map((result) => result.results)).length;
        cost.batches += 1;
        cost.statements += statements.length;
        cost.bytes += bytes;
        cost.largest = Math.max(cost.largest, bytes);
        for (const { meta } of results) {
          cost.rowsRead += meta.rows_read;
          cost.rowsWritten += meta.rows_written;
        }
        return results;
      };
    },
  });
  return {
    db,
    /** What `work` cost. */
    of: async (work: () => Promise<unknown>) => {
      Object.assign(cost, { batches: 0, statements: 0, rowsRead: 0, rowsWritten: 0, bytes: 0, largest: 0 });
      await work();
      return { ...cost };
    },
  };
}
