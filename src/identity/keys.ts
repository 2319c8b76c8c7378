import type { JSONWebKeySet, LocalJWKSet } from 'jose';
import type { IssuerPolicy } from '../config/issuers.ts';
import {
  D1_TIMEOUT_MS,
  JWKS_COOLDOWN_MS,
  JWKS_MAX_AGE_MS,
  JWKS_STALE_MAX_MS,
  JWKS_TIMEOUT_MS,
} from '../config/limits.ts';
import { type DatedKeySet, fetchKeySet, type JwksProblem, type KeySet, type Network, readKeySet } from './jwks.ts';
import { createKeyArchive, type KeySourceDependencies } from './key-archive.ts';
import { within } from '../kit/deadline.ts';
import { err, ok, type Result } from '../kit/result.ts';

/** The public keys of issuers. */
export interface KeySource {
  /**
   * Looks for a key in the set that this isolate has, and then in the one that the issuer has now. The issuer is asked at most once
   * in JWKS_COOLDOWN_MS, so that random `kid`s do not make us hammer it. In the steady state there is no network call and no D1
   * call. Rejects only if `look` does.
   *
   * Null: the key is missing in a set that was asked for after this call. Fails where the issuer cannot be asked, or must not be
   * asked again yet: then nobody knows whether the JWT is good.
   */
  find<T>(policy: IssuerPolicy, look: KeyLook<T>): Promise<Result<T | null, KeysUnavailable>>;
}

/** Creates the source of issuers' keys. An isolate needs one, since it holds the imported keys. */
export function createKeySource(dependencies: KeySourceDependencies): KeySource {
  const inlineKeys = new WeakMap<JSONWebKeySet, LocalJWKSet>();
  const remoteKeys = new Map<string, RemoteKeys>();

  return {
    find: async (policy, look) => {
      if (policy.keys.kind !== 'inline') return await remote(policy).find(look);
      const keys = await importInline(policy.keys.jwks);
      return keys.ok ? ok(await look(keys.value)) : keys;
    },
  };

  async function importInline(jwks: JSONWebKeySet): Promise<Result<LocalJWKSet, KeysUnavailable>> {
    const known = inlineKeys.get(jwks);
    if (known !== undefined) return ok(known);
    const set = await readKeySet(jwks);
    if (set === null) return err({ retryAfterSeconds: JWKS_COOLDOWN_MS / 1000 });
    inlineKeys.set(jwks, set.keys);
    return ok(set.keys);
  }

  function remote(policy: IssuerPolicy): RemoteKeys {
    const name = sourceName(policy);
    const known = remoteKeys.get(name);
    if (known !== undefined) return known;
    const created = createRemoteKeys(
      { name, logged: { issuer: policy.issuer }, fetch: async (network) => await fetchKeySet(policy, network) },
      dependencies,
    );
    remoteKeys.set(name, created);
    return created;
  }
}

/**
 * The name of an issuer's keys here and in D1. It says where they come from, so an operator who corrects `jwksUri` is not served the
 * keys of the old one, and no issuer is served another's. A URL holds no space, so no two names are equal; and no issuer is
 * called `webhook`, which the names of senders' keys begin with.
 */
const sourceName = ({ issuer, keys }: IssuerPolicy): string =>
  keys.kind === 'uri' ? `${issuer} ${keys.jwksUri}` : issuer;

/** An issuer or a sender of webhooks, whose keys come over the network. */
interface KeyOrigin {
  /** The name of the keys in D1, which is this origin's alone. */
  readonly name: string;
  /** The fields that name this origin in the log. */
  readonly logged: Readonly<Record<string, string>>;
  /** Reads the keys. It ends within JWKS_TIMEOUT_MS and never rejects. */
  readonly fetch: (network: Network) => Promise<Result<KeySet, JwksProblem>>;
}

/** The keys of one origin. */
export interface RemoteKeys {
  /** Looks for a key as `KeySource.find` does. */
  find<T>(look: KeyLook<T>): Promise<Result<T | null, KeysUnavailable>>;
}

/** The failure where nobody knows whether a key exists: its origin cannot be asked, or must not be asked again yet. */
interface KeysUnavailable {
  /** When it may be asked again: from 1 second to JWKS_COOLDOWN_MS. */
  readonly retryAfterSeconds: number;
}

/** Looks for a key in a set; null if the set lacks it. */
type KeyLook<T> = (keys: LocalJWKSet) => Promise<T | null>;

