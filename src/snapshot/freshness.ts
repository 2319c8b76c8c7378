import { SNAPSHOT_NO_CACHE_AGE_MS } from '../config/limits.ts';

/** Which lists a read accepts. */
export interface Freshness {
  /** Those begun since then; milliseconds since the epoch. */
  readonly minBegunMs: number;
  /** How long a list is good for. */
  readonly maxAgeMs: number;
  /** Snapshots are switched off: every read asks PipeOps, and for itself. */
  readonly isOff: boolean;
  readonly isNoCache: boolean;
}

/** @param isNoCache the caller wants a list that was begun just now. */
export function freshness(snapshotMaxAgeMs: number, isNoCache: boolean, nowMs: number): Freshness {
  const isOff = snapshotMaxAgeMs === 0;
  const maxAgeMs = isNoCache ? Math.min(SNAPSHOT_NO_CACHE_AGE_MS, snapshotMaxAgeMs) : snapshotMaxAgeMs;
  return { minBegunMs: isOff ? Number.MAX_SAFE_INTEGER : nowMs - maxAgeMs, maxAgeMs, isOff, isNoCache };
}
