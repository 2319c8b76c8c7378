import { Webhook } from 'standardwebhooks';
import * as z from 'zod';
import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  JWT_MAX_BYTES,
  STANDARD_WEBHOOKS_TOLERANCE_SECONDS,
  WEBHOOK_PROBLEMS_MAX_COUNT,
  WEBHOOK_TOKENS_MAX_COUNT,
} from '../../config/limits.ts';
import type { RequestFailure, SignatureRejection } from '../../failures.ts';
import { byteLength } from '../../kit/bytes.ts';
import { isTokenId, parseWorkspaceUuid, WORKSPACE_FORM } from '../../kit/ids.ts';
import { isObject } from '../../kit/json.ts';
import { createProblems } from '../../kit/problems.ts';
import { containsSecret } from '../../kit/redaction.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { REVOCATION_MODES, WEBHOOK_EVENTS, type WebhookEvent } from '../../vocabulary.ts';
import { itemsIn, parsePayload, readLeaks, textOf } from './leaks.ts';
import type { AdapterKind, Message, NamedToken, Instruction, SubjectRef } from './sender.ts';

/** Standard Webhooks (standardwebhooks.com): HMAC over id, time and body, by the package of the same name. */
export const standard: AdapterKind<'standard'> = ({ secrets }, { secret, runtime }) => {
  const keys = secrets.map((name) => new Webhook(secret(name)));
  return {
    receive: async ({ headers, body }) => {
      const text = textOf(body);
      if (text === null) return rejected('body_unreadable');
      const signed = signatureHeaders(headers);
      if (signed === null) return rejected('signature_missing');
      const reason = signatureProblem(signed, text, keys, runtime.now());
      if (reason !== null) return rejected(reason);
      return ok(messageIn(text, signed.id));
    },
  };
};

const rejected = (reason: SignatureRejection) => err({ kind: 'signature_rejected', reason } as const);

function messageIn(text: string, senderId: string | null): Message {
  const parsed = parsePayload(text);
  if (!parsed.ok) return unreadable(senderId, parsed.error);
  const payload = parsed.value;
  if (!isObject(payload)) return unreadable(senderId, { kind: 'invalid_json' });
  const type = Object.hasOwn(payload, 'type') ? payload['type'] : undefined;
  if (typeof type !== 'string' || type === '') {
    return unreadable(senderId, {
      kind: 'invalid_request',
      errors: { type: [`Name the event. Known: ${WEBHOOK_EVENTS.join(', ')}.`] },
    });
  }
  const event = WEBHOOK_EVENTS.find((known) => known === type) ?? null;
  return {
    senderId,
    unreadable: null,
    eventName: type,
    event,
    read: () => {
      if (event === null) throw new TypeError('An event that is not known orders nothing.');
      return readInstruction(event, payload);
    },
    feedback: noFeedback,
  };
}

const unreadable = (senderId: string | null, failure: RequestFailure): Message => ({
  senderId,
  unreadable: failure,
  eventName: '',
  event: null,
  read: () => err(failure),
  feedback: noFeedback,
});

/** Nothing tells a sender whether a secret is one of ours. */
const noFeedback = async (): Promise<null> => await Promise.resolve(null);

/** What a delivery was signed with, and over besides its body. None of it is empty. */
interface SignatureHeaders {
  readonly id: string;
  readonly timestamp: string;
  readonly signature: string;
}

/**
 * The headers of a delivery: `webhook-id`, `webhook-timestamp` and `webhook-signature`, or the same with `svix-`, which some
 * libraries send instead. The first complete set counts, and parts of two sets are never put together. Null if none is complete.
 */
function signatureHeaders(headers: Headers): SignatureHeaders | null {
  for (const prefix of ['webhook', 'svix']) {
    const [id = '', timestamp = '', signature = ''] = ['id', 'timestamp', 'signature'].map(
      (name) => headers.get(`${prefix}-${name}`) ?? '',
    );
    if (id !== '' && timestamp !== '' && signature !== '') return { id, timestamp, signature };
  }
  return null;
}

/**
 * What is wrong with the signature of a delivery, or null if one of `keys` made it over these headers and this text.
 *
 * The package judges the time as well, by the machine's clock. `nowMs` only tells why it refused.
 */
function signatureProblem(
  { id, timestamp, signature }: SignatureHeaders,
  body: string,
  keys: readonly Webhook[],
  nowMs: number,
): SignatureRejection | null {
  // The package would read "12abc" as 12.
  if (!/^\d{1,12}$/.test(timestamp)) return 'signature_malformed';
  const given = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature };
  if (keys.some((key) => verifies(key, body, given))) return null;

  const ageSeconds = Math.floor(nowMs / 1000) - Number(timestamp);
  if (ageSeconds > STANDARD_WEBHOOKS_TOLERANCE_SECONDS) return 'timestamp_stale';
  if (-ageSeconds > STANDARD_WEBHOOKS_TOLERANCE_SECONDS) return 'timestamp_future';
  return 'signature_invalid';
}

