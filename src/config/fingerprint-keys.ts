import * as z from 'zod';
import { decodeBase64 } from '../kit/base64.ts';
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
  const bytes = secret === undefined ? null : decodeBase64(secret);
  return id === undefined || bytes === null || bytes.byteLength < FINGERPRINT_KEY_MIN_BYTES
    ? null
    : { id, secret: bytes };
}
