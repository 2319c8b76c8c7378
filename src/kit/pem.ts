import { createPublicKey, type JsonWebKey } from 'node:crypto';

/** Reads a public key of the curve P-256 in PEM as a JWK; null for a key of another kind, and for any other text. */
export function readPem(pem: string): JsonWebKey | null {
  // `createPublicKey` would derive the public key of a private one, but whoever configures or publishes that made a mistake.
  if (!/^\s*-----BEGIN PUBLIC KEY-----/.test(pem)) return null;
  try {
    const { kty, crv, x, y } = createPublicKey(pem).export({ format: 'jwk' });
    return kty === 'EC' && crv === 'P-256' && x !== undefined && y !== undefined ? { kty, crv, x, y } : null;
  } catch {
    return null;
  }
}
