import { IDEMPOTENCY_KEY_MAX_CHARS } from '../config/limits.ts';
import type { RequestFailure } from '../failures.ts';
import { createProblems } from '../kit/problems.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { containsSecret } from '../kit/redaction.ts';

export const IDEMPOTENCY_KEY = 'Idempotency-Key';

/**
 * A string of RFC 8941 §3.3.3, as draft-ietf-httpapi-idempotency-key-header-07 §2.1 wants it, but for spaces: visible ASCII
 * in quotes, with `\"` and `\\` for the two characters that end it.
 */
const QUOTED = /^"(?<text>(?:[!#-[\]-~]|\\["\\])*)"$/;
/** As most clients send it. Where the header came twice, its values are joined with a comma. */
const BARE = /^[!#-+\--[\]-~]+$/;

/**
 * Reads the header that makes a create safe to repeat; null: it was not sent. The same text in quotes and without is the
 * same key.
 *
 * Errors: `invalid_request` for an empty, overlong or malformed value, and for two of them; `validation_failed` for one that
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
