import { base64url } from 'jose';
import { untilAborted } from './deadline.ts';

/**
 * Reads all bytes of a body, or gives null if there are more than `maxBytes`. The bytes are counted as they come, since
 * Content-Length may lie. A body that is not read to its end is cancelled, so that its connection is free again.
 *
 * Rejects where the body breaks off, and as soon as `signal` aborts.
 */
export async function readBody(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<readonly Uint8Array[] | null> {
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  try {
    const reading = collect(reader, maxBytes);
    const chunks = signal === undefined ? await reading : await untilAborted(reading, signal);
    if (chunks === null) cancel();
    return chunks;
  } catch (error) {
    cancel();
    throw error;
  }
}

async function collect(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
): Promise<readonly Uint8Array[] | null> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return chunks;
    sizeBytes += value.byteLength;
    if (sizeBytes > maxBytes) return null;
    chunks.push(value);
  }
}

/** The text that the bytes are in UTF-8. Throws on bytes that are none: replacing them would make up text that nobody sent. */
export function decodeUtf8(chunks: readonly Uint8Array[]): string {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join('') + decoder.decode();
}

const encoder = new TextEncoder();

/** The length of a text in bytes of UTF-8, which is what a column costs. */
export const byteLength = (text: string): number => encoder.encode(text).byteLength;

/**
 * The longest prefix of whole code points that fits into `maxBytes` bytes of UTF-8. A lone surrogate becomes U+FFFD: from JSON, SQLite
 * would make three of them of it, and then a MAC is of another text than the row has.
 */
export function cutToBytes(ofAnyForm: string, maxBytes: number): string {
  const text = ofAnyForm.toWellFormed();
  if (text.length * 3 <= maxBytes || byteLength(text) <= maxBytes) return text;
  const buffer = new Uint8Array(maxBytes);
  const { read } = encoder.encodeInto(text, buffer);
  return text.slice(0, read);
}

const EITHER_ALPHABET = /^[A-Za-z0-9+/_-]+={0,2}$/;

/**
 * The bytes of base64 in either alphabet (RFC 4648 §4 and §5), with or without padding; null if the text is not base64.
 * `openssl rand -base64`, which operators make secrets with, writes the first alphabet.
 */
export function decodeBase64(text: string): Uint8Array | null {
  if (!EITHER_ALPHABET.test(text)) return null;
  try {
    return base64url.decode(text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''));
  } catch {
    return null;
  }
}

const PADDED_BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The bytes of base64 with its padding (RFC 4648 §4); null for anything else, and for an empty text. */
export const decodePaddedBase64 = (text: string): Uint8Array | null =>
  text !== '' && PADDED_BASE64.test(text) ? Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)) : null;
