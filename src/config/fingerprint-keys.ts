import { base64url } from 'jose';
import * as z from 'zod';
import { FINGERPRINT_KEY_MIN_BYTES } from './limits.ts';

/** A key that fingerprints of secrets are made with. Its id is stored beside each of them. */
export interface FingerprintKey {
  readonly id: string;
  readonly secret: Uint8Array;
}

const ENTRY = /^(?<id>[A-Za-z0-9_-]{1,32}):(?<secret>[A-Za-z0-9+/_-]+={0,2})$/;

/** `id:base64`, the current key first; further ones after commas, for as long as a live token was made under them. */
export const fingerprintKeys = z.string().transform((text, context): readonly FingerprintKey[] => {
  const keys = text.split(',').map((entry) => readKey(entry.trim()));
  if (keys.some((key) => key === null)) {
    context.addIssue({
      code: 'custom',
      message: `is not a list of ids and keys of ${FINGERPRINT_KEY_MIN_BYTES} bytes or more in base64`,
    });
    return z.NEVER;
  }
  const known = keys.filter((key) => key !== null);
  if (new Set(known.map(({ id }) => id)).size < known.length) {
    context.addIssue({ code: 'custom', message: 'has the same id twice' });
    return z.NEVER;
  }
  return known;
});

function readKey(entry: string): FingerprintKey | null {
  const { id, secret } = ENTRY.exec(entry)?.groups ?? {};
  if (id === undefined || secret === undefined) return null;
  try {
    // Either alphabet (RFC 4648 §4 and §5), since `openssl rand -base64` writes the first.
    const bytes = base64url.decode(secret.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''));
    return bytes.byteLength < FINGERPRINT_KEY_MIN_BYTES ? null : { id, secret: bytes };
  } catch {
    return null;
  }
}
