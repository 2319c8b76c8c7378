import { JWKS_COOLDOWN_MS } from '../../config/limits.ts';
import { fetchJson, inTime, type JwksProblem, type KeySet, type Network, readKeySet } from '../../identity/jwks.ts';
import { createRemoteKeys, type RemoteKeys } from '../../identity/keys.ts';
import { isObject } from '../../kit/json.ts';
import { readPem } from '../../kit/pem.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { AdapterDependencies } from './sender.ts';

/** One entry of GitHub's `public_keys`. */
interface PublishedKey {
  readonly key_identifier: string;
  /** PEM. */
  readonly key: string;
}

/**
 * The keys as a JWK set, its `kid`s GitHub's identifiers: so they are cached, and kept for outages, as issuers' keys
 * are. Null: none of them is of use.
 */
async function toKeySet(published: readonly PublishedKey[]): Promise<KeySet | null> {
  const keys = published.flatMap(({ key_identifier: kid, key: pem }) => {
    const key = readPem(pem);
    return key === null ? [] : [{ ...key, kid, alg: 'ES256' }];
  });
  return await readKeySet({ keys });
}

/**
 * Reads GitHub's document of public keys: `{"public_keys": [{"key_identifier", "key", "is_current"}]}`. Keys that are no
 * longer current verify as well, as what they signed may still be on its way.
 *
 * @param token null: asked without.
 */
async function fetchKeys(url: string, token: string | null, network: Network): Promise<Result<KeySet, JwksProblem>> {
  return await inTime(network, async (signal) => {
    // GitHub refuses requests without a user agent.
    const headers = { 'User-Agent': 'countersign', ...(token !== null && { Authorization: `Bearer ${token}` }) };
    const document = await fetchJson(url, network, signal, headers);
    if (!document.ok) return document;
    const listed = isObject(document.value) ? document.value['public_keys'] : undefined;
    const set = await toKeySet(Array.isArray(listed) ? listed.filter(isPublishedKey) : []);
    return set === null ? err('no_usable_key') : ok(set);
  });
}

const isPublishedKey = (value: unknown): value is PublishedKey & Record<string, unknown> =>
  isObject(value) && typeof value['key_identifier'] === 'string' && typeof value['key'] === 'string';

/** The public keys of a sender. See KeySource. */
export type SenderKeys = RemoteKeys;

/** Keys that are read at a URL, and cached, cooled down and kept for outages as an issuer's are. */
export const remoteKeys = (
  url: string,
  token: string | null,
  { runtime, store }: Pick<AdapterDependencies, 'runtime' | 'store'>,
): SenderKeys =>
  createRemoteKeys(
    {
      name: `webhook ${url}`,
      logged: { keysHost: new URL(url).host },
      fetch: async (network) => await fetchKeys(url, token, network),
    },
    { runtime, store, background: (work) => runtime.background(work) },
  );

/** Keys that stand in the configuration: they are read once, and there are no newer ones. */
export function inlineKeys(published: readonly PublishedKey[]): SenderKeys {
  let set: KeySet | null = null;
  return {
    find: async (look) => {
      set ??= await toKeySet(published);
      return set === null ? err({ retryAfterSeconds: JWKS_COOLDOWN_MS / 1000 }) : ok(await look(set.keys));
    },
  };
}
