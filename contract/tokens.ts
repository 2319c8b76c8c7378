import * as z from 'zod';
import { IDEMPOTENCY_KEY_MAX_CHARS } from '../src/config/limits.ts';
import { createToken, ID_PATTERN, updateToken } from './bodies.ts';
import { JSON_BODY, RECORDED, UPSTREAM } from './failures.ts';
import type { Operation, Parameter } from './operation.ts';
import { component, count, say, success, time } from './schema.ts';

const WORKSPACE = '5877a4ae-0000-4000-8000-000000000001';
const TOKEN = '8a36570a-d2b2-40b4-9730-fe8bd057ea99';

const scopes = (description: string) => say(z.array(z.string()), description);
const maybeTime = (description: string) => say(time().nullable(), description);

const token = component(
  'Token',
  z.strictObject({
    id: say(z.string(), 'The id, which PipeOps gave.'),
    uuid: say(z.string(), 'The same id, under the other name that PipeOps has for it.'),
    name: z.string(),
    description: z.string().nullable(),
    scopes: scopes('What it may do at PipeOps.'),
    permissions: scopes('The same, under the name that PipeOps’ SDK has for it.'),
    token_prefix: say(z.string().nullable(), 'The public beginning of the secret.'),
    workspace_id: z.string().nullable(),
    is_revoked: z.boolean(),
    is_expired: z.boolean(),
    is_active: say(z.boolean(), 'Whether it can be used: it is neither revoked, expired nor suspended.'),
    expires_at: maybeTime('Null: it does not expire.'),
    created_at: time().nullable(),
    updated_at: time().nullable(),
    last_used_at: maybeTime('Null: it was never used, or PipeOps does not say.'),
  }),
  'A service account token, without its secret.',
);

export const createdToken = component(
  'CreatedToken',
  token.extend({ token: say(z.string().regex(/^sat_/), 'The secret. It is shown this once.') }),
  'A token that was just created, with its secret.',
);

const tokenAnswer = component('TokenAnswer', success(z.strictObject({ token })), 'One token.');
const createdTokenAnswer = component('CreatedTokenAnswer', success(createdToken), 'A new token.');
const revokedTokenAnswer = component(
  'RevokedTokenAnswer',
  success(z.strictObject({ id: z.string(), uuid: z.string() })),
  'The id of a revoked token.',
);
const tokenListAnswer = component(
  'TokenListAnswer',
  success(z.strictObject({ tokens: z.array(token), total: count() })).extend({
    partial: say(z.literal(true), 'PipeOps told of a part alone: a token that is not listed may exist.').optional(),
  }),
  'The tokens of a workspace that the caller may see.',
);

export const TOKEN_EXAMPLE = {
  id: TOKEN,
  uuid: TOKEN,
  name: 'deploy',
  description: null,
  scopes: ['api:read'],
  permissions: ['api:read'],
  token_prefix: 'sat_mh4J3Fj',
  workspace_id: WORKSPACE,
  is_revoked: false,
  is_expired: false,
  is_active: true,
  expires_at: '2026-12-28T00:44:15.941Z',
  created_at: '2026-11-28T00:44:15.961Z',
  updated_at: null,
  last_used_at: null,
};

const workspaceId = () => z.string().regex(new RegExp(ID_PATTERN));

export const workspaceParameters: readonly Parameter[] = [
  {
    in: 'query',
    name: 'workspace_uuid',
    description:
      'The id of the workspace: a UUID in any spelling, or another id of PipeOps. Default: the body, then the default of the service. Wherever it is named, it is named the same.',
    schema: workspaceId(),
    example: WORKSPACE,
  },
  {
    in: 'query',
    name: 'workspace',
    description: "PipeOps' other name for `workspace_uuid`.",
    schema: workspaceId(),
    example: WORKSPACE,
  },
];

export const tokenIdParameter: Parameter = {
  in: 'path',
  name: 'id',
  description: 'The id of the token, as a create or a list gave it.',
  schema: z.string().regex(new RegExp(ID_PATTERN)),
  example: TOKEN,
};

const fresh: Parameter = {
  in: 'header',
  name: 'Cache-Control',
  description:
    '`no-cache`: accept only a list that was begun less than two seconds ago. Other directives change nothing.',
  schema: z.string(),
  example: 'no-cache',
};

