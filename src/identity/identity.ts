import type { IssuerPolicy } from '../config/issuers.ts';
import { ACTOR_SUBJECT_MAX_BYTES } from '../config/limits.ts';
import type { TokenRejection } from '../failures.ts';
import { byteLength } from '../kit/bytes.ts';
import { containsSecret, redact } from '../kit/redaction.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { containsControls, containsInvisible, replaceControls } from '../kit/text.ts';
import { readClaim } from '../policy/bindings.ts';
import type { ActorType } from '../vocabulary.ts';

/** Who a verified JWT names. Nothing in it comes from a JWT whose signature was not checked. */
export interface Identity {
  readonly issuer: string;
  /** The value of the issuer's `subject` claim. Issuer and subject together own tokens. */
  readonly subject: string;
  readonly label: string | null;
  readonly actorType: Extract<ActorType, 'user' | 'service_account'>;
  /** All verified claims, for bindings to match. They are never stored and never logged. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * What a request knows of the session that it comes through, from the sealed cookie. Each field is named as its column, with which it
 * must agree: a row that was written, altered or swapped by somebody who has D1 alone is no session.
 */
export interface SessionProof {
  readonly id: string;
  readonly actor_type: Identity['actorType'];
  readonly issuer: string;
  readonly subject: string;
  /** In the form in which labels are compared. */
  readonly label: string | null;
  readonly started_at: number;
  readonly ends_at: number;
  /** The MACs of a session that was last used in one of the last minutes. */
  readonly macs: readonly string[];
}

/** The identity that verified claims give under a policy. Its errors are those of `readSubject`. */
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
 * Reads the subject. It owns tokens, so it is taken whole and unchanged or not at all: cutting or cleaning it could make two
 * callers one.
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
    // With an invisible character it would look like another subject in the trail.
    !containsInvisible(subject) &&
    byteLength(subject) <= ACTOR_SUBJECT_MAX_BYTES &&
    // It will be stored, and redaction would change it.
    !containsSecret(subject);
  return acceptable ? ok(subject) : err('claim_malformed');
}

/**
 * Reads the label in a form that is fit to be shown; null where the claim is no text. It is kept whole, since offboarding names it
 * whole; the trail shows the beginning of a long one.
 */
function readLabel(claim: unknown): string | null {
  const label = textOf(claim);
  if (label === null || label === '') return null;
  return redact(replaceControls(label.toWellFormed()));
}

/** A string, or the text of a whole number that a double holds exactly; null for anything else. */
function textOf(claim: unknown): string | null {
  if (typeof claim === 'number') return Number.isSafeInteger(claim) ? String(claim) : null;
  return typeof claim === 'string' ? claim : null;
}
