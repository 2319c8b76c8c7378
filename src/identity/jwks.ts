import { createLocalJWKSet, type JSONWebKeySet, type JWK, type LocalJWKSet } from 'jose';
import { type IssuerPolicy, SIGNATURE_ALGORITHMS } from '../config/issuers.ts';
import { isHttpLoopback } from '../config/fields.ts';
import { JWKS_MAX_BYTES, JWKS_TIMEOUT_MS } from '../config/limits.ts';
import { readBody } from '../kit/bytes.ts';
import { within } from '../kit/deadline.ts';
import { isObject, parseJson } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';

/** The public keys of an issuer, or of a sender of webhooks. */
export interface KeySet {
  /** The keys, imported. */
  readonly keys: LocalJWKSet;
  /** The set as text, without what verification does not need. */
  readonly jwks: string;
}

/** A key set with the time when its origin gave it. */
export interface DatedKeySet {
  readonly set: KeySet;
  /** Milliseconds since the epoch. */
  readonly fetchedAtMs: number;
}

/** The shortest RSA key (NIST SP 800-131A; RFC 7518 §3.3 and §3.5). jose would refuse a shorter one only when it is used. */
const RSA_MIN_BITS = 2048;

/** The members of a public key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). Certificates and everything else are dropped. */
const PUBLIC_MEMBERS = ['kty', 'kid', 'use', 'key_ops', 'alg', 'crv', 'x', 'y', 'n', 'e'] as const;

/**
 * Reads a JWK set (RFC 7517 §5). It drops the keys that can verify none of our algorithms, every symmetric key, and every key whose
 * private half its issuer published. Null: no key is left, or the document is no JWK set.
 */
export async function readKeySet(document: unknown): Promise<KeySet | null> {
  if (!isObject(document) || !Array.isArray(document['keys'])) return null;
  const imported = await Promise.all(document['keys'].map(readKey));
  const usable = imported.filter((key) => key !== null);
  if (usable.length === 0) return null;

  const jwks: JSONWebKeySet = { keys: usable };
  const keys = createLocalJWKSet(jwks);
  // jose shares an import that is under way. One that a cancelled request began would never end for the others, so all end here.
  await Promise.all(usable.map(async (key) => await importable(keys, key)));
  return { keys, jwks: JSON.stringify(jwks) };
}

async function readKey(value: unknown): Promise<JWK | null> {
  if (!isObject(value) || ['d', 'k', 'priv'].some((secret) => Object.hasOwn(value, secret))) return null;
  const key: JWK = Object.fromEntries(
    PUBLIC_MEMBERS.filter((name) => Object.hasOwn(value, name)).map((name) => [name, value[name]]),
  );
  // The curve says the algorithm. Its two names would not match each other (RFC 9864).
  if (key.kty === 'OKP' && (key.alg === 'EdDSA' || key.alg === 'Ed25519')) delete key.alg;
  return (await importable(createLocalJWKSet({ keys: [key] }), key)) ? key : null;
}

/** Imports a key for each of our algorithms, and says whether any can use it. */
async function importable(keys: LocalJWKSet, { kid }: JWK): Promise<boolean> {
  const imports = await Promise.allSettled(
    SIGNATURE_ALGORITHMS.map(async (alg) => await keys(typeof kid === 'string' ? { alg, kid } : { alg })),
  );
  return imports.some(
    (result) => result.status === 'fulfilled' && (modulusBits(result.value.algorithm) ?? RSA_MIN_BITS) >= RSA_MIN_BITS,
  );
}

/** The length of an RSA key; undefined for any other key. */
const modulusBits = (algorithm: object): number | undefined =>
  'modulusLength' in algorithm ? Number(algorithm.modulusLength) : undefined;

/** Why keys could not be read. It goes to the log alone. */
export type JwksProblem =
  | 'timeout'
  | 'unreachable'
  | 'redirected'
  | 'status'
  | 'too_large'
  | 'not_json'
  | 'discovery_mismatch'
  | 'jwks_uri_insecure'
  | 'no_usable_key';

export type Network = Pick<Runtime, 'fetch' | 'timeout'>;

/** Reads an issuer's keys over the network, discovery included. It takes at most JWKS_TIMEOUT_MS altogether. */
export async function fetchKeySet(policy: IssuerPolicy, network: Network): Promise<Result<KeySet, JwksProblem>> {
  return await inTime(network, async (signal) => await read(policy, network, signal));
}

/** Gives `work` JWKS_TIMEOUT_MS to read keys, or the document that says where they are. The result comes by then even if `work` throws or never ends. */
export async function inTime<T>(
  network: Network,
  work: (signal: AbortSignal) => Promise<Result<T, JwksProblem>>,
): Promise<Result<T, JwksProblem>> {
  const signal = network.timeout(JWKS_TIMEOUT_MS);
  const outcome = await within(work(signal), signal);
  if (outcome.ok) return outcome.value;
  return err(outcome.error === 'timeout' ? 'timeout' : 'unreachable');
}

async function read(policy: IssuerPolicy, network: Network, signal: AbortSignal): Promise<Result<KeySet, JwksProblem>> {
  const { keys, issuer } = policy;
  const uri = keys.kind === 'uri' ? ok(keys.jwksUri) : await discover(issuer, network, signal);
  if (!uri.ok) return uri;
  const document = await fetchJson(uri.value, network, signal);
  if (!document.ok) return document;
  const set = await readKeySet(document.value);
  return set === null ? err('no_usable_key') : ok(set);
}

/** Finds where an issuer's keys are. */
async function discover(issuer: string, network: Network, signal: AbortSignal): Promise<Result<string, JwksProblem>> {
  const document = await fetchDiscovery(issuer, network, signal);
  if (!document.ok) return document;
  const jwksUri = document.value['jwks_uri'];
  if (typeof jwksUri !== 'string' || !isSecure(jwksUri, issuer)) return err('jwks_uri_insecure');
  return ok(jwksUri);
}

/**
 * Reads the document in which an issuer describes itself (OIDC Discovery 1.0 §4). It must name the very issuer (§4.3), or one could
 * speak for another. Throws what the network throws.
 */
export async function fetchDiscovery(
  issuer: string,
  network: Network,
  signal: AbortSignal,
): Promise<Result<Readonly<Record<string, unknown>>, JwksProblem>> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const document = await fetchJson(url, network, signal);
  if (!document.ok) return document;
  return isObject(document.value) && document.value['issuer'] === issuer
    ? ok(document.value)
    : err('discovery_mismatch');
}

/** Whether a URL of an issuer is https, or plain http on this machine of an issuer that is itself there. */
export function isSecure(location: string, issuer: string): boolean {
  const url = URL.parse(location);
  if (url === null) return false;
  return url.protocol === 'https:' || (isHttpLoopback(url) && isHttpLoopback(new URL(issuer)));
}

/** Reads a JSON document of at most JWKS_MAX_BYTES. Throws what the network throws. */
export async function fetchJson(
  url: string,
  network: Network,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<Result<unknown, JwksProblem>> {
  const init = { headers: { Accept: 'application/json', ...headers }, redirect: 'manual', signal } as const;
  const response = await network.fetch(url, init);
  if (response.status !== 200) {
    await response.body?.cancel();
    // A redirect that was followed would let whoever answers choose another host's keys.
    return err(response.status >= 300 && response.status < 400 ? 'redirected' : 'status');
  }
  const chunks = response.body === null ? [] : await readBody(response.body, JWKS_MAX_BYTES);
  if (chunks === null) return err('too_large');
  const document = parseJson(await new Blob([...chunks]).text());
  return document === undefined ? err('not_json') : ok(document);
}
