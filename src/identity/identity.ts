import type { IssuerPolicy } from '../config/issuers.ts';
import { ACTOR_SUBJECT_MAX_BYTES } from '../config/limits.ts';
import type { AuthFailure, TokenRejection } from '../failures.ts';
import { byteLength } from '../kit/bytes.ts';
import { containsSecret, redact } from '../kit/redaction.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { containsControls, containsInvisible, replaceControls } from '../kit/text.ts';
import { readClaim } from '../policy/bindings.ts';
import type { ActorType } from '../vocabulary.ts';

/** Who a verified JWT names. Nothing here is taken from a token whose signature was not checked. */
export interface Identity {
  readonly issuer: string;
  /** The value of the issuer's `subject` claim: the owner of tokens. */
  readonly subject: string;
  readonly label: string | null;
  readonly actorType: Extract<ActorType, 'user' | 'service_account'>;
  /** All verified claims, for bindings to match on. Never stored, never logged. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface Authenticator {
  /**
   * Verifies the JWT that a request carries.
   *
   * Rejects: no credentials, an unacceptable token (with its reason), an issuer whose keys cannot be had, and a
   * mutation from another site under a cookie-borne header.
   */
  authenticate(request: { method: string; url: string; headers: Headers }): Promise<Result<Identity, AuthFailure>>;
}

/** The identity that verified claims give under a policy. Errors: those of `readSubject`. */
export function identityOf(
  claims: Readonly<Record<string, unknown>>,
  policy: IssuerPolicy,
): Result<Identity, TokenRejection> {
  const subject = readSubject(readClaim(claims, policy.subject));
  if (!subject.ok) return subject;
  return ok({
    issuer: policy.issuer,
    subject: subject.value,
    label: policy.label === null ? null : readLabel(readClaim(claims, policy.label)),
    actorType: policy.actorType,
    claims,
  });
}

/**
 * The subject owns tokens, so it is taken whole and unchanged or not at all: cutting or cleaning it could make one caller of
 * two.
 *
 * Errors: `claim_missing`, `subject_empty`, `claim_malformed`.
 */
function readSubject(claim: unknown): Result<string, TokenRejection> {
  if (claim === undefined) return err('claim_missing');
  const subject = textOf(claim);
  if (subject === null) return err('claim_malformed');
  if (subject.trim() === '') return err('subject_empty');
  const acceptable =
    subject.isWellFormed() &&
    !containsControls(subject) &&
    // In the trail it would look like another.
    !containsInvisible(subject) &&
    byteLength(subject) <= ACTOR_SUBJECT_MAX_BYTES &&
    // It will be stored, and redacting would change it.
    !containsSecret(subject);
  return acceptable ? ok(subject) : err('claim_malformed');
}

/**
 * The label is made fit to be shown. It is kept whole, since offboarding names it whole; the trail shows the beginning of a long
 * one. Null where the claim is not text.
 */
function readLabel(claim: unknown): string | null {
  const label = textOf(claim);
  if (label === null || label === '') return null;
  return redact(replaceControls(label.toWellFormed()));
}

/** A string, or a whole number that a double holds exactly. Null: anything else. */
function textOf(claim: unknown): string | null {
  if (typeof claim === 'number') return Number.isSafeInteger(claim) ? String(claim) : null;
  return typeof claim === 'string' ? claim : null;
}