/** The longest that one read takes. A read that takes longer is dead, since the request that began it was cancelled. */
const READ_MAX_MS = JWKS_TIMEOUT_MS + D1_TIMEOUT_MS;

/** Creates the keys of one origin, none of which are read yet. */
export function createRemoteKeys(origin: KeyOrigin, dependencies: KeySourceDependencies): RemoteKeys {
  const { runtime, background } = dependencies;
  const archive = createKeyArchive(origin.name, dependencies);

  let lastGood: DatedKeySet | null = null;
  let readsBegun = 0;
  /** The number of the last read that gave `lastGood`; 0 if D1 gave it. */
  let lastGoodRead = 0;
  let lastReadFailed = false;
  let lastReadAtMs = -Infinity;
  let reading: Promise<void> | null = null;

  const current = async (): Promise<Result<LocalJWKSet, KeysUnavailable>> => {
    const fresh = lastGoodYoungerThan(JWKS_MAX_AGE_MS);
    if (fresh !== null) return ok(fresh);
    const standIn = lastGoodYoungerThan(JWKS_STALE_MAX_MS);
    // During an outage one request a minute waits for the origin, and the others do not.
    if (standIn !== null && readUnderWay() !== null && lastReadFailed) return ok(standIn);
    await readAgain();
    const keys = lastGoodYoungerThan(JWKS_STALE_MAX_MS);
    return keys === null ? unavailable() : ok(keys);
  };

  return {
    find: async (look) => {
      const before = readsBegun;
      const keys = await current();
      if (!keys.ok) return keys;
      const key = await look(keys.value);
      if (key !== null) return ok(key);
      if (lastGood?.set.keys === keys.value && lastGoodRead <= before) await readAgain();
      const newer = lastGoodYoungerThan(JWKS_STALE_MAX_MS);
      if (newer !== null && newer !== keys.value) {
        const newKey = await look(newer);
        if (newKey !== null) return ok(newKey);
      }
      // A read that began before this call proves nothing, since the key may be younger than what it read.
      return lastGoodRead > before ? ok(null) : unavailable();
    },
  };

  function unavailable(): Result<never, KeysUnavailable> {
    const waitMs = lastReadAtMs + JWKS_COOLDOWN_MS - runtime.now();
    return err({ retryAfterSeconds: Math.ceil(Math.min(Math.max(waitMs, 1), JWKS_COOLDOWN_MS) / 1000) });
  }

  function lastGoodYoungerThan(maxAgeMs: number): LocalJWKSet | null {
    return lastGood !== null && runtime.now() - lastGood.fetchedAtMs < maxAgeMs ? lastGood.set.keys : null;
  }

  /** Joins the read under way, or begins one if the last one, good or failed, began long enough ago. */
  async function readAgain(): Promise<void> {
    const nowMs = runtime.now();
    let joined = readUnderWay();
    if (joined === null) {
      if (nowMs - lastReadAtMs < JWKS_COOLDOWN_MS) return;
      lastReadAtMs = nowMs;
      readsBegun += 1;
      joined = reading = read(readsBegun, nowMs);
      background(reading);
    }
    // The read may belong to another request and die with it, so this request has a deadline of its own.
    const outcome = await within(joined, runtime.timeout(READ_MAX_MS));
    if (!outcome.ok) lastReadFailed = true;
  }

  /** The read that others may join. One that outlived its deadline is dead: it counts as failed, and nobody joins it any more. */
  function readUnderWay(): Promise<void> | null {
    if (reading !== null && runtime.now() - lastReadAtMs >= READ_MAX_MS) {
      reading = null;
      lastReadFailed = true;
    }
    return reading;
  }

  async function read(number: number, startedAtMs: number): Promise<void> {
    const fetched = await origin.fetch(runtime);
    lastReadFailed = !fetched.ok;
    if (fetched.ok) {
      // Unchanged keys stay one object, so that nothing is imported twice and verified JWTs are still known.
      const set = lastGood?.set.jwks === fetched.value.jwks ? lastGood.set : fetched.value;
      lastGood = { set, fetchedAtMs: startedAtMs };
      lastGoodRead = number;
      reading = null;
      background(archive.keep(lastGood));
      return;
    }
    runtime.log({ level: 'warn', event: 'jwks_read_failed', ...origin.logged, reason: fetched.error });
    if (lastGoodYoungerThan(JWKS_STALE_MAX_MS) === null) lastGood = await archive.find();
    reading = null;
  }
}
