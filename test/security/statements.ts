import { env } from 'cloudflare:workers';

/** A D1 binding that notes the text of every statement, and where one batch ends. */
export function createRecordingD1() {
  const statements: string[] = [];
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'prepare') {
        return (text: string): D1PreparedStatement => {
          statements.push(text);
          return target.prepare(text);
        };
      }
      if (key === 'batch') {
        return async (batch: D1PreparedStatement[]): Promise<D1Result[]> => {
          statements.push(`-- batch of ${batch.length}`);
          return await target.batch(batch);
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { db, statements };
}
