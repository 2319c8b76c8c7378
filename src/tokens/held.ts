import { SNAPSHOT_STALE_MAX_MS } from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { CacheStatus } from '../snapshot/cache-status.ts';
import type { Freshness } from '../snapshot/freshness.ts';
import type { TripAnswer } from '../snapshot/read-group.ts';
import { withInventory, type Snapshot } from '../snapshot/snapshot.ts';

/** A list that a read may be decided on, and where it came from. */
export interface Held {
  readonly snapshot: Snapshot;
  readonly from: CacheStatus['from'];
  /** Of one from PipeOps: another read asked for it. */
  readonly isShared: boolean;
}

export const toHold = (snapshot: Snapshot | null, from: Held['from'], isShared = false): Held | null =>
  snapshot === null ? null : { snapshot, from, isShared };

/** The list that another isolate left in D1, if D1 gave one. */
export const storedIn = ({ stored, inventory }: TripAnswer): Snapshot | null =>
  stored === null ? null : withInventory(stored, inventory);

/** What is said of where an answer came from. */
export function cacheOf({ snapshot, from, isShared }: Held, wanted: Freshness, nowMs: number): CacheStatus {
  if (from === 'pipeops') return { from, why: wanted.isNoCache ? 'request' : 'miss', isShared };
  const ageMs = nowMs - snapshot.begunAtMs;
  return { from, ageMs, ttlMs: wanted.maxAgeMs - ageMs };
}

/** Whether PipeOps is down, or wants nothing of us: anything else that it says is the answer. */
export const isStandInWanted = ({ kind }: UpstreamFailure): boolean =>
  ['upstream_rate_limited', 'upstream_timeout', 'upstream_unreachable', 'upstream_error'].includes(kind);

/** Since when a list must have been begun that stands in then. */
export const standInSinceMs = (nowMs: number): number => nowMs - SNAPSHOT_STALE_MAX_MS;
