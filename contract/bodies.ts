import type * as z from 'zod';
import { PRESET, SCOPE } from '../src/config/grant-names.ts';
import {
  PRESET_MAX_CHARS,
  SCOPE_MAX_CHARS,
  TOKEN_DESCRIPTION_MAX_BYTES,
  TOKEN_ID_MAX_CHARS,
  TOKEN_NAME_MAX_BYTES,
  TOKEN_TTL_MAX_SECONDS,
} from '../src/config/limits.ts';
import { expiryFields, presetName, scopeList, tokenDescription, tokenName } from '../src/tokens/fields.ts';
import { changedScopes, createFields, metadataFields, rotateFields, updateFields } from '../src/tokens/requests.ts';
import { SECONDS_PER_DAY } from '../src/kit/time.ts';
import { component, requestObject, say } from './schema.ts';

// The bodies of the token routes, made of the very schemas that validate them. zod cannot know what their refinements check, so that is
// said here in words and, where it is a keyword of JSON Schema, as one.

/** The form of an id of a token, and of the usual spelling of a workspace's. */
export const ID_PATTERN = `^[A-Za-z0-9][A-Za-z0-9._~-]{0,${TOKEN_ID_MAX_CHARS - 1}}$`;

const NOT_SHOWN = 'Nothing in it looks like a token secret or a JWT: it is stored.';
const TTL_MAX_DAYS = TOKEN_TTL_MAX_SECONDS / SECONDS_PER_DAY;

say(
  tokenName,
  `The name, which the caller reads again as it was sent: at most ${TOKEN_NAME_MAX_BYTES} bytes of UTF-8, without spaces at its ends, control characters and what nobody sees. ${NOT_SHOWN}`,
  { minLength: 1, maxLength: TOKEN_NAME_MAX_BYTES, format: 'token-name' },
);
say(
  tokenDescription,
  `At most ${TOKEN_DESCRIPTION_MAX_BYTES} bytes of UTF-8, without control characters other than newline and tab, and without what nobody sees. ${NOT_SHOWN}`,
  { maxLength: TOKEN_DESCRIPTION_MAX_BYTES, format: 'token-description' },
);

const { element: scope } = scopeList.in.out;
component('Scope', scope, 'A scope of PipeOps, such as `api:read`. None is a pattern.', {
  pattern: SCOPE.source,
  maxLength: SCOPE_MAX_CHARS,
  examples: ['api:read'],
});
say(scopeList, 'The scopes of the token.', { items: { $ref: '#/components/schemas/Scope' } });
say(changedScopes, 'The scopes that the token then has.', { minItems: 1 });
say(
  presetName,
  "One of PipeOps' named sets of scopes, as the operators configured it. `whoami` shows those that you can use.",
  {
    pattern: PRESET.source,
    maxLength: PRESET_MAX_CHARS,
    examples: ['sandbox'],
  },
);

say(expiryFields.expires_at, `When the token expires, at most ${TTL_MAX_DAYS} days ahead.`, { format: 'date-time' });
say(expiryFields.expires_in, 'In how long the token expires, in place of `expires_at`.');
const [duration, days] = expiryFields.expires_in.options;
say(duration, `A whole number and s, m, h, d or w, such as \`30d\`: at most ${TTL_MAX_DAYS} days.`, {
  pattern: String.raw`^\d{1,9}[smhdw]$`,
  format: 'duration-ahead',
  examples: ['30d'],
});
say(days, 'Days.', { type: 'integer', minimum: 1, maximum: TTL_MAX_DAYS });

type Fields = Readonly<Record<string, z.ZodOptional<z.ZodType>>>;

/** These fields, where null counts as absent. */
const nullable = (fields: Fields) =>
  Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.unwrap().nullable().optional()]));

const WORKSPACE_KEYWORDS = { pattern: ID_PATTERN, examples: ['5877a4ae-0000-4000-8000-000000000001'] };
for (const { workspace_uuid, workspace } of [createFields.shape, updateFields.shape]) {
  say(
    workspace_uuid.unwrap(),
    'The workspace, if the query does not name it. Without either it is the configured default.',
    WORKSPACE_KEYWORDS,
  );
  say(workspace.unwrap(), "PipeOps' other name for `workspace_uuid`. Where both are given they name one workspace.", {
    ...WORKSPACE_KEYWORDS,
  });
}

/** JSON Schema: this field is there, and is not null. */
const given = (name: string, keywords: object) => ({ required: [name], properties: { [name]: keywords } });
const NOT_NULL = { not: { type: 'null' } };
const bothGiven = (one: string, other: string, otherGiven: object = NOT_NULL) => ({
  not: { required: [one, other], properties: { [one]: NOT_NULL, [other]: otherGiven } },
});
const LISTED = { type: 'array', minItems: 1 };

export const createToken = component(
  'CreateToken',
  requestObject({
    ...nullable(createFields.shape),
    name: tokenName,
    metadata: say(
      requestObject(nullable(metadataFields.shape)).nullable().optional(),
      'Where PipeOps’ clients put the description.',
    ),
    permissions: say(
      createFields.shape.permissions.unwrap().nullable().optional(),
      "What PipeOps' SDK calls `scopes`.",
    ),
  }),
  "A create, in any of PipeOps' three forms: `scopes` or `permissions` or a `preset`; `expires_at` or `expires_in`. Null counts as absent.",
  {
    anyOf: [given('scopes', LISTED), given('permissions', LISTED), given('preset', { type: 'string' })],
    allOf: [
      bothGiven('scopes', 'permissions'),
      bothGiven('expires_at', 'expires_in'),
      bothGiven('description', 'metadata', { type: 'object', ...given('description', NOT_NULL) }),
      bothGiven('workspace_uuid', 'workspace'),
    ],
  },
);

export const updateToken = component(
  'UpdateToken',
  requestObject({
    ...nullable(updateFields.shape),
    is_active: say(
      updateFields.shape.is_active.unwrap().nullable().optional(),
      '`false` suspends the token, `true` resumes it.',
    ),
    permissions: say(
      updateFields.shape.permissions.unwrap().nullable().optional(),
      "What PipeOps' SDK calls `scopes`.",
    ),
  }),
  'An update. What is absent or null stays as it is; something changes.',
  {
    anyOf: ['name', 'description', 'scopes', 'permissions', 'is_active'].map((name) => given(name, NOT_NULL)),
    allOf: [bothGiven('scopes', 'permissions'), bothGiven('workspace_uuid', 'workspace')],
  },
);

say(
  rotateFields.shape.overlap.unwrap(),
  'How long the token lives on beside its successor, up to the `maxOverlap` of the role. `0s` ends it at once: for a secret that leaked.',
  {
    pattern: String.raw`^\d{1,9}[smhdw]$`,
    default: '24h',
    examples: ['24h', '0s'],
  },
);

export const rotateToken = component(
  'RotateToken',
  requestObject(nullable(rotateFields.shape)),
  'A rotation. Without an expiry the successor lives as long as the token was to live, cut to what the role allows.',
  { allOf: [bothGiven('expires_at', 'expires_in'), bothGiven('workspace_uuid', 'workspace')] },
);
