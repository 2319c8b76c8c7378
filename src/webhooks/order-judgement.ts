import {
  ORDERS_BACKOFF_FIRST_MS,
  ORDERS_BACKOFF_MAX_MS,
  ORDERS_GIVE_UP_MS,
  UPSTREAM_WAIT_DEFAULT_MS,
} from '../config/limits.ts';
import type { OrderRow } from '../db/schema.ts';
import type { UpstreamFailure } from '../failures.ts';
import { toWireError } from '../wire-errors.ts';
import type { ErrorCode } from '../vocabulary.ts';

/** What became of an order that was tried. */
export type Verdict =
  | {
      readonly kind: 'done';
      readonly result: 'revoked' | 'suspended' | 'already_gone' | 'not_found';
      readonly upstreamStatus: number | null;
    }
  | {
      readonly kind: 'later';
      readonly nextAtMs: number;
      readonly errorCode: ErrorCode;
      /** PipeOps would answer every other order alike: the run ends. */
      readonly endsRun: boolean;
    }
  | { readonly kind: 'given_up'; readonly errorCode: ErrorCode };

/**
 * Judges a try that failed. A revoke may be repeated whatever became of it, so no failure is final but time.
 *
 * @param tries how many there were, this one included.
 * @param chance from 0 to 1.
 */
export function judgeFailure(
  order: Pick<OrderRow, 'begun_at' | 'tries'>,
  failure: UpstreamFailure,
  nowMs: number,
  chance: number,
): Verdict {
  const errorCode = toWireError(failure).code;
  if (nowMs - (order.begun_at ?? nowMs) >= ORDERS_GIVE_UP_MS) return { kind: 'given_up', errorCode };
  if (failure.kind === 'upstream_rate_limited') {
    const { retryAfterSeconds } = failure;
    const waitMs = retryAfterSeconds === null ? UPSTREAM_WAIT_DEFAULT_MS : retryAfterSeconds * 1000;
    return { kind: 'later', nextAtMs: nowMs + waitMs, errorCode, endsRun: true };
  }
  return {
    kind: 'later',
    nextAtMs: nowMs + pauseMs(order.tries, chance),
    errorCode,
    // Our credential, or PipeOps as a whole. A 403 may be about one workspace alone.
    endsRun: ['upstream_credential_rejected', 'upstream_timeout', 'upstream_unreachable'].includes(failure.kind),
  };
}

/** Twice as long after each try, up to ORDERS_BACKOFF_MAX_MS; the upper half of it is left to chance. */
export function pauseMs(tries: number, chance: number): number {
  const wholeMs = Math.min(ORDERS_BACKOFF_FIRST_MS * 2 ** Math.max(0, tries - 1), ORDERS_BACKOFF_MAX_MS);
  return Math.round(wholeMs * (0.5 + chance / 2));
}
