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
   * Looks for a key in the set that is held and, where that lacks it, in the one that the issuer has now: it is asked once in
   * JWKS_COOLDOWN_MS at the most, so that random `kid`s do not make us hammer it. In the steady state it makes no network call
   * and no D1 call. Rejects only if `look` does.
   *
   * Null: the key was looked for in a set that was asked for since this call, and is not there. Fails where the issuer cannot
   * be asked, or may not be asked again yet: then nobody knows whether the token is good.
   */
  find<T>(policy: IssuerPolicy, look: KeyLook<T>): Promise<Result<T | null, KeysUnavailable>>;
}

/** One per isolate: it holds imported keys. */
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
 * Under which name keys are kept, here and in D1: where they come from. So an operator who corrects `jwksUri` is not
 * served what the old one gave, and no issuer is served another's. A URL holds no space, so no two names meet; nor is
 * `webhook` an issuer, under which senders' keys are kept.
 */
const sourceName = ({ issuer, keys }: IssuerPolicy): string =>
  keys.kind === 'uri' ? `${issuer} ${keys.jwksUri}` : issuer;

/** Where keys come from over the network: an issuer, or a sender of webhooks. */
interface KeyOrigin {
  /** Under which they are kept in D1: this origin's alone. */
  readonly name: string;
  /** Says in the log whose keys could not be read. */
  readonly logged: Readonly<Record<string, string>>;
  /** Ends within JWKS_TIMEOUT_MS, and never rejects. */
  readonly fetch: (network: Network) => Promise<Result<KeySet, JwksProblem>>;
}

/** The keys of one origin. See KeySource. */
export interface RemoteKeys {
  find<T>(look: KeyLook<T>): Promise<Result<T | null, KeysUnavailable>>;
}

/** Nobody knows whether a key exists: its origin cannot be asked, or may not be asked again yet. */
interface KeysUnavailable {
  /** When it may be asked again: from 1 to JWKS_COOLDOWN_MS. */
  readonly retryAfterSeconds: number;
}

/** Looks for a key in a set. Null: the set lacks it. */
type KeyLook<T> = (keys: LocalJWKSet) => Promise<T | null>;

/** The longest that one read takes. After it a read is dead: the request that began it was cancelled. */
const READ_MAX_MS = JWKS_TIMEOUT_MS + D1_TIMEOUT_MS;

export function createRemoteKeys(origin: KeyOrigin, dependencies: KeySourceDependencies): RemoteKeys {
  const { runtime, background } = dependencies;
  const archive = createKeyArchive(origin.name, dependencies);

  let lastGood: DatedKeySet | null = null;
  let readsBegun = 0;
  /** Which of them gave `lastGood`, or was the last to give the same again; 0 where D1 gave it. */
  let lastGoodRead = 0;
  let lastReadFailed = false;
  let lastReadAtMs = -Infinity;
  let reading: Promise<void> | null = null;

  const current = async (): Promise<Result<LocalJWKSet, KeysUnavailable>> => {
    const held = lastGoodYoungerThan(JWKS_MAX_AGE_MS);
    if (held !== null) return ok(held);
    const standIn = lastGoodYoungerThan(JWKS_STALE_MAX_MS);
    // During an outage one request a minute waits for the origin; the others do not.
    if (standIn !== null && readUnderWay() !== null && lastReadFailed) return ok(standIn);
    await readAgain();
    const keys = lastGoodYoungerThan(JWKS_STALE_MAX_MS);
    return keys === null ? unavailable() : ok(keys);
  };

  return {
    find: async (look) => {
      const before = readsBegun;
      const held = await current();
      if (!held.ok) return held;
      const found = await look(held.value);
      if (found !== null) return ok(found);
      if (lastGood?.set.keys === held.value && lastGoodRead <= before) await readAgain();
      const newer = lastGoodYoungerThan(JWKS_STALE_MAX_MS);
      if (newer !== null && newer !== held.value) {
        const foundNow = await look(newer);
        if (foundNow !== null) return ok(foundNow);
      }
      // A read that was begun before says nothing: the key may be younger than what it read.
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

  /** Joins the read under way, or begins one if the last began long enough ago, be it that it failed. */
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
    // A deadline of its own: the read may belong to another request, and die with it.
    const outcome = await within(joined, runtime.timeout(READ_MAX_MS));
    if (!outcome.ok) lastReadFailed = true;
  }

  /** A read that outlived its deadline is dead: it counts as failed, and nobody waits for it any more. */
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
      // The same keys stay the same object: nothing is imported twice.
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