function verifies(key: Webhook, body: string, headers: Record<string, string>): boolean {
  try {
    key.verify(body, headers, { jsonParse: false });
    return true;
  } catch {
    return false;
  }
}

/**
 * Reads what a payload orders. A leak is never refused.
 *
 * Errors: `too_many_tokens`; `invalid_request` naming every field that is missing or not what it must be.
 */
function readInstruction(event: WebhookEvent, payload: Record<string, unknown>): Result<Instruction, RequestFailure> {
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

/** An object with these fields. Other fields are ignored: they say nothing about what is ordered. */
const object = <Shape extends z.core.$ZodShape>(shape: Shape) =>
  z.object(shape, { error: (issue) => given(issue, 'Use an object.') });

/** A list that is not empty. */
const list = <Item extends z.ZodType>(item: Item) =>
  z.array(item, { error: (issue) => given(issue, 'Use a list.') }).min(1, 'Name at least one.');

const text = () => z.string({ error: (issue) => given(issue, 'Use text.') });

/** Text that is stored, and compared with stored text. */
export const storedText = (maxBytes: number) =>
  text()
    .refine((value) => value !== '', 'Use text that is not empty.')
    .refine((value) => byteLength(value) <= maxBytes, `Use at most ${maxBytes} bytes of UTF-8.`)
    .refine((value) => value.isWellFormed(), 'Use well-formed Unicode, without lone surrogates.')
    .refine((value) => !containsSecret(value), 'Leave out what looks like a token or a JWT: this text is stored.');

/** A field that may be absent, or null as many serialisers write that. Both are read as null. */
const optional = <Value extends z.ZodType>(value: Value) => value.nullish().transform((read) => read ?? null);

/** A field that must be absent or null, since it would order something else than the others do. */
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

// The payload is `{"type", "data"}`, as Standard Webhooks recommends. What orders something must be certain; the rest is ignored.

const instructionIn = (data: z.ZodType<Instruction>) => object({ data }).transform((payload) => payload.data);

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
const revoke = (tokens: readonly NamedToken[]): Instruction => ({ event: 'token.revoke', tokens });
const besideTokens = leftOut('Leave this out, or name the token in "tokens" as well.');

const owner = {
  issuer: storedText(ACTOR_ISSUER_MAX_BYTES),
  subject: storedText(ACTOR_SUBJECT_MAX_BYTES),
};
/** A label comes from a JWT. A part of it and its digest are stored. */
const labelled = { label: storedText(JWT_MAX_BYTES) };
const besideLabel = { issuer: leftOut('Leave this out, or "label".'), subject: leftOut('Leave this out, or "label".') };
const mode = optional(z.enum(REVOCATION_MODES, `Use ${REVOCATION_MODES.map((name) => `"${name}"`).join(' or ')}.`));
const former = optional(z.boolean('Use true or false.'));
const formerOfOwner = optional(z.literal(false, 'Leave this out: it goes with "label".'));

const only = (subject: SubjectRef): SubjectRef =>
  'label' in subject ? { label: subject.label } : { issuer: subject.issuer, subject: subject.subject };
const offboarded = (
  fields: SubjectRef & { mode: (typeof REVOCATION_MODES)[number] | null; former: boolean | null },
): Instruction => ({
  event: 'subject.offboarded',
  subject: only(fields),
  mode: fields.mode ?? 'revoke',
  former: fields.former ?? false,
});
const reinstated = (subject: SubjectRef): Instruction => ({ event: 'subject.reinstated', subject: only(subject) });

/** The two forms of an event: with the field that tells them apart, and without. */
interface Forms {
  readonly field: 'tokens' | 'label';
  readonly withIt: z.ZodType<Instruction>;
  readonly without: z.ZodType<Instruction>;
}

export const FORMS: Readonly<Record<Exclude<WebhookEvent, 'token.leaked'>, Forms>> = {
  'token.revoke': {
    field: 'tokens',
    withIt: instructionIn(
      object({
        tokens: list(object(namedTokenFields)),
        token_id: besideTokens,
        workspace_uuid: besideTokens,
      }).transform(({ tokens }) => revoke(tokens.map(named))),
    ),
    without: instructionIn(object(namedTokenFields).transform((token) => revoke([named(token)]))),
  },
  'subject.offboarded': {
    field: 'label',
    withIt: instructionIn(
      object({ ...labelled, ...besideLabel, mode, former }).transform(({ label, mode: how, former: also }) =>
        offboarded({ label, mode: how, former: also }),
      ),
    ),
    without: instructionIn(object({ ...owner, mode, former: formerOfOwner }).transform(offboarded)),
  },
  'subject.reinstated': {
    field: 'label',
    withIt: instructionIn(object({ ...labelled, ...besideLabel }).transform(({ label }) => reinstated({ label }))),
    without: instructionIn(object(owner).transform(reinstated)),
  },
};
