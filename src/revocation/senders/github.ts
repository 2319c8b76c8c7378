import type { LocalJWKSet } from 'jose';
import { createPublicKey, verify } from 'node:crypto';
import { JWKS_COOLDOWN_MS } from '../../config/limits.ts';
import type { RequestFailure, SignatureFailure, SignatureRejection } from '../../failures.ts';
import { fetchJson, inTime, type JwksProblem, type KeySet, type Network, readKeySet } from '../../identity/jwks.ts';
import { createRemoteKeys, type RemoteKeys } from '../../identity/keys.ts';
import { decodePaddedBase64 } from '../../kit/bytes.ts';
import { sha256Hex } from '../../kit/digest.ts';
import { isObject } from '../../kit/json.ts';
import { readPem } from '../../kit/pem.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { itemsIn, parsePayload, readLeaks } from './leaks.ts';
import type { AdapterDependencies, AdapterKind, Delivery, Leak, LeakReport, Message } from './sender.ts';

/** GitHub's secret scanning partner protocol: ECDSA P-256 over the raw body. */
export const github: AdapterKind<'github'> = ({ keysUrl, keysToken, keys: published = [] }, dependencies) => {
  const token = keysToken === undefined ? null : dependencies.secret(keysToken);
  const keys = keysUrl === undefined ? inlineKeys(published) : remoteKeys(keysUrl, token, dependencies);
  return {
    receive: async (delivery) => {
      const verified = await verifyWith(keys, delivery);
      return verified.ok ? ok(messageIn(delivery.body)) : verified;
    },
  };
};

async function verifyWith(keys: RemoteKeys, { headers, body }: Delivery): Promise<Result<null, SignatureFailure>> {
  const keyId = headers.get('Github-Public-Key-Identifier') ?? '';
  const encoded = headers.get('Github-Public-Key-Signature') ?? '';
  if (keyId === '' || encoded === '') return rejected('signature_missing');
  const signature = decodePaddedBase64(encoded);
  if (signature === null) return rejected('signature_malformed');

  const candidates = await keys.find(async (set) => await Promise.resolve(named(keyId, set)));
  if (!candidates.ok) return err({ kind: 'keys_unavailable', ...candidates.error });
  if (candidates.value === null) return rejected('key_unknown');
  const isGood = candidates.value.some((key) =>
    verify('sha256', body, createPublicKey({ key, format: 'jwk' }), signature),
  );
  return isGood ? ok(null) : rejected('signature_invalid');
}

const rejected = (reason: SignatureRejection) => err({ kind: 'signature_rejected', reason } as const);

/** The keys with this id, or null if there is none. */
function named(keyId: string, set: LocalJWKSet) {
  const keys = set.jwks().keys.filter(({ kid }) => kid === keyId);
  return keys.length === 0 ? null : keys;
}

const messageIn = (body: Uint8Array): Message => ({
  senderId: null,
  unreadable: null,
  eventName: 'token.leaked',
  event: 'token.leaked',
  read: () => readReport(body),
  feedback: async (instruction, matched) =>
    instruction.event === 'token.leaked' ? await feedbackOn(instruction.leaks, matched) : [],
});

/** Reads `[{"token", "type", "url"?, "source"?}]`. Fails with `invalid_json`. */
function readReport(body: Uint8Array): Result<LeakReport, RequestFailure> {
  // Bytes that are not UTF-8, say in a file's name, are replaced: the secret beside them is still one.
  const payload = parsePayload(new TextDecoder('utf-8', { fatal: false, ignoreBOM: true }).decode(body));
  return payload.ok ? ok(readLeaks(itemsIn(payload.value))) : payload;
}

/** What GitHub is told of one secret. */
interface Feedback {
  readonly token_hash: string;
  readonly token_type: string | null;
  readonly label: 'true_positive';
}

/** The secrets that are ours, one entry for each secret and type, by the SHA-256 of the text that GitHub sent. It learns nothing of others. */
async function feedbackOn(leaks: readonly Leak[], matched: ReadonlySet<number>): Promise<readonly Feedback[]> {
  const ours = leaks.filter(({ position }) => matched.has(position));
  const feedback = await Promise.all(
    ours.map(async ({ text, sha256, type }): Promise<Feedback> => {
      const hash = text === null ? (sha256 ?? '') : await sha256Hex(text);
      return { token_hash: hash, token_type: type, label: 'true_positive' };
    }),
  );
  const distinct = new Map(feedback.map((told) => [`${told.token_hash} ${told.token_type}`, told]));
  return [...distinct.values()];
}

/** One entry of GitHub's `public_keys`. */
interface PublishedKey {
  readonly key_identifier: string;
  /** PEM. */
  readonly key: string;
}

/** Keys that are read from a URL, and cached, asked for again and kept for outages as an issuer's keys are. */
const remoteKeys = (
  url: string,
  token: string | null,
  { runtime, store }: Pick<AdapterDependencies, 'runtime' | 'store'>,
): RemoteKeys =>
  createRemoteKeys(
    {
      name: `webhook ${url}`,
      logged: { keysHost: new URL(url).host },
      fetch: async (network) => await fetchKeys(url, token, network),
    },
    { runtime, store, background: (work) => runtime.background(work) },
  );

/** Keys that stand in the configuration. They never change. */
function inlineKeys(published: readonly PublishedKey[]): RemoteKeys {
  let set: KeySet | null = null;
  return {
    find: async (look) => {
      set ??= await toKeySet(published);
      return set === null ? err({ retryAfterSeconds: JWKS_COOLDOWN_MS / 1000 }) : ok(await look(set.keys));
    },
  };
}

/**
 * Reads GitHub's document of public keys: `{"public_keys": [{"key_identifier", "key", "is_current"}]}`. Keys that are no longer
 * current verify as well, since what they signed may still be on its way.
 *
 * @param token a GitHub token to ask with, or null.
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

/**
 * The keys as a JWK set with GitHub's identifiers as `kid`s, so that they are cached and kept for outages as issuers' keys are.
 * Null if none of them is usable.
 */
async function toKeySet(published: readonly PublishedKey[]): Promise<KeySet | null> {
  const keys = published.flatMap(({ key_identifier: kid, key: pem }) => {
    const key = readPem(pem);
    return key === null ? [] : [{ ...key, kid, alg: 'ES256' }];
  });
  return await readKeySet({ keys });
}
