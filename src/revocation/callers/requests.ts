import * as z from 'zod';
import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  JWT_MAX_BYTES,
  REVOCATION_REASON_MAX_BYTES,
  WEBHOOK_TOKENS_MAX_COUNT,
} from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { byteLength } from '../../kit/bytes.ts';
import { isTokenId, parseWorkspaceUuid, WORKSPACE_FORM } from '../../kit/ids.ts';
import { isObject } from '../../kit/json.ts';
import { createProblems, type Problems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { containsControls } from '../../kit/text.ts';
import { readFields, tokenDescription } from '../../tokens/fields.ts';
import { REVOCATION_MODES, type RevocationMode } from '../../vocabulary.ts';
import { storedText } from '../senders/standard.ts';
import type { SubjectRef } from '../senders/sender.ts';

// What a caller orders, and how it is read from a body.

/** What a caller orders. Each says why. */
export type CallerOrder =
  | {
      readonly event: 'token.revoke';
      readonly workspaceUuid: string;
      /** Each once. */
      readonly tokenIds: readonly string[];
      readonly reason: string;
    }
  | {
      readonly event: 'subject.offboarded';
      readonly subject: SubjectRef;
      readonly mode: RevocationMode;
      readonly reason: string;
    }
  | { readonly event: 'subject.reinstated'; readonly subject: SubjectRef; readonly reason: string };

export const tokenIds = z
  .array(z.string('Use text.').refine(isTokenId, 'Use the id of a token.'), 'Use a list of ids of tokens.')
  .min(1, 'Name at least one token.');

/** It stands in a row of the trail, which has room for so much of it as JSON writes it. */
export const reason = tokenDescription
  .refine((text) => text.trim() !== '', 'Say why.')
  .refine(
    (text) => byteLength(JSON.stringify(text)) - QUOTES <= REVOCATION_REASON_MAX_BYTES,
    `Use at most ${REVOCATION_REASON_MAX_BYTES} bytes of UTF-8, where a quote, a backslash and a line break are two.`,
  );
const QUOTES = 2;

/** Text that stands in the trail and names somebody there. */
const named = (maxBytes: number) =>
  storedText(maxBytes).refine((text) => !containsControls(text), 'Leave out control characters and line breaks.');

export const subjectFields = z
  .object({
    issuer: named(ACTOR_ISSUER_MAX_BYTES),
    subject: named(ACTOR_SUBJECT_MAX_BYTES),
    label: named(JWT_MAX_BYTES),
  })
  .partial();

const subject = z.custom<Readonly<Record<string, unknown>>>(
  isObject,
  'Use an object with "issuer" and "subject", or with "label".',
);

export const revocationFields = z
  .object({
    workspace_uuid: z.string('Use text.'),
    token_ids: tokenIds,
    subject,
    mode: z.enum(REVOCATION_MODES, `Use ${REVOCATION_MODES.map((name) => `"${name}"`).join(' or ')}.`),
    reason,
  })
  .partial();

export const reinstatementFields = z.object({ subject, reason }).partial();

type Body = Readonly<Record<string, unknown>>;

/**
 * Reads a revocation: of tokens of one workspace, or of a subject.
 *
 * Fails with `too_many_tokens`; with `invalid_request` for unknown fields, and fields that contradict each other; otherwise with
 * `validation_failed`. The last two name every problem.
 */
export function parseRevocation(body: Body): Result<CallerOrder, RequestFailure> {
  const { token_ids: ids } = body;
  if (Array.isArray(ids) && ids.length > WEBHOOK_TOKENS_MAX_COUNT) {
    return err({ kind: 'too_many_tokens', maxCount: WEBHOOK_TOKENS_MAX_COUNT });
  }
  const problems = createProblems();
  const fields = readFields(body, revocationFields, problems);
  const why = requireReason(fields.reason, problems);
  const isGiven = (name: string): boolean => (body[name] ?? null) !== null;
  if (isGiven('subject')) {
    for (const name of ['token_ids', 'workspace_uuid'].filter(isGiven)) {
      problems.misunderstood(name, 'Leave this out, or "subject": somebody is offboarded in all workspaces.');
    }
    const who = readSubject(fields.subject, problems);
    if (problems.any() || who === null) return err(problems.failure());
    return ok({ event: 'subject.offboarded', subject: who, mode: fields.mode ?? 'revoke', reason: why });
  }
  if (isGiven('mode')) problems.misunderstood('mode', 'Leave this out: it goes with "subject". Tokens are revoked.');
  if (!isGiven('token_ids')) {
    problems.unacceptable('token_ids', 'Name tokens, with "workspace_uuid"; or a "subject".');
  }
  const workspaceUuid = readWorkspace(fields.workspace_uuid, problems);
  if (problems.any() || workspaceUuid === null) return err(problems.failure());
  return ok({ event: 'token.revoke', workspaceUuid, tokenIds: [...new Set(fields.token_ids)], reason: why });
}

/** Reads a reinstatement. Fails as `parseRevocation` does. */
export function parseReinstatement(body: Body): Result<CallerOrder, RequestFailure> {
  const problems = createProblems();
  const fields = readFields(body, reinstatementFields, problems);
  const why = requireReason(fields.reason, problems);
  const who = readSubject(fields.subject, problems);
  if (problems.any() || who === null) return err(problems.failure());
  return ok({ event: 'subject.reinstated', subject: who, reason: why });
}

function requireReason(text: string | undefined, problems: Problems): string {
  if (text === undefined && !problems.has('reason')) {
    problems.unacceptable('reason', 'Say why, in one sentence: it stands in the trail.');
  }
  return text ?? '';
}

/** A workspace that is missing is as misunderstood as one that is malformed, as on the other routes. */
function readWorkspace(text: string | undefined, problems: Problems): string | null {
  const workspaceUuid = text === undefined ? null : parseWorkspaceUuid(text);
  if (workspaceUuid === null && !problems.has('workspace_uuid')) {
    problems.misunderstood('workspace_uuid', `Name the workspace of these tokens: ${WORKSPACE_FORM}.`);
  }
  return workspaceUuid;
}

function readSubject(value: Body | undefined, problems: Problems): SubjectRef | null {
  if (value === undefined) {
    if (!problems.has('subject')) {
      problems.unacceptable('subject', 'Name somebody: "issuer" and "subject", or "label".');
    }
    return null;
  }
  const fields = readFields(value, subjectFields, problems, 'subject.');
  const isGiven = (name: string): boolean => (value[name] ?? null) !== null;
  if (isGiven('label')) {
    for (const name of ['issuer', 'subject'].filter(isGiven)) {
      problems.misunderstood(`subject.${name}`, 'Leave this out, or "label".');
    }
    return fields.label === undefined ? null : { label: fields.label };
  }
  for (const name of ['issuer', 'subject'].filter((one) => !isGiven(one))) {
    problems.unacceptable(`subject.${name}`, 'Give this field; or "label" in place of "issuer" and "subject".');
  }
  return fields.issuer === undefined || fields.subject === undefined
    ? null
    : { issuer: fields.issuer, subject: fields.subject };
}
