import type { D1Database } from '@cloudflare/workers-types';
import { D1_TIMEOUT_MS, JWKS_STORE_INTERVAL_MS } from '../config/limits.ts';
import { type DatedKeySet, readKeySet } from './jwks.ts';
import { within } from '../kit/deadline.ts';
import { parseJson } from '../kit/json.ts';
import { createMac } from '../kit/mac.ts';
import type { Runtime } from '../kit/runtime.ts';

/** Stores the last good key set of each issuer, and of each sender of webhooks, for the hours in which it cannot be reached. */
export interface JwksStore {
  /** Null if none is stored. */
  read(issuer: string): Promise<StoredJwks | null>;
  write(issuer: string, stored: StoredJwks): Promise<void>;
}

/** A key set as it is stored: its text, and the time when its origin gave it in milliseconds since the epoch. */
export interface StoredJwks {
  readonly jwks: string;
  readonly fetchedAtMs: number;
}

/** What a source of keys needs. */
export interface KeySourceDependencies {
  readonly runtime: Pick<Runtime, 'now' | 'fetch' | 'timeout' | 'log'>;
  readonly store: JwksStore;
  /** Lets work go on after the request that began it, as `waitUntil` does. */
  readonly background: (work: Promise<unknown>) => void;
}

/** The last good keys of one origin in D1. Neither method rejects: a D1 that fails costs the stand-in and not the login. */
interface KeyArchive {
  /** Null if none is stored, none is readable, or D1 did not answer within D1_TIMEOUT_MS. */
  find(): Promise<DatedKeySet | null>;
  /**
   * Stores a set that is not the last one stored, or that one again after JWKS_STORE_INTERVAL_MS. Anything else costs D1
   * nothing.
   */
  keep(keys: DatedKeySet): Promise<void>;
}

/** @param name the origin's alone. */
export function createKeyArchive(
  name: string,
  { store, runtime }: Pick<KeySourceDependencies, 'store' | 'runtime'>,
): KeyArchive {
  let kept: DatedKeySet | null = null;

  return {
    find: async () => {
      const stored = await bounded('read', async () => await store.read(name));
      if (stored === undefined || stored === null) return null;
      const set = await readKeySet(parseJson(stored.jwks));
      // Another isolate's clock may run ahead, and a set from the future would never grow old.
      return set === null ? null : { set, fetchedAtMs: Math.min(stored.fetchedAtMs, runtime.now()) };
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

  /** Undefined if the call failed, or took longer than D1_TIMEOUT_MS. */
  async function bounded<T>(operation: 'read' | 'write', call: () => Promise<T>): Promise<T | undefined> {
    const outcome = await within(call(), runtime.timeout(D1_TIMEOUT_MS));
    if (outcome.ok) return outcome.value;
    runtime.log({ level: 'warn', event: 'jwks_store_failed', operation, reason: outcome.error });
    return undefined;
  }
}

/** An issuer or a sender whose stored keys this service has not written. */
export type ForgedKeys = (issuer: string) => void;

interface CachedRow extends StoredJwks {
  readonly mac: string | null;
}

/**
 * The store in the table `jwks_cache`. Both methods throw what D1 throws. Where there is a secret, a row carries a MAC, and one without
 * the right MAC counts as absent: otherwise whoever can write to D1 signs in as anybody while an issuer is down. A row from before the
 * secret has no MAC, and is replaced by the next set that its origin gives.
 *
 * @param secret null: nothing is authenticated.
 * @param forged hears of a row whose MAC is wrong.
 */
export function createJwksStore(
  d1: D1Database,
  secret: Uint8Array | null = null,
  forged: ForgedKeys = () => {},
): JwksStore {
  const mac = jwksMac(secret);
  return {
    read: async (issuer) => {
      const row = await d1
        .prepare('SELECT jwks, fetched_at AS fetchedAtMs, mac FROM jwks_cache WHERE issuer = ?')
        .bind(issuer)
        .first<CachedRow>();
      if (row === null) return null;
      const { jwks, fetchedAtMs } = row;
      if (row.mac === mac(issuer, jwks, fetchedAtMs) || secret === null) return { jwks, fetchedAtMs };
      if (row.mac !== null) forged(issuer);
      return null;
    },

    // Every isolate writes here. An older set must not replace a newer one, and an unchanged set is worth a written row only once
    // in JWKS_STORE_INTERVAL_MS. A row without a MAC gives way at once, whatever time it claims.
    write: async (issuer, { jwks, fetchedAtMs }) => {
      await d1
        .prepare(
          `INSERT INTO jwks_cache (issuer, jwks, fetched_at, mac) VALUES (?1, ?2, ?3, ?5)
           ON CONFLICT (issuer) DO UPDATE SET jwks = excluded.jwks, fetched_at = excluded.fetched_at, mac = excluded.mac
           WHERE (mac IS NULL AND excluded.mac IS NOT NULL)
             OR (excluded.fetched_at > fetched_at AND (excluded.jwks <> jwks OR excluded.fetched_at - fetched_at >= ?4))`,
        )
        .bind(issuer, jwks, fetchedAtMs, JWKS_STORE_INTERVAL_MS, mac(issuer, jwks, fetchedAtMs))
        .run();
    },
  };
}

/** The MAC of an origin's stored keys; null where there is no secret. */
export function jwksMac(
  secret: Uint8Array | null,
): (issuer: string, jwks: string, fetchedAtMs: number) => string | null {
  return secret === null ? () => null : createMac(secret, 'jwks/v1');
}
