import * as z from 'zod';
import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  JWT_MAX_BYTES,
  WEBHOOK_PROBLEMS_MAX_COUNT,
  WEBHOOK_TOKENS_MAX_COUNT,
} from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { byteLength } from '../../kit/bytes.ts';
import { isTokenId, parseWorkspaceUuid, WORKSPACE_FORM } from '../../kit/ids.ts';
import { isObject } from '../../kit/json.ts';
import { createProblems } from '../../kit/problems.ts';
import { containsSecret } from '../../kit/redaction.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { itemsIn, readLeaks } from './leaks.ts';
import type { NamedToken, Order, SubjectRef } from './sender.ts';
import { REVOCATION_MODES, type WebhookEvent } from '../../vocabulary.ts';

/** An object with these fields. Others are passed over: they say nothing about what is ordered. */
const object = <Shape extends z.core.$ZodShape>(shape: Shape) =>
  z.object(shape, { error: (issue) => given(issue, 'Use an object.') });

/** A list that is not empty. */
const list = <Item extends z.ZodType>(item: Item) =>
  z.array(item, { error: (issue) => given(issue, 'Use a list.') }).min(1, 'Name at least one.');

const text = () => z.string({ error: (issue) => given(issue, 'Use text.') });

/** Text that is stored, and compared with what is. */
const storedText = (maxBytes: number) =>
  text()
    .refine((value) => value !== '', 'Use text that is not empty.')
    .refine((value) => byteLength(value) <= maxBytes, `Use at most ${maxBytes} bytes of UTF-8.`)
    .refine((value) => value.isWellFormed(), 'Use well-formed Unicode, without lone surrogates.')
    .refine((value) => !containsSecret(value), 'Leave out what looks like a token or a JWT: this text is stored.');

/** Absent, or null as many serialisers write it: null. */
const optional = <Value extends z.ZodType>(value: Value) => value.nullish().transform((read) => read ?? null);

/** A field that would order something else than the others do: absent, or null. */
const leftOut = (message: string) => z.null({ error: message }).optional();

/**
 * Reads what a sender sent. Fails with `invalid_request`, naming each field by its path, such as `data.tokens[3].sha256`;
 * `body` is the whole. No message quotes a value or a name that is not ours.
 */
function readFields<S extends z.ZodType>(schema: S, value: unknown): Result<z.output<S>, RequestFailure> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return ok(parsed.data);
  const problems = createProblems();
  const named = new Set<string>();
  for (const { path, message } of parsed.error.issues) {
    const field = pathText(path);
    if (named.size === WEBHOOK_PROBLEMS_MAX_COUNT && !named.has(field)) break;
    named.add(field);
    problems.misunderstood(field, message);
  }
  return err(problems.failure());
}

const given = ({ input }: { readonly input?: unknown }, message: string): string =>
  input === undefined ? 'Give this field.' : message;

const pathText = (path: readonly PropertyKey[]): string =>
  path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '') || 'body';

// `{"type", "data"}`, as Standard Webhooks recommends. What orders something must be certain; the rest is passed over.

const orderIn = (data: z.ZodType<Order>) => object({ data }).transform((payload) => payload.data);

const namedTokenFields = {
  token_id: text().refine(isTokenId, 'Use the id of a token.'),
  workspace_uuid: optional(
    text().refine((id) => parseWorkspaceUuid(id) !== null, `Use the id of a workspace: ${WORKSPACE_FORM}.`),
  ),
};
const named = ({ token_id: tokenId, workspace_uuid: spelled }: { token_id: string; workspace_uuid: string | null }) => {
  const workspaceUuid = spelled === null ? null : parseWorkspaceUuid(spelled);
  return {
    tokenId,
    workspaceUuid,
    ...(spelled !== null && spelled !== workspaceUuid && { workspaceSpelled: spelled }),
  };
};
const revoke = (tokens: readonly NamedToken[]): Order => ({ event: 'token.revoke', tokens });
const besideTokens = leftOut('Leave this out, or name the token in "tokens" as well.');

const owner = {
  issuer: storedText(ACTOR_ISSUER_MAX_BYTES),
  subject: storedText(ACTOR_SUBJECT_MAX_BYTES),
};
/** A label comes from a JWT, and is stored by a part of it and by its digest. */
const labelled = { label: storedText(JWT_MAX_BYTES) };
const besideLabel = { issuer: leftOut('Leave this out, or "label".'), subject: leftOut('Leave this out, or "label".') };
const mode = optional(z.enum(REVOCATION_MODES, `Use ${REVOCATION_MODES.map((name) => `"${name}"`).join(' or ')}.`));
const former = optional(z.boolean('Use true or false.'));
const formerOfOwner = optional(z.literal(false, 'Leave this out: it goes with "label".'));

const only = (subject: SubjectRef): SubjectRef =>
  'label' in subject ? { label: subject.label } : { issuer: subject.issuer, subject: subject.subject };
const offboarded = (
  fields: SubjectRef & { mode: (typeof REVOCATION_MODES)[number] | null; former: boolean | null },
): Order => ({
  event: 'subject.offboarded',
  subject: only(fields),
  mode: fields.mode ?? 'revoke',
  former: fields.former ?? false,
});
const reinstated = (subject: SubjectRef): Order => ({ event: 'subject.reinstated', subject: only(subject) });

/** The two forms of an event: with the field that tells them apart, and without. */
interface Forms {
  readonly field: 'tokens' | 'label';
  readonly withIt: z.ZodType<Order>;
  readonly without: z.ZodType<Order>;
}

const FORMS: Readonly<Record<Exclude<WebhookEvent, 'token.leaked'>, Forms>> = {
  'token.revoke': {
    field: 'tokens',
    withIt: orderIn(
      object({
        tokens: list(object(namedTokenFields)),
        token_id: besideTokens,
        workspace_uuid: besideTokens,
      }).transform(({ tokens }) => revoke(tokens.map(named))),
    ),
    without: orderIn(object(namedTokenFields).transform((token) => revoke([named(token)]))),
  },
  'subject.offboarded': {
    field: 'label',
    withIt: orderIn(
      object({ ...labelled, ...besideLabel, mode, former }).transform(({ label, mode: how, former: also }) =>
        offboarded({ label, mode: how, former: also }),
      ),
    ),
    without: orderIn(object({ ...owner, mode, former: formerOfOwner }).transform(offboarded)),
  },
  'subject.reinstated': {
    field: 'label',
    withIt: orderIn(object({ ...labelled, ...besideLabel }).transform(({ label }) => reinstated({ label }))),
    without: orderIn(object(owner).transform(reinstated)),
  },
};

/**
 * Reads what a payload orders. A leak is never refused.
 *
 * Errors: `too_many_tokens`; `invalid_request` naming every field that is missing or not what it must be.
 */
export function readOrder(event: WebhookEvent, payload: Record<string, unknown>): Result<Order, RequestFailure> {
  const data = payload['data'] ?? null;
  // Some senders put their fields beside the type.
  if (event === 'token.leaked') return ok(readLeaks(itemsIn(data ?? payload)));
  const { field, withIt, without } = FORMS[event];
  const value = isObject(data) && Object.hasOwn(data, field) ? (data[field] ?? null) : null;
  if (field === 'tokens' && Array.isArray(value) && value.length > WEBHOOK_TOKENS_MAX_COUNT) {
    return err({ kind: 'too_many_tokens', maxCount: WEBHOOK_TOKENS_MAX_COUNT });
  }
  return readFields(value === null ? without : withIt, payload);
}
