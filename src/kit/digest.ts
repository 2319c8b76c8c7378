import { createHash } from 'node:crypto';
import { isObject } from './json.ts';

/** The SHA-256 of a text in UTF-8, in lower-case hex. */
export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** `sha256Hex` without a promise, for short texts where a statement is built. */
export const sha256HexSync = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * The one text for all forms of a JSON value: the names of its objects are sorted, and there is no white space (RFC 8785 §3.2).
 *
 * @param value nests no deeper than `REQUEST_JSON_MAX_DEPTH`, since this recurses.
 */
export const canonicalJson = (value: unknown): string => JSON.stringify(inOrder(value));

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (!isObject(value)) return value;
  const names = Object.keys(value).toSorted();
  // Assigning the members one by one would set the prototype where a name is __proto__.
  return Object.fromEntries(names.map((name) => [name, inOrder(value[name])]));
}
