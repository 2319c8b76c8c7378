import * as z from 'zod';

/** zod knows the calendar. Date alone would take 30 February for 2 March. */
const rfc3339 = z.iso.datetime({ offset: true });
/** PipeOps' second form of a time: `2006-01-02 15:04:05`, in UTC. */
const SPACED = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})$/;

/** Reads a time in RFC 3339 or in PipeOps' second form as milliseconds since the epoch; null if it is neither. */
export function parseTimeMs(text: string): number | null {
  // RFC 3339 §5.6 allows `t` and `z` in lower case.
  const parsed = rfc3339.safeParse(text.replace(SPACED, '$1T$2Z').toUpperCase());
  const ms = parsed.success ? Date.parse(parsed.data) : Number.NaN;
  // An offset can lead beyond the year 9999, where RFC 3339 ends.
  return Number.isNaN(ms) || new Date(ms).getUTCFullYear() > 9999 ? null : ms;
}

/** A time in RFC 3339, in UTC and with milliseconds. */
export const rfc3339OrNull = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** Milliseconds since the epoch of a time in RFC 3339 that was checked when it came in. */
export const msOrNull = (time: string | null): number | null => (time === null ? null : Date.parse(time));

/** The last second that a Date can hold (ECMA-262 §21.4.1.1). */
export const DATE_MAX_SECONDS = 8_640_000_000_000;
export const SECONDS_PER_DAY = 24 * 60 * 60;

const DURATION = /^(?<count>\d{1,9})(?<unit>[smhdw])$/;
const SECONDS_PER_UNIT: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 60 * 60,
  d: SECONDS_PER_DAY,
  w: 7 * SECONDS_PER_DAY,
};

/** Reads a duration, a whole number and s, m, h, d or w such as `30d`, as seconds; null if the text is no duration. */
export function durationSeconds(text: string): number | null {
  const { count, unit = '' } = DURATION.exec(text)?.groups ?? {};
  const secondsPerUnit = SECONDS_PER_UNIT[unit];
  return secondsPerUnit === undefined ? null : Number(count) * secondsPerUnit;
}

/** The units that a duration is shown in, the largest first. Weeks are not among them: policies are written in days. */
const SHOWN_UNITS = { day: SECONDS_PER_DAY, hour: 60 * 60, minute: 60, second: 1 } as const;

/** A duration in words, in the largest unit that gives a whole number, such as `90 minutes`. */
export function durationText(seconds: number): string {
  const [name, length] = Object.entries(SHOWN_UNITS).find(([, unit]) => seconds % unit === 0) ?? ['second', 1];
  const count = seconds / length;
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}

/** When the minute of the clock begins that a moment is in: counted rows have one for each. */
export const minuteBeginMs = (ms: number): number => Math.floor(ms / MINUTE_MS) * MINUTE_MS;
/** When the minute of the clock ends that a moment is in. */
export const minuteEndMs = (ms: number): number => minuteBeginMs(ms) + MINUTE_MS;
export const MINUTE_MS = 60_000;
