import type { JSONWebKeySet, LocalJWKSet } from 'jose';
import type { IssuerPolicy } from './issuer-policy.ts';
import type { KeySourceDependencies } from './key-archive.ts';
import { err, ok, type Result } from '../result.ts';
import { fetchKeySet } from './jwks-fetch.ts';
import { readKeySet } from './key-set.ts';
import { createRemoteKeys, type RemoteKeys } from './remote-keys.ts';

/** The public keys of issuers. Neither method throws or rejects. */
export interface KeySource {
  /** The keys to try first. In the steady state it makes no network call and no D1 call. */
  current(policy: IssuerPolicy): Promise<Result<LocalJWKSet, 'unavailable'>>;
  /**
   * Called when `seen` lacks a token's key. Null: the issuer has no other keys, or was asked less than JWKS_COOLDOWN_MS
   * ago. `unavailable`: it could not be asked, so nobody knows whether the token is good.
   */
  newerThan(policy: IssuerPolicy, seen: LocalJWKSet): Promise<Result<LocalJWKSet | null, 'unavailable'>>;
}

/** One per isolate: it holds imported keys. */
export function createKeySource(dependencies: KeySourceDependencies): KeySource {
  const inlineKeys = new WeakMap<JSONWebKeySet, LocalJWKSet>();
  const remoteKeys = new Map<string, RemoteKeys>();

  return {
    current: async (policy) => {
      if (policy.keys.kind === 'inline') return await importInline(policy.keys.jwks);
      return await remote(policy).current();
    },
    newerThan: async (policy, seen) => {
      if (policy.keys.kind === 'inline') return ok(null);
      return await remote(policy).newerThan(seen);
    },
  };

  async function importInline(jwks: JSONWebKeySet): Promise<Result<LocalJWKSet, 'unavailable'>> {
    const known = inlineKeys.get(jwks);
    if (known !== undefined) return ok(known);
    const set = await readKeySet(jwks);
    if (set === null) return err('unavailable');
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
