import { UserError } from '../local/errors.ts';

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 60 * 60, d: 24 * 60 * 60 };

/** Older tokens are refused by the local policy's `maxAge`, so a longer life would promise too much. */
export const TTL_MAX_SECONDS = 24 * 60 * 60;

/**
 * Reads a lifetime such as `90s`, `15m`, `1h` or `1d`.
 *
 * @returns seconds.
 * @throws UserError unless it is a whole number of one unit, between one second and a day.
 */
export function parseTtlSeconds(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const unitSeconds = UNIT_SECONDS[match?.[2] ?? ''];
  const seconds = unitSeconds === undefined ? 0 : Number(match?.[1]) * unitSeconds;
  if (seconds < 1 || seconds > TTL_MAX_SECONDS) {
    throw new UserError(
      `--ttl ${JSON.stringify(text)} is not a lifetime of at most a day, such as 90s, 15m, 1h or 1d.`,
    );
  }
  return seconds;
}
