import * as z from 'zod';
import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  JWT_MAX_BYTES,
  WEBHOOK_TOKENS_MAX_COUNT,
} from '../src/config/limits.ts';
import { FORMS } from '../src/revocation/senders/standard.ts';
import { ID_PATTERN } from './bodies.ts';
import { component, say } from './schema.ts';

// The payloads of webhooks. Those that order something are made of the very schemas that validate them; the types of these schemas do
// not show their fields, so the fields are looked up by name.

type Form = (typeof FORMS)[keyof typeof FORMS]['withIt'];

/** The schema that reads the input, before what it read is turned into something else. */
const inputOf = (schema: unknown): unknown => (schema instanceof z.ZodPipe ? inputOf(schema.in) : schema);

function field(schema: unknown, name: string): z.ZodType {
  const object = inputOf(schema);
  const found: unknown = object instanceof z.ZodObject ? object.shape[name] : undefined;
  if (!(found instanceof z.ZodType)) throw new TypeError(`This schema has no field "${name}".`);
  return found;
}

/** The schema of the items of a list. */
function itemOf(schema: unknown): unknown {
  const list = inputOf(schema);
  return list instanceof z.ZodArray ? list.element : undefined;
}

/** What a field holds that may be left out. */
function valueOf(schema: unknown): z.ZodType {
  const inner = inputOf(schema);
  if (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable) return valueOf(inner.unwrap());
  if (schema instanceof z.ZodType) return schema;
  throw new TypeError('This is no schema.');
}

const dataOf = (form: Form): z.ZodType => field(form, 'data');

function sayField(data: unknown, name: string, description: string, keywords = {}): void {
  say(valueOf(field(data, name)), description, keywords);
}

const payload = (type: string, ...data: readonly [z.ZodType, z.ZodType]) =>
  z.object({ type: z.literal(type), data: z.union(data) });

const { 'token.revoke': revoke, 'subject.offboarded': offboarded, 'subject.reinstated': reinstated } = FORMS;

const listed = field(dataOf(revoke.withIt), 'tokens');
say(listed, 'The tokens to revoke.', { maxItems: WEBHOOK_TOKENS_MAX_COUNT });
for (const named of [itemOf(listed), dataOf(revoke.without)]) {
  sayField(named, 'token_id', 'The id of the token.', { pattern: ID_PATTERN });
  sayField(named, 'workspace_uuid', 'Its workspace. It is needed where the inventory lacks the token.', {
    pattern: ID_PATTERN,
  });
}
for (const data of [dataOf(offboarded.without), dataOf(reinstated.without)]) {
  sayField(data, 'issuer', 'The issuer of the JWTs of whom it is about.', {
    minLength: 1,
    maxLength: ACTOR_ISSUER_MAX_BYTES,
    format: 'stored-text',
  });
  sayField(data, 'subject', 'The claim that owns tokens.', {
    minLength: 1,
    maxLength: ACTOR_SUBJECT_MAX_BYTES,
    format: 'stored-text',
  });
}
for (const data of [dataOf(offboarded.withIt), dataOf(reinstated.withIt)]) {
  sayField(data, 'label', 'Everybody who carries this label, such as an e-mail address.', {
    minLength: 1,
    maxLength: JWT_MAX_BYTES,
    format: 'stored-text',
  });
}
for (const data of [dataOf(offboarded.withIt), dataOf(offboarded.without)]) {
  sayField(data, 'mode', 'What becomes of their tokens. Default: `revoke`.');
  sayField(data, 'former', 'With a label: whether those are meant too who carried it before. Default: `false`.');
}
/** Without this a body of both forms at once would pass for one of the second form, which ignores the field of the first. */
const otherForm = (form: Form, other: string): void =>
  void say(dataOf(form), `In place of \`${other}\`.`, {
    not: { required: [other], properties: { [other]: { not: { type: 'null' } } } },
  });
otherForm(revoke.without, revoke.field);
otherForm(offboarded.without, offboarded.field);
otherForm(reinstated.without, reinstated.field);

const tokenRevoke = component(
  'TokenRevoke',
  payload('token.revoke', dataOf(revoke.withIt), dataOf(revoke.without)),
  'Revokes tokens. Fields that are not named here are ignored.',
);
const subjectOffboarded = component(
  'SubjectOffboarded',
  payload('subject.offboarded', dataOf(offboarded.withIt), dataOf(offboarded.without)),
  'Somebody leaves: every token that they own is revoked or suspended, and they are refused everything.',
);
const subjectReinstated = component(
  'SubjectReinstated',
  payload('subject.reinstated', dataOf(reinstated.withIt), dataOf(reinstated.without)),
  'Lifts an offboarding.',
);

// A leak is read one item at a time and is never refused, so no schema validates it.
const leak = component(
  'Leak',
  z.object({
    token: say(z.string(), 'The secret, or the text in which it was found.').optional(),
    sha256: say(z.string().regex(/^[0-9a-fA-F]{64}$/), 'The SHA-256 of the secret, in its place.').optional(),
    url: say(z.string(), 'Where it was found.').optional(),
    type: say(z.string(), 'What the scanner calls this kind of secret.').optional(),
  }),
  'A secret that was seen where it should not be: `token` or `sha256`.',
);
const tokenLeaked = component(
  'TokenLeaked',
  z.object({
    type: z.literal('token.leaked'),
    data: z.union([z.object({ tokens: z.array(leak).max(WEBHOOK_TOKENS_MAX_COUNT) }), leak]),
  }),
  'Revokes the tokens that have these secrets. An item that cannot be read keeps no other from being acted on.',
);
const gitHubReport = component('GitHubReport', z.array(leak), "A report of GitHub's secret scanning partner program.");

export const event = component(
  'WebhookEvent',
  z.union([tokenRevoke, tokenLeaked, subjectOffboarded, subjectReinstated, gitHubReport]),
  'What a sender sends.',
);
