import { IDEMPOTENCY_KEY_MAX_CHARS } from '../config/limits.ts';
import type { RequestFailure } from '../failures.ts';
import { createProblems } from '../kit/problems.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { containsSecret } from '../kit/redaction.ts';

/** The header that makes a create safe to repeat. */
export const IDEMPOTENCY_KEY = 'Idempotency-Key';

/**
 * A string of RFC 8941 §3.3.3 without spaces, as draft-ietf-httpapi-idempotency-key-header-07 §2.1 requires it: visible ASCII in
 * quotes, in which `\"` and `\\` stand for a quote and a backslash.
 */
const QUOTED = /^"(?<text>(?:[!#-[\]-~]|\\["\\])*)"$/;
/** The value without quotes, as most clients send it. It holds no comma, which joins the values of a header that came twice. */
const BARE = /^[!#-+\--[\]-~]+$/;

/**
 * Reads the header as its key; null if it was not sent. A text with quotes and without is one key.
 *
 * Errors: `invalid_request` for an empty, overlong or malformed value, and for two values; `validation_failed` for a value that
 * looks like a secret.
 */
export function readIdempotencyKey(header: string | null): Result<string | null, RequestFailure> {
  if (header === null) return ok(null);
  const problems = createProblems();
  const quoted = QUOTED.exec(header)?.groups?.['text']?.replace(/\\(.)/g, '$1');
  const key = quoted ?? (BARE.test(header) ? header : '');
  if (key === '' || key.length > IDEMPOTENCY_KEY_MAX_CHARS) {
    problems.misunderstood(
      IDEMPOTENCY_KEY,
      `Send it once: 1 to ${IDEMPOTENCY_KEY_MAX_CHARS} visible ASCII characters, such as a UUID, in double quotes or without.`,
    );
  } else if (containsSecret(key)) {
    problems.unacceptable(IDEMPOTENCY_KEY, 'Use a random text, such as a UUID. This one looks like a token or a JWT.');
  }
  return problems.any() ? err(problems.failure()) : ok(key);
}
