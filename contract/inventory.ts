import * as z from 'zod';
import { SCOPE } from '../src/config/grant-names.ts';
import {
  INVENTORY_LABEL_MAX_BYTES,
  INVENTORY_PAGE_DEFAULT_ROWS,
  INVENTORY_PAGE_MAX_ROWS,
} from '../src/config/inventory-limits.ts';
import { SCOPE_MAX_CHARS, TOKEN_NAME_MAX_BYTES } from '../src/config/limits.ts';
import { OWNER } from '../src/inventory/query/filter.ts';
import { POLICY_VERSION, ROLE_NAME, TOKEN_PREFIX } from '../src/trail/query/filter.ts';
import { LIST_STATES, SUSPENSION_REASONS, TOKEN_STATES, TOKEN_USAGES } from '../src/vocabulary.ts';
import { ID_PATTERN } from './bodies.ts';
import { EVENT } from './events.ts';
import { RECORDED } from './failures.ts';
import type { Operation, Parameter } from './operation.ts';
import { component, page, say, time } from './schema.ts';
import { workspaceParameters } from './tokens.ts';

const tokenState = component(
  'TokenState',
  z.enum(TOKEN_STATES),
  'The strongest of these that holds: `revoked`, `expired`, `suspended` (by this service), `retiring` (it was rotated and is to be revoked), `active`. What PipeOps alone has changed is not in it before a list has told it.',
);
const tokenUsage = component(
  'TokenUsage',
  z.enum(TOKEN_USAGES),
  '`recent` or `unused`, by the `unusedAfter` of the role that it was created under; `never_used`, from a week after its creation; `unknown`, unless PipeOps is seen to fill in times of use in its workspace.',
);

const item = component(
  'InventoryToken',
  z.strictObject({
    id: z.string(),
    uuid: say(z.string(), 'The same as `id`.'),
    workspace_uuid: z.string(),
    name: say(z.string().nullable(), 'Null: it is not known.'),
    token_prefix: say(z.string().nullable(), 'What its secret begins with.'),
    scopes: say(
      z.array(z.string()).nullable(),
      'What was granted through this service. Null: it was not created here, or before grants were kept.',
    ),
    owner: say(
      z
        .strictObject({
          issuer: z.string(),
          subject: z.string().nullable(),
          label: say(z.string().nullable(), 'Its label, in the form in which labels are compared.'),
        })
        .nullable(),
      'Who created it. Null: nobody did through this service.',
    ),
    role: say(z.string().nullable(), 'The role that allowed its creation.'),
    policy_version: say(z.string().nullable(), 'The version of the policy that this role stood in.'),
    created_at: say(time(), 'When it was created, or first seen.'),
    expires_at: time().nullable(),
    last_used_at: say(time().nullable(), 'When PipeOps saw it used last, as far as a list has told it.'),
    state: tokenState,
    usage: tokenUsage,
    suspended_by: say(z.array(z.enum(SUSPENSION_REASONS)), 'Why this service has it suspended.'),
    replaces: say(z.string().nullable(), 'The token of its workspace that it took the place of by a rotation.'),
    replaced_by: say(z.string().nullable(), 'The token that took its place.'),
    retires_at: say(time().nullable(), 'When it is to be revoked, since it was rotated.'),
    create_event_id: say(z.string().nullable(), 'The event in the trail by which it is known.'),
  }),
  'A token of the inventory, with what was granted to it here.',
);

const knowledge = say(
  z.array(
    z.strictObject({
      workspace_uuid: z.string(),
      listed_at: say(
        time().nullable(),
        'When the last list of it was begun. Of a workspace whose list is too large to be kept: since when its lists are of this state. Null: no list is known.',
      ),
      list_state: say(z.enum(LIST_STATES).nullable(), 'What that list was good for, as `/status` says it.'),
    }),
  ),
  'How old what is known of PipeOps is, for each workspace on the page and for one that is named.',
);

const inventoryAnswer = component(
  'InventoryAnswer',
  page(item, {}).extend({
    partial: say(
      z.literal(true),
      'The page ends before it is full: there may be more behind `next_cursor`. Without a cursor: the caller no longer sees the token after which the page begins, so begin anew.',
    ).optional(),
    knowledge,
  }),
  'A page of the inventory.',
);

const query = (name: string, description: string, schema: z.ZodType, example: unknown): Parameter => ({
  in: 'query',
  name,
  description,
  schema,
  example,
});
const id = () => z.string().regex(new RegExp(ID_PATTERN));
const span = (name: string, what: string, note = ''): readonly Parameter[] => [
  query(
    `${name}_from`,
    `Tokens that ${what} at this time or later.${note}`,
    z.iso.datetime({ offset: true }),
    '2026-11-01T00:00:00Z',
  ),
  query(
    `${name}_to`,
    `Tokens that ${what} before this time, which is after \`${name}_from\`.${note}`,
    z.iso.datetime({ offset: true }),
    '2026-12-01T00:00:00Z',
  ),
];
const BY_EXPIRY = ' The page then begins with those that expire soonest. Revoked ones are not among them.';

