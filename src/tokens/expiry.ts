import * as z from 'zod';
import { TOKEN_TTL_MAX_SECONDS } from '../config/limits.ts';
import { parseTimeMs } from '../kit/time.ts';
import type { Problems } from '../kit/problems.ts';

const SECONDS_PER_DAY = 24 * 60 * 60;
const SECONDS_PER_UNIT: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 60 * 60,
  d: SECONDS_PER_DAY,
  w: 7 * SECONDS_PER_DAY,
};
const DURATION = /^(?<count>\d{1,9})(?<unit>[smhdw])$/;

const UNREADABLE_TIME = 'Use a time in RFC 3339, such as "2030-01-31T12:00:00Z".';
const UNREADABLE_DURATION = 'Use a whole number and s, m, h, d or w, such as "30d", or a whole number of days.';

/** PipeOps' three forms: a time, a duration such as `30d`, a whole number of days. */
export const expiryFields = {
  expires_at: z.string(UNREADABLE_TIME),
  expires_in: z.union([z.string(), z.number()], UNREADABLE_DURATION),
};

/**
 * The expiry that a create asks for, in RFC 3339 with milliseconds, UTC; null if none. Empty text means none, as with
 * PipeOps.
 *
 * Unacceptable: both fields, what cannot be read, a time that is not after `nowMs`, and one more than
 * `TOKEN_TTL_MAX_SECONDS` ahead.
 */
export function readExpiry(
  given: { readonly expires_at?: string | undefined; readonly expires_in?: string | number | undefined },
  nowMs: number,
  problems: Problems,
): string | null {
  const { expires_at: at = '', expires_in: within = '' } = given;
  if (at !== '' && within !== '') {
    problems.unacceptable('expires_at', 'Give "expires_at" or "expires_in", not both.');
    problems.unacceptable('expires_in', 'Give "expires_at" or "expires_in", not both.');
    return null;
  }
  if (at !== '') return checked('expires_at', parseTimeMs(at), UNREADABLE_TIME, nowMs, problems);
  if (within !== '') {
    const seconds = durationSeconds(within);
    const expiresAtMs = seconds === null ? null : nowMs + seconds * 1000;
    return checked('expires_in', expiresAtMs, UNREADABLE_DURATION, nowMs, problems);
  }
  return null;
}

function checked(
  field: string,
  expiresAtMs: number | null,
  unreadable: string,
  nowMs: number,
  problems: Problems,
): string | null {
  if (expiresAtMs === null) problems.unacceptable(field, unreadable);
  else if (expiresAtMs <= nowMs) problems.unacceptable(field, 'Use a time in the future.');
  else if (expiresAtMs - nowMs <= TOKEN_TTL_MAX_SECONDS * 1000) return new Date(expiresAtMs).toISOString();
  else problems.unacceptable(field, `Use a time at most ${TOKEN_TTL_MAX_SECONDS / SECONDS_PER_DAY} days ahead.`);
  return null;
}

function durationSeconds(duration: string | number): number | null {
  if (typeof duration === 'number') return Number.isSafeInteger(duration) ? duration * SECONDS_PER_DAY : null;
  const { count, unit = '' } = DURATION.exec(duration)?.groups ?? {};
  const secondsPerUnit = SECONDS_PER_UNIT[unit];
  return secondsPerUnit === undefined ? null : Number(count) * secondsPerUnit;
}
