import { createHash } from 'node:crypto';

/** SHA-256 of UTF-8 text, in lower-case hex. */
export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The same of text that is short, without waiting: where a statement is built. */
export const sha256HexSync = (text: string): string => createHash('sha256').update(text).digest('hex');
