import { D1_TIMEOUT_MS, JWKS_STORE_INTERVAL_MS } from '../config/limits.ts';
import { type DatedKeySet, readKeySet } from './jwks.ts';
import { within } from '../kit/deadline.ts';
import { parseJson } from '../kit/json.ts';
import type { Runtime } from '../kit/runtime.ts';

/** Keeps the last good key set of each issuer, or sender of webhooks, for the hours in which it cannot be reached. */
export interface JwksStore {
  /** Null: none is kept. */
  read(issuer: string): Promise<StoredJwks | null>;
  write(issuer: string, stored: StoredJwks): Promise<void>;
}

/** `jwks` is the set as text; `fetchedAtMs` is when its origin gave it. */
export interface StoredJwks {
  readonly jwks: string;
  readonly fetchedAtMs: number;
}

/** What reading keys needs. */
export interface KeySourceDependencies {
  readonly runtime: Pick<Runtime, 'now' | 'fetch' | 'timeout' | 'log'>;
  readonly store: JwksStore;
  /** Lets work go on after the request that began it: `waitUntil`. */
  readonly background: (work: Promise<unknown>) => void;
}

/** One origin's last good keys in D1. Neither method rejects: D1 failing costs the stand-in, not the login. */
interface KeyArchive {
  /** Null: none kept, none readable, or D1 did not answer within D1_TIMEOUT_MS. */
  find(): Promise<DatedKeySet | null>;
  /** Writes only what is news: another set than the last written, or the same after JWKS_STORE_INTERVAL_MS. */
  keep(keys: DatedKeySet): Promise<void>;
}

export function createKeyArchive(
  name: string,
  { store, runtime }: Pick<KeySourceDependencies, 'store' | 'runtime'>,
): KeyArchive {
  let kept: DatedKeySet | null = null;

  return {
    find: async () => {
      const found = await bounded('read', async () => await store.read(name));
      if (found === undefined || found === null) return null;
      const set = await readKeySet(parseJson(found.jwks));
      // Another isolate's clock may run ahead; a date to come would never grow old.
      return set === null ? null : { set, fetchedAtMs: Math.min(found.fetchedAtMs, runtime.now()) };
    },

    keep: async (keys) => {
      const { jwks } = keys.set;
      const { fetchedAtMs } = keys;
      if (kept?.set.jwks === jwks && fetchedAtMs - kept.fetchedAtMs < JWKS_STORE_INTERVAL_MS) return;
      const written = await bounded('write', async () => {
        await store.write(name, { jwks, fetchedAtMs });
        return keys;
      });
      kept = written ?? kept;
    },
  };

  /** Undefined: it failed, or took longer than D1_TIMEOUT_MS. */
  async function bounded<T>(operation: 'read' | 'write', call: () => Promise<T>): Promise<T | undefined> {
    const outcome = await within(call(), runtime.timeout(D1_TIMEOUT_MS));
    if (outcome.ok) return outcome.value;
    runtime.log({ level: 'warn', event: 'jwks_store_failed', operation, reason: outcome.error });
    return undefined;
  }
}

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
