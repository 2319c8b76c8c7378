import * as z from 'zod';

/** zod knows the calendar; Date alone would take 30 February for 2 March. */
const rfc3339 = z.iso.datetime({ offset: true });
/** PipeOps' second form of a time, `2006-01-02 15:04:05`, which is UTC. */
const SPACED = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})$/;

/** Milliseconds since the epoch of a time in RFC 3339 or in PipeOps' second form; null: no time. */
export function parseTimeMs(text: string): number | null {
  // RFC 3339 §5.6 allows lower-case `t` and `z`.
  const parsed = rfc3339.safeParse(text.replace(SPACED, '$1T$2Z').toUpperCase());
  const ms = parsed.success ? Date.parse(parsed.data) : Number.NaN;
  // An offset can lead beyond the year 9999, where RFC 3339 ends.
  return Number.isNaN(ms) || new Date(ms).getUTCFullYear() > 9999 ? null : ms;
}

export const rfc3339OrNull = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** Milliseconds since the epoch of a time that was checked where it came in. */
export const msOrNull = (time: string | null): number | null => (time === null ? null : Date.parse(time));

const DURATION = /^(?<count>\d{1,9})(?<unit>[smhdw])$/;
export const SECONDS_PER_DAY = 24 * 60 * 60;
const SECONDS_PER_UNIT: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 60 * 60,
  d: SECONDS_PER_DAY,
  w: 7 * SECONDS_PER_DAY,
};

/** The seconds of a duration, a whole number and s, m, h, d or w, such as `30d`; null: the text is no duration. */
export function durationSeconds(text: string): number | null {
  const { count, unit = '' } = DURATION.exec(text)?.groups ?? {};
  const secondsPerUnit = SECONDS_PER_UNIT[unit];
  return secondsPerUnit === undefined ? null : Number(count) * secondsPerUnit;
}

/** When the minute of the clock begins that a moment is in: counted rows have one for each. */
export const minuteBeginMs = (ms: number): number => Math.floor(ms / MINUTE_MS) * MINUTE_MS;
export const MINUTE_MS = 60_000;
