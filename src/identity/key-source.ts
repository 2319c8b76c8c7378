import type { JSONWebKeySet, LocalJWKSet } from 'jose';
import type { IssuerPolicy } from '../config/issuer-policy.ts';
import { JWKS_COOLDOWN_MS } from '../config/limits.ts';
import type { KeySourceDependencies } from './key-archive.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { fetchKeySet } from './jwks-fetch.ts';
import { readKeySet } from './key-set.ts';
import { createRemoteKeys, type KeyLook, type KeysUnavailable, type RemoteKeys } from './remote-keys.ts';

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
