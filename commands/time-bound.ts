import * as z from 'zod';
import { durationSeconds, SECONDS_PER_DAY } from '../src/kit/time.ts';
import { UsageError } from './usage.ts';

const day = z.iso.date();

/**
 * Reads a bound of a time as RFC 3339: a time, which the service checks; a day, which counts as a whole and in UTC, so that `…to` ends
 * with it; or how long ago, such as `7d`.
 *
 * @param option the name of the option, without its dashes.
 * @throws UsageError if it is too long ago for any time of the service.
 */
export function timeBound(option: string, value: string, now: Date): string {
  if (day.safeParse(value).success) {
    const beginMs = Date.parse(value);
    return new Date(/(^|-)to$/.test(option) ? beginMs + SECONDS_PER_DAY * 1000 : beginMs).toISOString();
  }
  const seconds = durationSeconds(value);
  if (seconds === null) return value;
  const time = new Date(now.getTime() - seconds * 1000);
  if (Number.isNaN(time.getTime()) || time.getUTCFullYear() < 1970)
    throw new UsageError(`--${option} ${value} is longer ago than any event.`);
  return time.toISOString();
}
