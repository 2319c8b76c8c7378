import { JWKS_STORE_INTERVAL_MS } from '../config/limits.ts';
import type { JwksStore, StoredJwks } from './key-archive.ts';

export type { JwksStore, StoredJwks } from './key-archive.ts';

/** Over the table `jwks_cache`. Both methods throw what D1 throws. */
export function createJwksStore(d1: D1Database): JwksStore {
  return {
    read: async (issuer) =>
      await d1
        .prepare('SELECT jwks, fetched_at AS fetchedAtMs FROM jwks_cache WHERE issuer = ?')
        .bind(issuer)
        .first<StoredJwks>(),

    // Every isolate writes here: a set older than the one kept must not replace it, and the same set is not worth a row
    // written more often than once in the interval.
    write: async (issuer, { jwks, fetchedAtMs }) => {
      await d1
        .prepare(
          `INSERT INTO jwks_cache (issuer, jwks, fetched_at) VALUES (?1, ?2, ?3)
           ON CONFLICT (issuer) DO UPDATE SET jwks = excluded.jwks, fetched_at = excluded.fetched_at
           WHERE excluded.fetched_at > fetched_at
             AND (excluded.jwks <> jwks OR excluded.fetched_at - fetched_at >= ?4)`,
        )
        .bind(issuer, jwks, fetchedAtMs, JWKS_STORE_INTERVAL_MS)
        .run();
    },
  };
}
