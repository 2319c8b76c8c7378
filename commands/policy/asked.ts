import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import type { RequestFailure } from '../../src/failures.ts';
import { parseWorkspaceUuid, WORKSPACE_FORM } from '../../src/kit/ids.ts';
import type { Result } from '../../src/kit/result.ts';
import { durationSeconds, msOrNull } from '../../src/kit/time.ts';
import { toWireError } from '../../src/http/wire-errors.ts';
import type { Identity } from '../../src/identity/identity.ts';
import type { KnownToken, PolicyRequest } from '../../src/policy/types.ts';
import { parseCreate, parseRotate, parseUpdate } from '../../src/tokens/requests.ts';
import { SUSPENSION_REASONS } from '../../src/vocabulary.ts';

// What is asked for, on the command line or in a case, as the service would understand it.

export const OPERATIONS = [
  'create',
  'list',
  'get',
  'update',
  'revoke',
  'rotate',
  'order',
  'retry',
  'audit',
  'resume-log',
] as const;
export const OWNERS = ['caller', 'other', 'nobody'] as const;

const workspace = z.string({ error: 'is missing: name the workspace' });
const whose = z.enum(OWNERS, { error: `is none of ${OWNERS.join(', ')}` }).optional();
const names = z.array(z.string());

/**
 * A request of `policy.cases.ts`, or of the command line; `CaseRequest` has its types. What is in its fields is checked as the
 * service does it.
 */
export const askedSchema = z.discriminatedUnion(
  'operation',
  [
    z.strictObject({
      operation: z.literal('create'),
      workspace,
      scopes: names.optional(),
      preset: z.string().optional(),
      expiresIn: z.string().optional(),
      held: z.int().min(0).optional(),
    }),
    z.strictObject({ operation: z.enum(['list', 'order']), workspace }),
    z.strictObject({ operation: z.enum(['get', 'revoke']), workspace, owner: whose }),
    z.strictObject({
      operation: z.literal('update'),
      workspace,
      owner: whose,
      scopes: names.optional(),
      active: z.boolean().optional(),
      suspendedBy: z
        .array(z.enum(SUSPENSION_REASONS, { error: `is none of ${SUSPENSION_REASONS.join(', ')}` }))
        .optional(),
      tokenScopes: names.optional(),
      tokenExpiresIn: z.string().optional(),
    }),
    z.strictObject({
      operation: z.literal('rotate'),
      workspace,
      owner: whose,
      overlap: z.string().optional(),
      expiresIn: z.string().optional(),
      tokenScopes: names.optional(),
      tokenLifetime: z.string().optional(),
      held: z.int().min(0).optional(),
    }),
    z.strictObject({ operation: z.literal('retry'), workspaces: z.array(workspace).min(1) }),
    z.strictObject({ operation: z.enum(['audit', 'resume-log']) }),
  ],
  { error: `is none of ${OPERATIONS.join(', ')}` },
);
export type Asked = z.output<typeof askedSchema>;

/**
 * What is asked for as `decide` takes it.
 *
 * @throws UserError where the service would answer 400 or 422 and ask no policy.
 */
export function policyRequestOf(
  asked: Asked,
  asker: Pick<Identity, 'issuer' | 'subject'>,
  nowMs: number,
): PolicyRequest {
  switch (asked.operation) {
    case 'audit':
    case 'resume-log':
      return { operation: asked.operation };
    case 'retry':
      return { operation: 'retry', workspaceUuids: asked.workspaces.map(workspaceOf) };
    case 'list':
      return { operation: 'list', workspaceUuid: workspaceOf(asked.workspace) };
    case 'order':
      // What is about a subject is about all workspaces.
      return { operation: 'order', workspaceUuid: asked.workspace === '*' ? '*' : workspaceOf(asked.workspace) };
    case 'get':
    case 'revoke': {
      const workspaceUuid = workspaceOf(asked.workspace);
      return { operation: asked.operation, workspaceUuid, token: tokenOf(asked.owner, asker, workspaceUuid, []) };
    }
    case 'create':
      return createOf(asked, nowMs);
    case 'update':
      return updateOf(asked, asker, nowMs);
    case 'rotate':
      return rotateOf(asked, asker, nowMs);
  }
}

function createOf(asked: Extract<Asked, { operation: 'create' }>, nowMs: number): PolicyRequest {
  const body = {
    name: 'asked-of-the-policy',
    ...(asked.scopes !== undefined && { scopes: asked.scopes }),
    ...(asked.preset !== undefined && { preset: asked.preset }),
    ...(asked.expiresIn !== undefined && { expires_in: asked.expiresIn }),
  };
  const query = new URLSearchParams({ workspace_uuid: asked.workspace });
  const { workspaceUuid, scopes, preset, expiresAt } = understood(
    parseCreate({ body, query, defaultWorkspaceUuid: null, nowMs }),
  );
  const heldTokens = asked.held ?? 0;
  return { operation: 'create', workspaceUuid, scopes, preset, expiresAtMs: msOrNull(expiresAt), heldTokens };
}

