import { fetchJson, inTime, type JwksProblem, type Network } from '../../identity/jwks-fetch.ts';
import { type KeySet, readKeySet } from '../../identity/key-set.ts';
import { isObject } from '../../kit/json.ts';
import { readPem } from '../../kit/pem.ts';
import { err, ok, type Result } from '../../kit/result.ts';

/** One entry of GitHub's `public_keys`. */
export interface PublishedKey {
  readonly key_identifier: string;
  /** PEM. */
  readonly key: string;
}

/**
 * The keys as a JWK set, its `kid`s GitHub's identifiers: so they are cached, and kept for outages, as issuers' keys
 * are. Null: none of them is of use.
 */
export async function toKeySet(published: readonly PublishedKey[]): Promise<KeySet | null> {
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
export async function fetchKeys(
  url: string,
  token: string | null,
  network: Network,
): Promise<Result<KeySet, JwksProblem>> {
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
