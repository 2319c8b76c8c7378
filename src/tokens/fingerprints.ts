import { base64url } from 'jose';
import type { FingerprintKey } from '../config/secrets.ts';

/** What the inventory keeps of a secret: enough to recognise it, and nothing that could be tried against a list. */
interface Fingerprint {
  readonly keyId: string;
  readonly value: string;
}

export interface Fingerprints {
  /** Under the current key. */
  of(secretSha256: string): Promise<Fingerprint>;
  /** Under every key that is configured: one of them is what an inventory row would hold. */
  candidates(secretSha256: string): Promise<readonly Fingerprint[]>;
}

const HMAC = { name: 'HMAC', hash: 'SHA-256' } as const;

/**
 * `HMAC-SHA-256(key, SHA-256(secret))` (RFC 2104), so that whoever knows a secret or its SHA-256 alone finds its token,
 * and whoever reads the database finds nothing.
 *
 * @param keys the current one first; at least one.
 */
export function createFingerprints(keys: readonly FingerprintKey[]): Fingerprints {
  // Nothing is imported while the Worker starts. An import reads no network, so that no request's end can spoil it.
  const imported = new Map<string, Promise<CryptoKey>>();
  const importKey = async ({ id, secret }: FingerprintKey): Promise<CryptoKey> => {
    const known = imported.get(id) ?? crypto.subtle.importKey('raw', secret, HMAC, false, ['sign']);
    imported.set(id, known);
    return await known;
  };
  const under = async (key: FingerprintKey, secretSha256: string): Promise<Fingerprint> => {
    const mac = await crypto.subtle.sign(HMAC, await importKey(key), bytesOfHex(secretSha256));
    return { keyId: key.id, value: base64url.encode(new Uint8Array(mac)) };
  };
  const [current] = keys;
  if (current === undefined) throw new TypeError('No fingerprint key.');
  return {
    of: async (secretSha256) => await under(current, secretSha256),
    candidates: async (secretSha256) => await Promise.all(keys.map(async (key) => await under(key, secretSha256))),
  };
}

const bytesOfHex = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