/** @param promise what a repeat under the same key comes to. */
export const idempotencyKey = (promise: string): Parameter => ({
  in: 'header',
  name: 'Idempotency-Key',
  description: `Makes a repeat safe: ${promise}. Use a random UUID, quoted or bare.`,
  schema: z
    .string()
    .min(1)
    .max(IDEMPOTENCY_KEY_MAX_CHARS)
    .regex(/^[!#-+\--[\]-~]+$/),
  example: 'f8c8e692-0119-4a9a-bf15-dcf19ed6dd16',
});

const TOKENS = '/api/v1/service-account-tokens';
const COMMON = { tag: 'tokens', isRecorded: true } as const;
const CACHE_HEADERS = ['Cache-Status', 'Age'] as const;

export const tokenOperations: readonly Operation[] = [
  {
    ...COMMON,
    method: 'POST',
    pattern: TOKENS,
    id: 'createToken',
    summary: 'Create a token',
    description:
      'Mints a token at PipeOps and hands its secret out once. The first role that allows the whole of the request decides. A token whose secret cannot be handed out is revoked.',
    access: 'tokens:create',
    parameters: [...workspaceParameters, idempotencyKey('for an hour the same request with the same key mints once')],
    body: {
      description: "What the token shall be, in any of PipeOps' three forms.",
      schema: createToken,
      examples: {
        scopes: { name: 'deploy', scopes: ['api:read'], expires_in: '30d' },
        preset: { name: 'assistant', preset: 'sandbox', expires_at: '2027-01-31T12:00:00Z' },
        sdk: { name: 'deploy', permissions: ['api:read'], metadata: { description: 'Deploys the shop' } },
      },
    },
    successes: [
      {
        status: 201,
        description: 'The token with its secret.',
        headers: ['Idempotency-Replayed'],
        content: {
          schema: createdTokenAnswer,
          examples: {
            created: {
              success: true,
              message: 'Service account token created. Its secret is shown this once.',
              data: { ...TOKEN_EXAMPLE, token: 'sat_mh4J3Fj…' },
            },
          },
        },
      },
    ],
    failures: [
      ...JSON_BODY,
      ...RECORDED,
      ...UPSTREAM,
      'token_limit_reached',
      'idempotency_key_reused',
      'idempotency_in_flight',
      'idempotency_no_replay',
      'idempotency_token_gone',
      'upstream_disobeyed',
      'outcome_unknown',
    ],
  },
  {
    ...COMMON,
    method: 'GET',
    pattern: TOKENS,
    id: 'listTokens',
    summary: 'List tokens',
    description:
      'Lists the tokens of a workspace that the caller may see: the union of what each of its roles shows. The list includes every change that was made through this service.',
    access: 'tokens:read',
    parameters: [...workspaceParameters, fresh],
    successes: [
      {
        status: 200,
        description: 'The tokens.',
        headers: CACHE_HEADERS,
        content: {
          schema: tokenListAnswer,
          examples: {
            tokens: { success: true, message: 'Service account tokens.', data: { tokens: [TOKEN_EXAMPLE], total: 1 } },
          },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, ...UPSTREAM],
  },
  {
    ...COMMON,
    method: 'GET',
    pattern: `${TOKENS}/:id`,
    id: 'getToken',
    summary: 'Read a token',
    description:
      'Reads one token that the caller may see. A token of somebody else is answered as one that does not exist.',
    access: 'tokens:read',
    parameters: [tokenIdParameter, ...workspaceParameters, fresh],
    successes: [
      {
        status: 200,
        description: 'The token.',
        headers: CACHE_HEADERS,
        content: {
          schema: tokenAnswer,
          examples: {
            token: { success: true, message: 'Service account token.', data: { token: TOKEN_EXAMPLE } },
          },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, 'token_not_found', ...UPSTREAM],
  },
  {
    ...COMMON,
    method: 'PATCH',
    pattern: `${TOKENS}/:id`,
    id: 'updateToken',
    summary: 'Change, suspend or resume a token',
    description:
      'Changes a name, a description or scopes; suspends and resumes. What a role allows is judged on the token that results.',
    access: 'tokens:update',
    parameters: [tokenIdParameter, ...workspaceParameters],
    body: {
      description: 'What changes.',
      schema: updateToken,
      examples: { rename: { name: 'deploy-eu' }, suspend: { is_active: false }, scopes: { scopes: ['api:read'] } },
    },
    successes: [
      {
        status: 200,
        description: 'The token as it is now.',
        content: {
          schema: tokenAnswer,
          examples: {
            token: { success: true, message: 'Service account token updated.', data: { token: TOKEN_EXAMPLE } },
          },
        },
      },
    ],
    failures: [
      ...JSON_BODY,
      ...RECORDED,
      'token_not_found',
      ...UPSTREAM,
      'upstream_disobeyed',
      'outcome_unknown',
      'overtaken',
    ],
  },
  {
    ...COMMON,
    method: 'DELETE',
    pattern: `${TOKENS}/:id`,
    id: 'revokeToken',
    summary: 'Revoke a token',
    description:
      'Revokes a token for good. It is a success once PipeOps has acknowledged it, and for a token that is known to be gone.',
    access: 'tokens:revoke',
    parameters: [tokenIdParameter, ...workspaceParameters],
    successes: [
      {
        status: 200,
        description: 'PipeOps has acknowledged the revocation, or the token is known to be gone.',
        content: {
          schema: revokedTokenAnswer,
          examples: {
            revoked: {
              success: true,
              message: 'Service account token revoked.',
              data: { id: TOKEN, uuid: TOKEN },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, 'token_not_found', ...UPSTREAM, 'outcome_unknown', 'revocation_pending'],
  },
];
