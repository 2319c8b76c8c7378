import {
  QUOTA_BUCKETS_COUNT,
  READ_CALLS_PER_MINUTE,
  SNAPSHOT_NO_CACHE_AGE_MS,
  SNAPSHOT_REFUSED_MS,
  SNAPSHOT_STALE_MAX_MS,
} from '../config/limits.ts';
import type { Failure, UpstreamFailure } from '../failures.ts';
import type { Quota } from '../pipeops/quota.ts';
import { WINDOWS } from '../pipeops/quota-windows.ts';
import type { CallerCalls } from './caller-calls.ts';

/** Which lists a read accepts. Times are milliseconds. */
export interface Freshness {
  /** One that was begun since then, whatever the hour has; since the epoch. */
  readonly minBegunMs: number;
  /** And for each workspace in use one that is so much older: what the hour has. 0: none is. */
  readonly eachMs: number;
  /** How long a list is good for. */
  readonly maxAgeMs: number;
  /** Snapshots are switched off: every read asks PipeOps, and for itself. */
  readonly isOff: boolean;
  readonly isNoCache: boolean;
}

/**
 * How often lists are asked for. Reads get what the hour has for them, evenly over the workspaces in use: so a list may be the older
 * the more of them there are. An hour of calls is counted in thirteen buckets, so the calls of an hour last 65 minutes.
 */
export interface Pace {
  /** What D1 says of how many workspaces are in use. */
  learn(workspacesInUse: number): void;
  workspacesInUse(): number;
  /** @param isNoCache the caller wants a list that was begun just now. */
  freshness(isNoCache: boolean, nowMs: number): Freshness;
  /** Our own quota has none left for reads: until that time, at most for SNAPSHOT_REFUSED_MS, nothing is asked for. */
  refuse(retryAfterSeconds: number, nowMs: number): void;
  /** For how many seconds more; 0: ask. */
  refusedSeconds(nowMs: number): number;
}

/** @param leastMs how old a list may be that reads are answered from, at least; 0: none is. */
export function createPace(leastMs: number, quota: Pick<Quota, 'most'>): Pace {
  let inUse = 0;
  let refusedUntilMs = 0;
  let retryAtMs = 0;
  return {
    learn: (workspacesInUse) => {
      inUse = workspacesInUse;
    },
    workspacesInUse: () => inUse,
    freshness: (isNoCache, nowMs) => {
      if (leastMs === 0) return { minBegunMs: NEVER, eachMs: 0, maxAgeMs: 0, isOff: true, isNoCache };
      if (isNoCache) {
        const maxAgeMs = Math.min(SNAPSHOT_NO_CACHE_AGE_MS, leastMs);
        return { minBegunMs: nowMs - maxAgeMs, eachMs: 0, maxAgeMs, isOff: false, isNoCache };
      }
      const eachMs = msOfEachWorkspace(quota.most('read', nowMs).hour);
      const minBegunMs = nowMs - leastMs;
      const maxAgeMs = nowMs - pacedSinceMs({ minBegunMs, eachMs }, inUse, nowMs);
      return { minBegunMs, eachMs, maxAgeMs, isOff: false, isNoCache };
    },
    refuse: (retryAfterSeconds, nowMs) => {
      retryAtMs = nowMs + retryAfterSeconds * 1000;
      refusedUntilMs = Math.min(retryAtMs, nowMs + SNAPSHOT_REFUSED_MS);
    },
    refusedSeconds: (nowMs) => (refusedUntilMs > nowMs ? Math.ceil((retryAtMs - nowMs) / 1000) : 0),
  };
}

/** No list was begun then. */
const NEVER = Number.MAX_SAFE_INTEGER;

/** By how much a list may be older for each workspace in use, in whole milliseconds. */
export const msOfEachWorkspace = (readCallsPerHour: number): number =>
  Math.ceil(((QUOTA_BUCKETS_COUNT + 1) * WINDOWS.hour.bucketMs) / readCallsPerHour);

/** Since when a list must have been begun while so many workspaces are in use: as `PACED_SINCE` says it in SQL. */
export const pacedSinceMs = (
  { minBegunMs, eachMs }: Pick<Freshness, 'minBegunMs' | 'eachMs'>,
  workspacesInUse: number,
  nowMs: number,
): number => Math.min(minBegunMs, Math.max(nowMs - workspacesInUse * eachMs, nowMs - SNAPSHOT_STALE_MAX_MS));

/** Since when a list must have been begun that answers where nothing else can. */
export const standInSinceMs = (nowMs: number): number => nowMs - SNAPSHOT_STALE_MAX_MS;

/** What is asked of a read that may cause a call. */
interface Asking {
  readonly dependencies: {
    readonly quota: Pick<Quota, 'permit'>;
    readonly snapshots: { readonly pace: Pick<Pace, 'refusedSeconds'> };
  };
  readonly calls: Pick<CallerCalls, 'waitSeconds'>;
  readonly operation: { readonly subject: { readonly workspaceUuid: string } };
  readonly startedAtMs: number;
}

/** What keeps a read from causing a call, even for a list that shows a change, as far as this isolate knows; null: nothing does. */
export function whyNotAtAll({ dependencies, calls, operation, startedAtMs }: Asking): Failure | null {
  const callerSeconds = calls.waitSeconds(startedAtMs);
  if (callerSeconds > 0) {
    const untilMs = startedAtMs + callerSeconds * 1000;
    const window = { policy: 'caller', limit: READ_CALLS_PER_MINUTE, windowSeconds: 60, untilMs } as const;
    return { kind: 'rate_limited', retryAfterSeconds: callerSeconds, window };
  }
  return rateLimited(dependencies.quota.permit('change', operation.subject.workspaceUuid, startedAtMs));
}

/** What keeps it from asking for a list that is only older than it might be. */
export function whyNotNow({ dependencies, operation, startedAtMs }: Omit<Asking, 'calls'>): Failure | null {
  const { quota, snapshots } = dependencies;
  const seconds = snapshots.pace.refusedSeconds(startedAtMs);
  if (seconds > 0) return { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: seconds };
  return rateLimited(quota.permit('read', operation.subject.workspaceUuid, startedAtMs));
}

/** A workspace that PipeOps forbids us is asked for all the same: that is PipeOps' answer, not ours. */
const rateLimited = (refused: Failure | null): Failure | null =>
  refused?.kind === 'upstream_rate_limited' ? refused : null;

/** Whether PipeOps is down, or is not to be asked: anything else that it says is the answer. */
export const isStandInWanted = ({ kind }: UpstreamFailure): boolean =>
  ['upstream_rate_limited', 'upstream_timeout', 'upstream_unreachable', 'upstream_error'].includes(kind);
