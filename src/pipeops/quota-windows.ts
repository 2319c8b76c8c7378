import {
  QUOTA_BUCKETS_COUNT,
  QUOTA_CALLS_MAX,
  QUOTA_CALLS_MIN,
  QUOTA_HOUR_CALLS,
  QUOTA_KEPT_SHARES,
  QUOTA_MINUTE_CALLS,
} from '../config/limits.ts';

// The two windows in which PipeOps counts the calls of a credential: what its headers tell of them, and how much of each a call may
// use. Its headers tell of one window, the one that is nearer to its limit.

/**
 * What a call is for, from what waits first to what waits last: each purpose leaves a share of a window to those after it.
 * `watch` is the nightly look at the use of tokens, for which nobody waits. `revocation` is of tokens that must not live on.
 */
export type Purpose = 'watch' | 'read' | 'change' | 'reconciliation' | 'revocation';

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

/** Calls in each window. */
export type WindowCalls = Readonly<Record<WindowName, number>>;

export const DEFAULT_QUOTA: WindowCalls = { minute: QUOTA_MINUTE_CALLS, hour: QUOTA_HOUR_CALLS };

/** How many of `size` calls a window keeps from a purpose: at least one, where it keeps any. */
export const keptCalls = (name: WindowName, purpose: Purpose, size: number): number =>
  Math.ceil(size * QUOTA_KEPT_SHARES[name][purpose]);

/** The most calls that a window of `size` may hold, one of that purpose included. */
export const mostCalls = (name: WindowName, purpose: Purpose, size: number): number =>
  size - keptCalls(name, purpose, size);

/**
 * The purpose of looking up an id that the inventory lacks, for the sake of a change. Whoever revokes ids that it makes up must not
 * use up what is kept for revocation.
 */
export const lookUpPurpose = (purpose: Purpose): Purpose => (purpose === 'revocation' ? 'reconciliation' : purpose);

/** A reset below the first is in seconds from now, one above the second in milliseconds, and one between them in seconds, since the epoch. */
const RELATIVE_BELOW = 1e6;
const MILLISECONDS_ABOVE = 1e11;

/** What the headers of an answer tell. */
interface HeardWindow {
  readonly name: WindowName;
  readonly window: Window;
  /** Calls of the whole window; null: the header names a number that no quota of an API has. */
  readonly size: number | null;
}

/**
 * Reads of which window an answer tells, by `X-RateLimit-Limit`, `-Remaining` and `-Reset`; null: it tells of none. Its limit says
 * which one it is: the one whose size is nearer, by their ratio. A reset that is missing, or further away than the window is long,
 * is taken to be one length away: nothing holds us back for longer.
 *
 * @param settings the sizes that the windows are set to have.
 */
export function readWindow(headers: Headers, settings: WindowCalls, nowMs: number): HeardWindow | null {
  const limit = numberOf(headers.get('X-RateLimit-Limit'));
  const remaining = numberOf(headers.get('X-RateLimit-Remaining'));
  if (limit === null || remaining === null) return null;
  const name = limit ** 2 <= settings.minute * settings.hour ? 'minute' : 'hour';
  const latestMs = nowMs + WINDOWS[name].lengthMs;
  const resetMs = resetMsOf(numberOf(headers.get('X-RateLimit-Reset')), nowMs);
  const isSize = Number.isInteger(limit) && limit >= QUOTA_CALLS_MIN && limit <= QUOTA_CALLS_MAX;
  return {
    name,
    window: { remaining, untilMs: Math.min(resetMs ?? latestMs, latestMs) },
    size: isSize ? limit : null,
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
 * Whether two ends are those of one window. Clocks that differ tell them in whole seconds, and the next window ends a whole length
 * later.
 */
const isSameWindow = (name: WindowName, a: Window, b: Window): boolean =>
  Math.abs(a.untilMs - b.untilMs) <= WINDOWS[name].lengthMs / 2;

/**
 * Says what is known of a window after hearing more of it, in any order. A later window replaces an earlier one. Of one window the
 * lower number is the later one, since calls only use it up.
 */
export function mergeWindow(name: WindowName, known: Window | null, heard: Window, nowMs: number): Window {
  if (known === null || known.untilMs <= nowMs) return heard;
  if (!isSameWindow(name, known, heard)) return heard.untilMs > known.untilMs ? heard : known;
  return heard.remaining < known.remaining ? heard : known;
}

/**
 * Whether other isolates must hear of a window: it has come to what is kept for revocation, or to half of what they know. Each is
 * reached a few times in a window, so sharing it costs next to nothing.
 *
 * @param shared what they know of it; null: nothing.
 * @param size calls of the whole window.
 */
export function isWindowNews(
  name: WindowName,
  shared: Window | null,
  { remaining, untilMs }: Window,
  size: number,
): boolean {
  const reserve = keptCalls(name, 'change', size);
  const known = shared !== null && isSameWindow(name, shared, { remaining, untilMs }) ? shared.remaining : size;
  if (remaining >= known) return false;
  return remaining <= known / 2 || (remaining <= reserve && known > reserve);
}
