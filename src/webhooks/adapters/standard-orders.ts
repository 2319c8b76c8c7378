import * as z from 'zod';
import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  JWT_MAX_BYTES,
  LEAK_SECRET_MAX_CHARS,
  LEAK_TYPE_MAX_CHARS,
  LEAK_URL_MAX_CHARS,
  WEBHOOK_TOKENS_MAX_COUNT,
} from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { isObject } from '../../json.ts';
import { isTokenId, isWorkspaceUuid } from '../../pipeops/ids.ts';
import { err, type Result } from '../../result.ts';
import { parseTimeMs } from '../../times.ts';
import { REVOCATION_MODES, type RevocationMode, type WebhookEvent } from '../../vocabulary.ts';
import type { Leak, NamedToken, Order, SubjectRef } from '../adapter.ts';
import { list, object, optional, readFields, storedText, text } from './fields.ts';

/** `{"type", "timestamp"?, "data"}`, as Standard Webhooks recommends. */
const orderIn = (data: z.ZodType<Order>) =>
  object({
    type: text(),
    timestamp: optional(
      text().refine((time) => parseTimeMs(time) !== null, 'Use a time in RFC 3339, such as "2030-01-31T12:00:00Z".'),
    ),
    data,
  }).transform((payload) => payload.data);

const namedTokenFields = {
  token_id: text().refine(isTokenId, 'Use the id of a token.'),
  workspace_uuid: optional(text().refine(isWorkspaceUuid, 'Use the UUID of a workspace.')),
};
/** For people who read the sender's side: it is not kept. */
const reason = optional(text());
const named = (fields: { token_id: string; workspace_uuid: string | null }): NamedToken => ({
  tokenId: fields.token_id,
  workspaceUuid: fields.workspace_uuid,
});
const revoke = (tokens: readonly NamedToken[]): Order => ({ event: 'token.revoke', tokens });

const textUpTo = (maxChars: number) => text().max(maxChars, `Use at most ${maxChars} characters.`);
const leak = object({
  token: optional(textUpTo(LEAK_SECRET_MAX_CHARS).min(1, 'Use text that is not empty.')),
  sha256: optional(text().regex(/^[0-9a-f]{64}$/i, 'Use the 64 hex digits of a SHA-256.')),
  url: optional(textUpTo(LEAK_URL_MAX_CHARS)),
  type: optional(textUpTo(LEAK_TYPE_MAX_CHARS)),
}).transform(({ token, sha256, url, type }, context): Leak => {
  const seen = { location: url, type };
  if (token !== null && sha256 === null) return { ...seen, secret: token };
  if (token === null && sha256 !== null) return { ...seen, sha256: sha256.toLowerCase() };
  context.addIssue({ code: 'custom', message: 'Give "token" or "sha256", one of them.' });
  return z.NEVER;
});
const leaked = (leaks: readonly Leak[]): Order => ({ event: 'token.leaked', leaks });

const owner = {
  issuer: storedText(ACTOR_ISSUER_MAX_BYTES),
  subject: storedText(ACTOR_SUBJECT_MAX_BYTES),
};
/** A label has the length that a JWT allows. */
const labelled = { label: storedText(JWT_MAX_BYTES) };
const former = optional(z.boolean('Use true or false.'));
const mode = optional(z.enum(REVOCATION_MODES, `Use ${REVOCATION_MODES.map((name) => `"${name}"`).join(' or ')}.`));

const only = (subject: SubjectRef): SubjectRef =>
  'label' in subject ? { label: subject.label } : { issuer: subject.issuer, subject: subject.subject };
const offboarded = (
  subject: SubjectRef,
  wanted: { readonly mode: RevocationMode | null; readonly former?: boolean | null },
): Order => ({
  event: 'subject.offboarded',
  subject: only(subject),
  mode: wanted.mode ?? 'revoke',
  former: wanted.former ?? false,
});
const reinstated = (subject: SubjectRef): Order => ({ event: 'subject.reinstated', subject });

/** The two forms of an event: with the field that tells them apart, and without. */
interface Forms {
  readonly field: 'tokens' | 'label';
  readonly withIt: z.ZodType<Order>;
  readonly without: z.ZodType<Order>;
}

const FORMS: Readonly<Record<WebhookEvent, Forms>> = {
  'token.revoke': {
    field: 'tokens',
    withIt: orderIn(
      object({ tokens: list(object(namedTokenFields)), reason }).transform(({ tokens }) => revoke(tokens.map(named))),
    ),
    without: orderIn(object({ ...namedTokenFields, reason }).transform((token) => revoke([named(token)]))),
  },
  'token.leaked': {
    field: 'tokens',
    withIt: orderIn(object({ tokens: list(leak) }).transform(({ tokens }) => leaked(tokens))),
    without: orderIn(leak.transform((one) => leaked([one]))),
  },
  'subject.offboarded': {
    field: 'label',
    withIt: orderIn(object({ ...labelled, mode, former }).transform((fields) => offboarded(fields, fields))),
    without: orderIn(object({ ...owner, mode }).transform((fields) => offboarded(fields, fields))),
  },
  'subject.reinstated': {
    field: 'label',
    withIt: orderIn(object(labelled).transform(reinstated)),
    without: orderIn(object(owner).transform(reinstated)),
  },
};

/**
 * Reads what a payload orders.
 *
 * Errors: `too_many_tokens`; `invalid_request` naming every field that is unknown, missing or not what it must be.
 */
export function readOrder(event: WebhookEvent, payload: Record<string, unknown>): Result<Order, RequestFailure> {
  const { field, withIt, without } = FORMS[event];
  const data = payload['data'];
  const value = isObject(data) && Object.hasOwn(data, field) ? data[field] : undefined;
  if (field === 'tokens' && Array.isArray(value) && value.length > WEBHOOK_TOKENS_MAX_COUNT) {
    return err({ kind: 'too_many_tokens', maxCount: WEBHOOK_TOKENS_MAX_COUNT });
  }
  return readFields(value === undefined ? without : withIt, payload);
}
