import { RETRY_AFTER_MAX_SECONDS } from '../config/limits.ts';

/** The preferred form of an HTTP date (RFC 9110, 5.6.7). `Date.parse` alone takes "-5" for a date. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * `Retry-After` (RFC 9110, 10.2.3) in seconds from now, at most an hour: PipeOps' longest window. Null: absent, or not
 * a value that means anything.
 */
export const retryAfterSeconds = (header: string | null, nowMs: number): number | null => {
  const text = header?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text), RETRY_AFTER_MAX_SECONDS);
  const atMs = HTTP_DATE.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs)) return null;
  return Math.min(Math.max(0, Math.ceil((atMs - nowMs) / 1000)), RETRY_AFTER_MAX_SECONDS);
};
