/** PipeOps' published limits, per API token. */
export const REQUESTS_PER_MINUTE = 100;
export const REQUESTS_PER_HOUR = 1_000;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

interface Window {
  readonly startMs: number;
  readonly count: number;
}

/** What one credential has used. Each window starts with the first request after the last one ended. */
export interface Usage {
  readonly minute: Window;
  readonly hour: Window;
}

export interface Verdict {
  readonly allowed: boolean;
  /** Of the window that is nearer to its limit. */
  readonly limit: number;
  readonly remaining: number;
  /** When that window ends, in seconds since the epoch. */
  readonly resetSeconds: number;
  /** Whole seconds until then, at least 1. */
  readonly retryAfterSeconds: number;
}

const current = (window: Window | undefined, lengthMs: number, nowMs: number): Window =>
  window !== undefined && nowMs < window.startMs + lengthMs ? window : { startMs: nowMs, count: 0 };

/**
 * Counts one request at `nowMs`. A refused request counts for nothing, so waiting always helps.
 *
 * @param usage what was returned last time; undefined for a credential not seen before.
 */
export function charge(usage: Usage | undefined, nowMs: number): { usage: Usage; verdict: Verdict } {
  const before = {
    minute: current(usage?.minute, MINUTE_MS, nowMs),
    hour: current(usage?.hour, HOUR_MS, nowMs),
  };
  const allowed = before.minute.count < REQUESTS_PER_MINUTE && before.hour.count < REQUESTS_PER_HOUR;
  const cost = allowed ? 1 : 0;
  const minute = { ...before.minute, count: before.minute.count + cost };
  const hour = { ...before.hour, count: before.hour.count + cost };
  const leftInMinute = REQUESTS_PER_MINUTE - minute.count;
  const leftInHour = REQUESTS_PER_HOUR - hour.count;
  // Where both are used up, the hour is the one to wait for.
  const isHourNearer = leftInHour <= leftInMinute;
  const endMs = isHourNearer ? hour.startMs + HOUR_MS : minute.startMs + MINUTE_MS;
  return {
    usage: { minute, hour },
    verdict: {
      allowed,
      limit: isHourNearer ? REQUESTS_PER_HOUR : REQUESTS_PER_MINUTE,
      remaining: isHourNearer ? leftInHour : leftInMinute,
      resetSeconds: Math.ceil(endMs / 1000),
      retryAfterSeconds: Math.max(1, Math.ceil((endMs - nowMs) / 1000)),
    },
  };
}

export const quotaHeaders = (verdict: Verdict): Readonly<Record<string, string>> => ({
  'X-RateLimit-Limit': String(verdict.limit),
  'X-RateLimit-Remaining': String(verdict.remaining),
  'X-RateLimit-Reset': String(verdict.resetSeconds),
  ...(!verdict.allowed && { 'Retry-After': String(verdict.retryAfterSeconds) }),
});

/** Used windows are forgotten once there are this many credentials: test runs bring a new one for each test. */
const CREDENTIALS_BEFORE_PRUNING = 10_000;

export type Quota = ReturnType<typeof createQuota>;

/** The usage of each credential. */
export function createQuota() {
  const usages = new Map<string, Usage>();
  return {
    charge: (credential: string, nowMs: number): Verdict => {
      if (usages.size >= CREDENTIALS_BEFORE_PRUNING) {
        for (const [key, { hour }] of usages) if (nowMs >= hour.startMs + HOUR_MS) usages.delete(key);
      }
      const { usage, verdict } = charge(usages.get(credential), nowMs);
      usages.set(credential, usage);
      return verdict;
    },
  };
}
