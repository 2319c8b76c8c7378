import { CHANGE_RETRIES_MAX_COUNT, READ_RETRIES_MAX_COUNT, RETRY_PAUSE_MS } from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { UpstreamRequest } from './exchange.ts';

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
