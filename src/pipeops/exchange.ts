import type { UpstreamFailure } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import { discardBody } from './body.ts';
import { untilAborted } from '../kit/deadline.ts';
import type { Purpose } from './quota-windows.ts';
import type { Call } from './types.ts';

export interface UpstreamRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly url: string;
  readonly workspaceUuid: string;
  readonly purpose: Purpose;
  /** Sent as JSON. */
  readonly body?: Readonly<Record<string, unknown>>;
}

const headersOf = (request: UpstreamRequest, credential: string, call: Call): Record<string, string> => ({
  Authorization: `Bearer ${credential}`,
  Accept: 'application/json',
  'User-Agent': 'countersign',
  'X-Request-Id': call.eventId,
  ...(request.body !== undefined && { 'Content-Type': 'application/json' }),
  ...(call.traceparent !== null && { traceparent: call.traceparent }),
});

/**
 * Sends one request with one credential, once, and waits for the head of the answer. Redirects are not followed: the
 * credential must not reach another origin.
 *
 * Fails with `upstream_timeout` if the call's signal aborts first and `upstream_unreachable` if the connection breaks.
 */
export const exchange = async (
  runtime: Pick<Runtime, 'fetch' | 'now'>,
  request: UpstreamRequest,
  credential: string,
  call: Call,
): Promise<Result<Response, UpstreamFailure>> => {
  const { signal } = call;
  if (signal.aborted) return err({ kind: 'upstream_timeout' });
  const startedAtMs = runtime.now();
  call.trace.upstreamCalls += 1;
  let answer: Promise<Response> | undefined;
  try {
    answer = runtime.fetch(request.url, {
      method: request.method,
      headers: headersOf(request, credential, call),
      body: request.body === undefined ? null : JSON.stringify(request.body),
      redirect: 'manual',
      signal,
    });
    return ok(await untilAborted(answer, signal));
  } catch {
    // An answer that comes after all is not read.
    answer?.then(discardBody, () => {});
    return err({ kind: signal.aborted ? 'upstream_timeout' : 'upstream_unreachable' });
  } finally {
    call.trace.upstreamMs += runtime.now() - startedAtMs;
  }
};
