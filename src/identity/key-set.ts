import { createLocalJWKSet, type JSONWebKeySet, type JWK, type LocalJWKSet } from 'jose';
import { SIGNATURE_ALGORITHMS } from '../config/issuer-policy.ts';
import { isObject } from '../kit/json.ts';

/** An issuer's public keys, imported once; `jwks` is the same set as text, without what verification does not need. */
export interface KeySet {
  readonly keys: LocalJWKSet;
  readonly jwks: string;
}

/** A key set, and when its origin gave it. */
export interface DatedKeySet {
  readonly set: KeySet;
  readonly fetchedAtMs: number;
}

/** NIST SP 800-131A; RFC 7518 §3.3 and §3.5. jose would refuse a shorter key only when it is used. */
const RSA_MIN_BITS = 2048;

/** The members of a public key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). Certificates and all else are left behind. */
const PUBLIC_MEMBERS = ['kty', 'kid', 'use', 'key_ops', 'alg', 'crv', 'x', 'y', 'n', 'e'] as const;

/**
 * Reads a JWK set (RFC 7517 §5). Keys that cannot verify one of our algorithms are dropped, and so is every symmetric
 * key and every one whose private half its issuer published. Null: no key is left, or it is no JWK set.
 */
export async function readKeySet(document: unknown): Promise<KeySet | null> {
  if (!isObject(document) || !Array.isArray(document['keys'])) return null;
  const read = await Promise.all(document['keys'].map(readKey));
  const usable = read.filter((key) => key !== null);
  if (usable.length === 0) return null;

  const jwks: JSONWebKeySet = { keys: usable };
  const keys = createLocalJWKSet(jwks);
  // jose keeps an import that is under way, and one begun by a request that is cancelled would never end for the others.
  await Promise.all(usable.map(async (key) => await importable(keys, key)));
  return { keys, jwks: JSON.stringify(jwks) };
}

async function readKey(value: unknown): Promise<JWK | null> {
  if (!isObject(value) || ['d', 'k', 'priv'].some((secret) => Object.hasOwn(value, secret))) return null;
  const key: JWK = Object.fromEntries(
    PUBLIC_MEMBERS.filter((name) => Object.hasOwn(value, name)).map((name) => [name, value[name]]),
  );
  // Its curve says all there is; the two names of the one algorithm would not match each other (RFC 9864).
  if (key.kty === 'OKP' && (key.alg === 'EdDSA' || key.alg === 'Ed25519')) delete key.alg;
  return (await importable(createLocalJWKSet({ keys: [key] }), key)) ? key : null;
}

/** Imports a key for each of our algorithms; whether any can use it. */
async function importable(keys: LocalJWKSet, { kid }: JWK): Promise<boolean> {
  const imports = await Promise.allSettled(
    SIGNATURE_ALGORITHMS.map(async (alg) => await keys(typeof kid === 'string' ? { alg, kid } : { alg })),
  );
  return imports.some(
    (result) => result.status === 'fulfilled' && (modulusBits(result.value.algorithm) ?? RSA_MIN_BITS) >= RSA_MIN_BITS,
  );
}

/** Undefined for a key that is not RSA. */
const modulusBits = (algorithm: object): number | undefined =>
  'modulusLength' in algorithm ? Number(algorithm.modulusLength) : undefined;