function rotateOf(
  asked: Extract<Asked, { operation: 'rotate' }>,
  asker: Pick<Identity, 'issuer' | 'subject'>,
  nowMs: number,
): PolicyRequest {
  const { overlap, expiresIn, tokenScopes, tokenLifetime = 'never', held = 1 } = asked;
  if (tokenScopes === undefined) {
    throw new UserError(
      'A rotation is judged on the scopes that the token was granted: name them (--token-scopes a,b; tokenScopes).',
    );
  }
  const body = { ...(overlap !== undefined && { overlap }), ...(expiresIn !== undefined && { expires_in: expiresIn }) };
  const query = new URLSearchParams({ workspace_uuid: asked.workspace });
  const { workspaceUuid, overlapSeconds, expiresAt } = understood(
    parseRotate({ id: 'token', body, query, defaultWorkspaceUuid: null, nowMs }),
  );
  const endMs = endOf(tokenLifetime, nowMs);
  return {
    operation: 'rotate',
    workspaceUuid,
    token: tokenOf(asked.owner, asker, workspaceUuid, []),
    scopes: tokenScopes,
    expiresAtMs: msOrNull(expiresAt),
    lifetimeSeconds: endMs === null ? null : (endMs - nowMs) / 1000,
    overlapSeconds,
    heldTokens: held,
  };
}

function updateOf(
  asked: Extract<Asked, { operation: 'update' }>,
  asker: Pick<Identity, 'issuer' | 'subject'>,
  nowMs: number,
): PolicyRequest {
  const { active, suspendedBy = [], tokenScopes, tokenExpiresIn = 'never' } = asked;
  const body = {
    ...(asked.scopes !== undefined && { scopes: asked.scopes }),
    ...(active !== undefined && { is_active: active }),
  };
  const query = new URLSearchParams({ workspace_uuid: asked.workspace });
  // An update that changes neither scopes nor state renames.
  const changed = Object.keys(body).length === 0 ? { name: 'renamed' } : body;
  const { workspaceUuid, changes } = understood(
    parseUpdate({ id: 'token', body: changed, query, defaultWorkspaceUuid: null }),
  );
  const resumes = changes.isActive === true;
  const scopes = changes.scopes ?? tokenScopes;
  if (resumes && scopes === undefined) {
    throw new UserError(
      'A resume is judged on the scopes that the token holds: name them (--token-scopes a,b; tokenScopes).',
    );
  }
  const isJudged = changes.scopes !== undefined || resumes;
  return {
    operation: 'update',
    workspaceUuid,
    token: tokenOf(asked.owner, asker, workspaceUuid, suspendedBy),
    resulting: isJudged ? { scopes: scopes ?? [], expiresAtMs: endOf(tokenExpiresIn, nowMs) } : null,
    namedScopes: changes.scopes ?? null,
    resumes,
  };
}

function endOf(text: string, nowMs: number): number | null {
  if (text === 'never') return null;
  const seconds = durationSeconds(text);
  if (seconds !== null) return nowMs + seconds * 1000;
  throw new UserError(
    'The end of the token is no duration (--token-expires-in 30d; tokenExpiresIn): 90m, 30d, 2w or never.',
  );
}

/** A token of this owner. Nothing of it decides but its workspace, its owner and why it is suspended. */
function tokenOf(
  owner: Extract<Asked, { operation: 'get' | 'revoke' }>['owner'],
  { issuer, subject }: Pick<Identity, 'issuer' | 'subject'>,
  workspaceUuid: string,
  suspendedBy: KnownToken['suspendedBy'],
): KnownToken {
  const owners = { caller: { issuer, subject }, other: { issuer, subject: `not ${subject}` }, nobody: null };
  return { tokenId: 'token', workspaceUuid, owner: owners[owner ?? 'caller'], suspendedBy };
}

function workspaceOf(text: string): string {
  const uuid = parseWorkspaceUuid(text);
  if (uuid !== null) return uuid;
  throw new UserError(`The workspace is not the id of one: ${WORKSPACE_FORM}.`);
}

function understood<T>(parsed: Result<T, RequestFailure>): T {
  if (parsed.ok) return parsed.value;
  const { status, message } = toWireError(parsed.error);
  throw new UserError(`The service would answer ${status} and not ask the policy: ${message}`);
}
