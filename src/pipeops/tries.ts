import { chanceOf } from '../kit/chance.ts';
import { untilAborted } from '../kit/deadline.ts';
import type { UpstreamFailure } from '../failures.ts';
import { err } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { UpstreamRequest } from './exchange.ts';
import { isOutcomeUnknown } from './outcome.ts';
import { retryPauseMs } from './retries.ts';
import type { Call, Upstream } from './types.ts';

/** What the tries of one request came to. */
export interface Tried<T> {
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
