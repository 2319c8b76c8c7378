import {
  QUOTA_BUCKETS_COUNT,
  QUOTA_CALLS_MAX,
  QUOTA_CALLS_MIN,
  QUOTA_HOUR_CALLS,
  QUOTA_KEPT_SHARES,
  QUOTA_MINUTE_CALLS,
} from '../config/limits.ts';

// PipeOps counts the calls of a credential in two windows. Its headers tell of one of them, the one nearer to its limit.

/**
 * What a call is for, from what waits first to what waits last: each leaves a share of a window to those after it. `revocation` is
 * of tokens that must not live on.
 */
export type Purpose = 'read' | 'change' | 'reconciliation' | 'revocation';

/** What is left of a window. */
export interface Window {
  /** Calls. */
  readonly remaining: number;
  /** When it ends, in milliseconds since the epoch. */
  readonly untilMs: number;
}

export const WINDOWS = {
  minute: { lengthMs: 60_000, bucketMs: 60_000 / QUOTA_BUCKETS_COUNT },
  hour: { lengthMs: 60 * 60_000, bucketMs: (60 * 60_000) / QUOTA_BUCKETS_COUNT },
} as const;

export type WindowName = keyof typeof WINDOWS;

export const WINDOW_NAMES = ['minute', 'hour'] as const satisfies readonly WindowName[];

/** How many calls PipeOps answers in each window. */
export type CallLimits = Readonly<Record<WindowName, number>>;

export const DEFAULT_CALL_LIMITS: CallLimits = { minute: QUOTA_MINUTE_CALLS, hour: QUOTA_HOUR_CALLS };

/** How many of `limit` calls a window keeps from those of a purpose: at least one, where it keeps any. */
export const keptCalls = (name: WindowName, purpose: Purpose, limit: number): number =>
  Math.ceil(limit * QUOTA_KEPT_SHARES[name][purpose]);

/** The most that may be reserved within a window once a call of that purpose is. */
export const mostCalls = (name: WindowName, purpose: Purpose, limit: number): number =>
  limit - keptCalls(name, purpose, limit);

/**
 * What it is for to look up an id that the inventory lacks, for the sake of a change: whoever revokes ids that it makes up must not
 * use up what is kept for revocation.
 */
export const lookUpPurpose = (purpose: Purpose): Purpose => (purpose === 'revocation' ? 'reconciliation' : purpose);

/** Below this a reset is seconds from now, above the next it is milliseconds: between them, seconds since the epoch. */
const RELATIVE_BELOW = 1e6;
const MILLISECONDS_ABOVE = 1e11;

/** What the headers of an answer tell. */
export interface ToldWindow {
  readonly name: WindowName;
  readonly window: Window;
  /** Calls of the whole window. Null: a number that no limit of an API has. */
  readonly limit: number | null;
}

/**
 * The window that an answer tells of, by `X-RateLimit-Limit`, `-Remaining` and `-Reset`. Null: it tells of none. Its limit says
 * which one it is: the one whose limit is nearer, by their ratio. A reset that is missing, or further away than the window is long,
 * is taken to be one length away: nothing holds us back for longer.
 */
export function readWindow(headers: Headers, limits: CallLimits, nowMs: number): ToldWindow | null {
  const limit = numberOf(headers.get('X-RateLimit-Limit'));
  const remaining = numberOf(headers.get('X-RateLimit-Remaining'));
  if (limit === null || remaining === null) return null;
  const name = limit ** 2 <= limits.minute * limits.hour ? 'minute' : 'hour';
  const latestMs = nowMs + WINDOWS[name].lengthMs;
  const resetMs = resetMsOf(numberOf(headers.get('X-RateLimit-Reset')), nowMs);
  const isLimit = Number.isInteger(limit) && limit >= QUOTA_CALLS_MIN && limit <= QUOTA_CALLS_MAX;
  return {
    name,
    window: { remaining, untilMs: Math.min(resetMs ?? latestMs, latestMs) },
    limit: isLimit ? limit : null,
  };
}

const numberOf = (header: string | null): number | null => {
  const text = header?.trim() ?? '';
  return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : null;
};

function resetMsOf(reset: number | null, nowMs: number): number | null {
  if (reset === null) return null;
  if (reset < RELATIVE_BELOW) return nowMs + reset * 1000;
  return reset > MILLISECONDS_ABOVE ? reset : reset * 1000;
}

/**
 * Whether two ends are those of one window. They are told by clocks that differ and in whole seconds, and the next window
 * ends a whole length later.
 */
export const isSameWindow = (name: WindowName, a: Window, b: Window): boolean =>
  Math.abs(a.untilMs - b.untilMs) <= WINDOWS[name].lengthMs / 2;

/**
 * What is known of a window after hearing more of it, in any order. A later window replaces an earlier one; of one window the
 * lower number is the later one, since calls only use it up.
 */
export function mergeWindow(name: WindowName, known: Window | null, heard: Window, nowMs: number): Window {
  if (known === null || known.untilMs <= nowMs) return heard;
  if (!isSameWindow(name, known, heard)) return heard.untilMs > known.untilMs ? heard : known;
  return heard.remaining < known.remaining ? heard : known;
}

/**
 * Whether others must hear of it: it has come to what is kept for revocation, or to half of what they know. Each of those is
 * reached a few times in a window, so telling costs next to nothing.
 *
 * @param told what they know of it; null: nothing.
 * @param limit calls of the whole window.
 */
export function isWindowNews(
  name: WindowName,
  told: Window | null,
  { remaining, untilMs }: Window,
  limit: number,
): boolean {
  const reserve = keptCalls(name, 'change', limit);
  const known = told !== null && isSameWindow(name, told, { remaining, untilMs }) ? told.remaining : limit;
  if (remaining >= known) return false;
  return remaining <= known / 2 || (remaining <= reserve && known > reserve);
}
