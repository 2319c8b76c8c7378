import { collect, decodeUtf8 } from '../kit/bounded-body.ts';
import { UPSTREAM_BODY_MAX_BYTES } from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { untilAborted } from '../kit/deadline.ts';

/** Lets go of a body that nobody will read, so that its connection is free again. Failing to is of no consequence. */
export const discardBody = (response: Response): void => {
  response.body?.cancel().catch(() => {});
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
  let chunks: readonly Uint8Array[] | null;
  try {
    chunks = await untilAborted(collect(reader, UPSTREAM_BODY_MAX_BYTES), signal);
  } catch {
    reader.cancel().catch(() => {});
    return err({ kind: signal.aborted ? 'upstream_timeout' : 'upstream_unreachable' });
  }
  if (chunks === null) {
    reader.cancel().catch(() => {});
    return invalid;
  }
  try {
    return ok(JSON.parse(decodeUtf8(chunks)));
  } catch {
    return invalid;
  }
};
