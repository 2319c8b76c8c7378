import { CHANGE_RETRIES_MAX_COUNT, READ_RETRIES_MAX_COUNT, RETRY_PAUSE_MS } from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import { chanceOf } from '../kit/backoff.ts';
import { untilAborted } from '../kit/deadline.ts';
import { err } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { UpstreamRequest } from './client.ts';
import type { Call, Upstream } from './types.ts';

/** What the tries of one request came to. */
interface Tried<T> {
  /** The last answer. */
  readonly answered: Awaited<Upstream<T>>;
  /** How an earlier try of a change failed, after which nobody knows whether it took effect; null: there was none. */
  readonly doubt: UpstreamFailure | null;
}

/** Sends a request, and again where `retryPauseMs` says so, within the one deadline of its call. */
export async function tryRepeatedly<T>(
  runtime: Pick<Runtime, 'sleep' | 'randomBytes'>,
  { method }: Pick<UpstreamRequest, 'method'>,
  call: Call,
  tryOnce: () => Upstream<T>,
): Promise<Tried<T>> {
  let doubt: UpstreamFailure | null = null;
  for (let retries = 0; ; retries += 1) {
    // One after the other: each is the same request.
    const answered = await tryOnce();
    if (answered.ok || call.once === true) return { answered, doubt };
    const pauseMs = retryPauseMs(method, answered.error, retries, chanceOf(runtime.randomBytes(1)));
    if (pauseMs === null || !(await isPausedInTime(runtime, pauseMs, call.signal))) return { answered, doubt };
    if (method !== 'GET') doubt = answered.error;
  }
}

/**
 * What is known after all tries. That the last one was refused says nothing of an earlier one that may have taken effect:
 * then the doubt remains.
 */
export const settled = <T>({ answered, doubt }: Tried<T>): Awaited<Upstream<T>> =>
  answered.ok || doubt === null || isOutcomeUnknown(answered.error) ? answered : err(doubt);

async function isPausedInTime(runtime: Pick<Runtime, 'sleep'>, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await untilAborted(runtime.sleep(ms), signal);
    return !signal.aborted;
  } catch {
    return false;
  }
}

/** Of a gateway, or of a PipeOps that is starting: the next try may meet another one. */
const PASSING: readonly number[] = [502, 503, 504];

/**
 * How long to wait before a request is sent once more, in milliseconds; null: it is not.
 *
 * A read may be repeated whatever it met. A change is repeated where doing it twice is doing it once: a revoke, and an update,
 * which sets values and adds nothing. A create mints again, so it is never repeated. Nothing is where PipeOps has answered:
 * 4xx and 429 mean what they say, and an answer that cannot be read would not be readable the next time either. Nor is a
 * request whose time is up.
 *
 * @param retries how many there were.
 * @param chance from 0 to 1.
 */
export function retryPauseMs(
  method: UpstreamRequest['method'],
  failure: UpstreamFailure,
  retries: number,
  chance: number,
): number | null {
  if (retries >= mostRetries(method) || !isPassing(method, failure)) return null;
  return Math.round(RETRY_PAUSE_MS * 2 ** retries * (1 + 2 * chance));
}

function mostRetries(method: UpstreamRequest['method']): number {
  if (method === 'POST') return 0;
  return method === 'GET' ? READ_RETRIES_MAX_COUNT : CHANGE_RETRIES_MAX_COUNT;
}

function isPassing(method: UpstreamRequest['method'], failure: UpstreamFailure): boolean {
  if (failure.kind === 'upstream_unreachable') return true;
  // A 500 is a bug that a change has met, most likely: it would meet it again, and half of it may be done.
  if (failure.kind !== 'upstream_error') return false;
  return PASSING.includes(failure.status) || (method === 'GET' && failure.status === 500);
}

const OUTCOME_UNKNOWN: Readonly<Record<UpstreamFailure['kind'], boolean>> = {
  upstream_timeout: true,
  upstream_unreachable: true,
  upstream_error: true,
  upstream_invalid_response: true,
  upstream_credential_rejected: false,
  upstream_forbidden: false,
  upstream_rate_limited: false,
  upstream_not_found: false,
  upstream_rejected: false,
  // It has, and not as it should.
  upstream_disobeyed: false,
};

/** Whether a mutation that failed so may have taken effect all the same. */
export const isOutcomeUnknown = (failure: UpstreamFailure): boolean => OUTCOME_UNKNOWN[failure.kind];

/** What accompanies the calls that one step of an operation makes: they share one deadline, `timeoutMs` from now. */
export const callWithin = (
  timeoutMs: number,
  runtime: Pick<Runtime, 'timeout'>,
  { traceparent, trace }: Pick<RequestContext, 'traceparent' | 'trace'>,
  eventId: string,
  options: Pick<Call, 'purpose' | 'once' | 'allowance' | 'calls'> = {},
): Call => ({ eventId, traceparent, trace, signal: runtime.timeout(timeoutMs), ...options });
