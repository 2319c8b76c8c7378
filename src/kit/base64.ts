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

const PADDED_BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The bytes of base64 with its padding (RFC 4648 §4); null for anything else, an empty text too. */
export const decodePaddedBase64 = (text: string): Uint8Array | null =>
  text !== '' && PADDED_BASE64.test(text) ? Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)) : null;
