import { env } from 'cloudflare:workers';

/**
 * A D1 binding of which the batches that `fails` names, counted from 1, fail: without having reached the database, unless
 * `fail` commits them first.
 */
export function failingBatches(
  fails: (batch: number) => boolean,
  fail: (commit: () => Promise<unknown>) => Promise<never> = async () =>
    await Promise.reject(new Error('injected: D1 is down')),
): { readonly db: D1Database; readonly sent: () => number } {
  let sent = 0;
  const db = new Proxy(env.DB, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
      return async (statements: D1PreparedStatement[]) => {
        sent += 1;
        const commit = async () => await target.batch(statements);
        return fails(sent) ? await fail(commit) : await commit();
      };
    },
  });
  return { db, sent: () => sent };
}
