import { base64url } from 'jose';

const EITHER_ALPHABET = /^[A-Za-z0-9+/_-]+={0,2}$/;

/** The bytes of base64 in either alphabet (RFC 4648 §4 and §5), since `openssl rand -base64` writes the first; null: it is none. */
export function decodeBase64(text: string): Uint8Array | null {
  if (!EITHER_ALPHABET.test(text)) return null;
  try {
    return base64url.decode(text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''));
  } catch {
    return null;
  }
}
