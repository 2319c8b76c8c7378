import type { TokenRejection } from '../failures.ts';
import { JWT_MAX_BYTES } from '../config/limits.ts';

/**
 * What is found only behind a good signature: jose checks claims after it (RFC 7519 §7.2). So whoever hears of it was given
 * this JWT by its issuer, and learns nothing of the issuer's keys or of the policy.
 */
const BEHIND_SIGNATURE = [
  'type_not_accepted',
  'audience_mismatch',
  'expired',
  'too_old',
  'not_yet_valid',
  'issued_in_future',
  'claim_missing',
  'claim_malformed',
  'subject_empty',
] as const satisfies readonly TokenRejection[];

type Told = (typeof BEHIND_SIGNATURE)[number];

/** Whether a JWT that was rejected for this was signed by its issuer. */
export const isBehindSignature = (reason: TokenRejection): reason is Told =>
  (BEHIND_SIGNATURE as readonly TokenRejection[]).includes(reason);

const EARLY = 'The JWT is not valid yet. Try again shortly; if it stays so, the clock of its issuer is wrong.';
const BAD_CLAIM =
  'The JWT lacks a claim, or has one that cannot be used. Have its issuer give it iat, exp, aud and a subject.';

/** Characters of RFC 6750 §3 alone: no quote, no backslash. */
const ADVICE: Readonly<Record<Told, string>> = {
  type_not_accepted:
    'The JWT is of a type (typ) that is no credential here, as a logout token is none. Send an access token of its issuer.',
  audience_mismatch:
    'The JWT is for another audience (aud). Ask its issuer for one for the audience of this service, which its operators know.',
  expired: 'The JWT has expired (exp). Get a fresh one from its issuer.',
  too_old: 'The JWT was issued too long ago (iat), though it has not expired. Get a fresh one from its issuer.',
  not_yet_valid: EARLY,
  issued_in_future: EARLY,
  claim_missing: BAD_CLAIM,
  claim_malformed: BAD_CLAIM,
  subject_empty: BAD_CLAIM,
};

/** The size is known before anything of the JWT is read. */
const TOO_LARGE = `The JWT has more than ${JWT_MAX_BYTES / 1024} KiB. Have its issuer put less into it, such as fewer groups.`;

/**
 * What a caller is told of its JWT that was rejected, and what to do about it. It is chosen by the reason alone, so it repeats
 * nothing of the JWT. Null: nothing is told, since nobody knows who made the JWT.
 */
export function adviceOn(reason: TokenRejection): string | null {
  if (reason === 'too_large') return TOO_LARGE;
  return isBehindSignature(reason) ? ADVICE[reason] : null;
}
