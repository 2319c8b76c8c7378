import { UPSTREAM_BODY_MAX_BYTES } from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import { err, ok, type Result } from '../result.ts';
import { untilAborted } from '../deadline.ts';

/** Lets go of a body that nobody will read, so that its connection is free again. Failing to is of no consequence. */
export const discardBody = (response: Response): void => {
  response.body?.cancel().catch(() => {});
};

/** All bytes, or null where there are more than an answer may have. Counted as they come: Content-Length may lie. */
const collect = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array[] | null> => {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return chunks;
    size += value.byteLength;
    if (size > UPSTREAM_BODY_MAX_BYTES) return null;
    chunks.push(value);
  }
};

const parse = (chunks: readonly Uint8Array[]): unknown => {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
  const text = chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join('') + decoder.decode();
  return JSON.parse(text);
};

/**
 * Reads a body as JSON.
 *
 * Fails with `upstream_timeout` if the signal aborts first, `upstream_unreachable` if the connection breaks, and
 * `upstream_invalid_response` for too many bytes and for anything that is not whole JSON in UTF-8.
 */
export const readJson = async (response: Response, signal: AbortSignal): Promise<Result<unknown, UpstreamFailure>> => {
  const invalid = err({ kind: 'upstream_invalid_response', status: response.status } as const);
  if (response.body === null) return invalid;
  const reader = response.body.getReader();
  let chunks: Uint8Array[] | null;
  try {
    chunks = await untilAborted(collect(reader), signal);
  } catch {
    reader.cancel().catch(() => {});
    return err({ kind: signal.aborted ? 'upstream_timeout' : 'upstream_unreachable' });
  }
  if (chunks === null) {
    reader.cancel().catch(() => {});
    return invalid;
  }
  try {
    return ok(parse(chunks));
  } catch {
    return invalid;
  }
};
