import type { Identity } from './types.ts';
import type { IssuerPolicy } from '../config/issuer-policy.ts';
import type { TokenRejection } from '../failures.ts';
import { ACTOR_SUBJECT_MAX_BYTES } from '../config/limits.ts';
import { byteLength } from '../kit/caps.ts';
import { replaceControls } from '../kit/control-characters.ts';
import { containsInvisible } from '../kit/invisible-characters.ts';
import { containsSecret, redact } from '../kit/redaction.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { readClaim } from '../policy/claims.ts';

/** What would break a line of a log or of a terminal. */
const CONTROL_CHARACTERS = /[\p{Cc}\p{Zl}\p{Zp}]/u;

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
    !CONTROL_CHARACTERS.test(subject) &&
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
