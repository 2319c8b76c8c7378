import { createHash } from 'node:crypto';
import { isObject } from './json.ts';

/** SHA-256 of UTF-8 text, in lower-case hex. */
export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The same of text that is short, without waiting: where a statement is built. */
export const sha256HexSync = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * One text for all forms of the same JSON value: the names of objects in order, no white space (RFC 8785 §3.2). A value
 * nests no deeper than `REQUEST_JSON_MAX_DEPTH`.
 */
export const canonicalJson = (value: unknown): string => JSON.stringify(inOrder(value));

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (!isObject(value)) return value;
  const names = Object.keys(value).toSorted();
  // Not assigned one by one: a name may be __proto__.
  return Object.fromEntries(names.map((name) => [name, inOrder(value[name])]));
}
