import type { Failure } from '../failures.ts';
import type { CacheStatus } from './present.ts';
import type { Freshness } from './pace.ts';
import type { DatedList } from './snapshot.ts';

/** A list that a read may be decided on, and where it came from. */
export interface Held {
  readonly list: DatedList;
  readonly from: CacheStatus['from'];
  /** Of one from PipeOps: another read asked for it. */
  readonly isShared: boolean;
}

/** What is said of where an answer came from. */
export function cacheOf({ list, from, isShared }: Held, wanted: Freshness, nowMs: number): CacheStatus {
  if (from === 'pipeops') return { from, why: wanted.isNoCache ? 'request' : 'miss', isShared };
  const ageMs = nowMs - list.begunAtMs;
  return { from, ageMs, ttlMs: wanted.maxAgeMs - ageMs };
}

/** Whether PipeOps is down, or is not to be asked: anything else that it says is the answer. */
export const isStandInWanted = ({ kind }: Failure): boolean =>
  ['upstream_rate_limited', 'upstream_timeout', 'upstream_unreachable', 'upstream_error', 'rate_limited'].includes(
    kind,
  );
