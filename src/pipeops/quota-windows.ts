import {
  QUOTA_HOUR_CALLS,
  QUOTA_HOUR_RESERVE_CALLS,
  QUOTA_MINUTE_CALLS,
  QUOTA_MINUTE_RESERVE_CALLS,
} from '../config/limits.ts';

// PipeOps counts the calls of a credential in two windows. Its headers tell of one of them, the one nearer to its limit.

/** What is left of a window. */
export interface Window {
  /** Calls. */
  readonly remaining: number;
  /** When it ends, in milliseconds since the epoch. */
  readonly untilMs: number;
}

export const WINDOWS = {
  minute: { lengthMs: 60_000, calls: QUOTA_MINUTE_CALLS, reserveCalls: QUOTA_MINUTE_RESERVE_CALLS },
  hour: { lengthMs: 60 * 60_000, calls: QUOTA_HOUR_CALLS, reserveCalls: QUOTA_HOUR_RESERVE_CALLS },
} as const;

export type WindowName = keyof typeof WINDOWS;

export const WINDOW_NAMES = ['minute', 'hour'] as const satisfies readonly WindowName[];

/** Below this a reset is seconds from now, above the next it is milliseconds: between them, seconds since the epoch. */
const RELATIVE_BELOW = 1e6;
const MILLISECONDS_ABOVE = 1e11;

/**
 * The window that an answer tells of, by `X-RateLimit-Limit`, `-Remaining` and `-Reset`. Null: it tells of none. A reset that
 * is missing, or further away than the window is long, is taken to be one length away: nothing holds us back for longer.
 */
export function readWindow(
  headers: Headers,
  nowMs: number,
): { readonly name: WindowName; readonly window: Window } | null {
  const limit = numberOf(headers.get('X-RateLimit-Limit'));
  const remaining = numberOf(headers.get('X-RateLimit-Remaining'));
  if (limit === null || remaining === null) return null;
  const name = limit <= QUOTA_MINUTE_CALLS ? 'minute' : 'hour';
  const latestMs = nowMs + WINDOWS[name].lengthMs;
  const resetMs = resetMsOf(numberOf(headers.get('X-RateLimit-Reset')), nowMs);
  return { name, window: { remaining, untilMs: Math.min(resetMs ?? latestMs, latestMs) } };
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
 * Whether others must hear of it: it has come to its reserve, or to half of what they know. Each of those is reached a few
 * times in a window, so telling costs next to nothing.
 *
 * @param told what they know of it; null: nothing.
 */
export function isWindowNews(name: WindowName, told: Window | null, { remaining, untilMs }: Window): boolean {
  const { calls, reserveCalls } = WINDOWS[name];
  const known = told !== null && isSameWindow(name, told, { remaining, untilMs }) ? told.remaining : calls;
  if (remaining >= known) return false;
  return remaining <= known / 2 || (remaining <= reserveCalls && known > reserveCalls);
}