const ITEM = {
  id: EVENT.token_id,
  uuid: EVENT.token_id,
  workspace_uuid: EVENT.workspace_uuid,
  name: EVENT.token_name,
  token_prefix: 'sat_mh4J3Fj',
  scopes: ['api:read'],
  owner: { issuer: EVENT.actor.issuer, subject: EVENT.actor.subject, label: null },
  role: 'ci',
  policy_version: '3f0c7b1d92e84a56',
  created_at: EVENT.occurred_at,
  expires_at: EVENT.detail.expires_at,
  last_used_at: '2026-12-01T06:30:11.000Z',
  state: 'active',
  usage: 'recent',
  suspended_by: [],
  replaces: null,
  replaced_by: null,
  retires_at: null,
  create_event_id: EVENT.id,
};

export const inventoryOperations: readonly Operation[] = [
  {
    tag: 'tokens',
    isRecorded: true,
    access: 'tokens:read',
    method: 'GET',
    pattern: '/api/v1/inventory',
    id: 'queryInventory',
    summary: 'Query the inventory',
    description:
      'The tokens that the caller may see, of every workspace that its roles reach, with what was granted to them and how they age: the union of what each of its roles shows. It is answered from D1, and `knowledge` says how old that is. The newest come first, or with `expires_from` or `expires_to` those that expire soonest. A page that several filters or one without an index answer looks through a bounded number of tokens.',
    parameters: [
      ...workspaceParameters.map((parameter) =>
        parameter.name === 'workspace_uuid'
          ? {
              ...parameter,
              description: 'Tokens of one workspace. Default: those of all that the roles of the caller reach.',
            }
          : parameter,
      ),
      query(
        'owner',
        'An issuer and a subject with `|` between them; `me` is whoever asks, and `none` finds what nobody created through this service.',
        z.string().regex(OWNER),
        'me',
      ),
      query(
        'label',
        'Tokens whose owner carried this label when it created them, whatever the case of its letters.',
        say(
          z.string().min(1).max(INVENTORY_LABEL_MAX_BYTES),
          'Without control characters, and nothing that looks like a token secret or a JWT.',
          { pattern: String.raw`^[^\u0000-\u001F\u007F-\u009F]+$`, format: 'stored-text' },
        ),
        'kim@acme.example',
      ),
      query('role', 'Tokens that this role allowed.', z.string().regex(ROLE_NAME), 'ci'),
      query(
        'policy_version',
        'Tokens that were created under one version of the policy.',
        z.string().regex(POLICY_VERSION),
        ITEM.policy_version,
      ),
      query(
        'scope',
        'Tokens to which this scope was granted.',
        z.string().regex(SCOPE).max(SCOPE_MAX_CHARS),
        'api:full',
      ),
      query(
        'token_name',
        'Tokens of this name. Nothing in it looks like a token secret or a JWT: it is stored.',
        say(z.string().min(1).max(TOKEN_NAME_MAX_BYTES), `At most ${TOKEN_NAME_MAX_BYTES} bytes of UTF-8.`, {
          format: 'token-name',
        }),
        ITEM.name,
      ),
      query('token_id', 'The token of this id, in each workspace that has one.', id(), ITEM.id),
      query(
        'token_prefix',
        'Tokens whose secret begins so, as PipeOps shows it: whole, and no more than that.',
        z.string().regex(TOKEN_PREFIX),
        ITEM.token_prefix,
      ),
      query(
        'token_sha256',
        'The token whose secret has this SHA-256, in hex. It is compared and not stored.',
        z.string().regex(/^[0-9A-Fa-f]{64}$/),
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      ),
      query('state', 'States, with commas between them.', z.array(z.enum(TOKEN_STATES)).min(1), ['active', 'retiring']),
      query('usage', 'What is known of its use, with commas between them.', z.array(z.enum(TOKEN_USAGES)).min(1), [
        'unused',
      ]),
      ...span('created', 'were created, or first seen,'),
      ...span('expires', 'expire', BY_EXPIRY),
      ...span('last_used', 'were used last'),
      query('replaces', 'The token that took the place of this one.', id(), ITEM.id),
      query('replaced_by', 'The token that this one took the place of.', id(), ITEM.id),
      query(
        'limit',
        `How many tokens the page has at the most. Default: ${INVENTORY_PAGE_DEFAULT_ROWS}.`,
        z.int().min(1).max(INVENTORY_PAGE_MAX_ROWS),
        50,
      ),
      query(
        'cursor',
        '`next_cursor` of the page before, as it was given, with the same filter.',
        say(z.string().regex(/^W[A-Za-z0-9_-]{6,400}$/), 'Opaque.', { format: 'inventory-cursor' }),
        'WyI1ODc3YTRhZS0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCI4YTM2NTcwYSJd',
      ),
    ],
    successes: [
      {
        status: 200,
        description: 'A page of tokens.',
        content: {
          schema: inventoryAnswer,
          examples: {
            tokens: {
              success: true,
              message: 'Tokens of the inventory, newest first.',
              data: [ITEM],
              pagination: { next_cursor: null },
              knowledge: [
                { workspace_uuid: ITEM.workspace_uuid, listed_at: '2026-12-01T09:12:44.120Z', list_state: 'complete' },
              ],
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'validation_failed', ...RECORDED],
  },
];
