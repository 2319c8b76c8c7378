import { env } from 'cloudflare:workers';
import { expect } from 'vitest';
import { NOTHING_ASKED } from '../support/audit-detail.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import type { TokenRejection } from '../../src/failures.ts';
import type { ErrorCode } from '../../src/vocabulary.ts';
import type { Answer, Harness } from '../support/harness.ts';

// What every refusal has in common, whatever caused it.

/** RFC 6750 §3: no error code for a request without credentials. */
const CHALLENGE = 'Bearer realm="countersign"';
const CHALLENGE_OF: Readonly<Partial<Record<ErrorCode, string>>> = {
  unauthenticated: CHALLENGE,
  invalid_signature: 'Webhook-Signature realm="countersign"',
};

/** What a caller is told of a JWT that its issuer signed, or that is too large to be looked at. Of any other: nothing. */
const TOLD: Readonly<Partial<Record<TokenRejection, RegExp>>> = {
  too_large: /^The JWT has more than 24 KiB\. Have its issuer put less into it/,
  type_not_accepted: /^The JWT is of a type \(typ\) that is no credential here.* Send an access token/,
  audience_mismatch: /^The JWT is for another audience \(aud\)\. Ask its issuer for one/,
  expired: /^The JWT has expired \(exp\)\. Get a fresh one/,
  too_old: /^The JWT was issued too long ago \(iat\).* Get a fresh one/,
  not_yet_valid: /^The JWT is not valid yet\. Try again shortly/,
  issued_in_future: /^The JWT is not valid yet\. Try again shortly/,
  claim_missing: /^The JWT lacks a claim.* Have its issuer give it iat, exp, aud and a subject\./,
  claim_malformed: /^The JWT lacks a claim.* Have its issuer give it iat, exp, aud and a subject\./,
  subject_empty: /^The JWT lacks a claim.* Have its issuer give it iat, exp, aud and a subject\./,
};

export interface Refusal {
  readonly status: number;
  readonly code: ErrorCode;
  /** Why a JWT is not accepted. */
  readonly reason?: TokenRejection;
  /** The one row that the trail has of it. Null: it is only logged. */
  readonly row: Partial<AuditEventRow> | null;
  /** The fields that `errors` names, and no others. */
  readonly fields?: readonly string[];
}

/** The rows of one request: those that it caused, and the one that its answer names, which alike reads share. */
export const rowsOf = async (answer: Answer): Promise<AuditEventRow[]> => {
  const query = env.DB.prepare('select * from audit_events where request_id = ?1 or id = ?2');
  const ids = [answer.headers.get('X-Request-Id'), answer.headers.get('X-Audit-Event-Id')];
  return (await query.bind(...ids).all<AuditEventRow>()).results;
};

/** Everything that PipeOps received from this service, in whichever workspace. */
export const receivedBy = async (harness: Harness) =>
  await harness.control.requests({ credential: harness.credential });

/** Sends a request of which PipeOps must not hear. */
export async function withoutUpstream(harness: Harness, send: () => Promise<Answer>): Promise<Answer> {
  await harness.control.clearRequests({ credential: harness.credential });
  const answer = await send();
  expect(await receivedBy(harness), 'what PipeOps received').toEqual([]);
  return answer;
}

/** Sends a request that must be refused as given, without PipeOps hearing of it; gives the answer. */
export async function expectRefused(harness: Harness, send: () => Promise<Answer>, refusal: Refusal): Promise<Answer> {
  const answer = await withoutUpstream(harness, send);
  await expectRefusal(answer, refusal);
  return answer;
}

/** The whole answer of a refusal: status, code, envelope, headers, row. */
export async function expectRefusal(answer: Answer, refusal: Refusal): Promise<void> {
  const { status, code, row, fields, reason } = refusal;
  expect({ status: answer.status, code: answer.body?.code }).toEqual({ status, code });
  const { event_id: eventId, errors, ...envelope } = answer.body;
  expect(envelope).toEqual({
    success: false,
    status: 'error',
    message: expect.stringMatching(/^\S.{10,}$/),
    code,
    request_id: answer.headers.get('X-Request-Id'),
    help: `/docs/errors#${code}`,
  });
  expect(eventId ?? null).toBe(answer.headers.get('X-Audit-Event-Id'));
  // Well-formed, since the test runner cannot report a lone surrogate.
  const named = Object.keys(errors ?? {}).map((field) => field.toWellFormed());
  expect(named.toSorted()).toEqual([...(fields ?? [])].toSorted());
  if (reason === undefined) expect(answer.headers.get('WWW-Authenticate')).toBe(CHALLENGE_OF[code] ?? null);
  else expectTold(answer, TOLD[reason]);
  expect(answer.headers.get('Access-Control-Allow-Origin')).toBeNull();

  const rows = await rowsOf(answer);
  expect(rows).toEqual(row === null ? [] : [expect.objectContaining({ status: 'failure', error_code: code, ...row })]);
  // A rejected login is recorded in the background, if at all: its answer cannot name the row.
  if (row !== null && row.action !== 'auth.reject') expect(rows[0]?.id).toBe(eventId);
}

/** That the challenge and the message say why a JWT is not accepted, if the caller may hear of it, and what to do. */
function expectTold(answer: Answer, told: RegExp | undefined): void {
  const challenge = answer.headers.get('WWW-Authenticate') ?? '';
  const [, description = ''] =
    /^Bearer realm="countersign", error="invalid_token", error_description="(.*)"$/.exec(challenge) ?? [];
  if (told === undefined) {
    expect([description, answer.body.message]).toEqual([
      'The JWT is not accepted',
      'The JWT is not accepted. Get a fresh one from a configured issuer, for this audience.',
    ]);
    return;
  }
  expect(description).toMatch(told);
  // RFC 6750 §3.
  expect(description).toMatch(/^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/);
  expect(answer.body.message).toBe(description);
}

/** The row of somebody unknown: nothing that the JWT says but an issuer that is configured. */
const rowOfStranger = (reason: TokenRejection | null, issuer: string | null): Partial<AuditEventRow> => ({
  action: 'auth.reject',
  actor_type: 'system',
  actor_issuer: issuer,
  actor_subject: null,
  actor_label: null,
  workspace_uuid: null,
  token_id: null,
  token_name: null,
  upstream_status: null,
  detail: NOTHING_ASKED,
  outcome: JSON.stringify(reason === null ? {} : { reason }),
});

export const UNAUTHENTICATED: Refusal = { status: 401, code: 'unauthenticated', row: rowOfStranger(null, null) };

export const invalidToken = (reason: TokenRejection, issuer: string | null): Refusal => ({
  status: 401,
  code: 'invalid_token',
  reason,
  row: rowOfStranger(reason, issuer),
});

/** A request that is not understood, or not acceptable: it is not in the trail. */
export const badRequest = (code: ErrorCode, fields: readonly string[] = []): Refusal => ({
  status: STATUS_OF[code] ?? 400,
  code,
  row: null,
  fields,
});

const STATUS_OF: Readonly<Partial<Record<ErrorCode, number>>> = {
  not_found: 404,
  method_not_allowed: 405,
  body_too_large: 413,
  too_many_tokens: 413,
  unsupported_media_type: 415,
  validation_failed: 422,
};
