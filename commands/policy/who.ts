import type { Policy } from '../../src/config/policy.ts';
import type { Source } from '../../src/config/webhooks.ts';
import { workspaceAsRead } from '../../src/kit/ids.ts';
import { decide, judgeEach, type RoleDecision } from '../../src/policy/decide.ts';
import type { Binding, Caller, DecisionContext, PolicyRequest, Role } from '../../src/policy/types.ts';
import type { Permission } from '../../src/vocabulary.ts';
import { type Asked, policyRequestOf } from './asked.ts';

// Who may do something at all. Each role is asked by the service's own `decide`, as if a caller had it alone.

/** What somebody wants to know. */
export interface Question {
  readonly permission: Permission;
  /** All of them together, for a create or an update; empty: any will do. */
  readonly scopes: readonly string[];
  /** Null: any will do. */
  readonly workspace: string | null;
  /** A duration, or `never` for a token without expiry; null: any will do. */
  readonly expiresIn: string | null;
  /** Whether it is about tokens of others. */
  readonly others: boolean;
}

/** A role that may. */
export interface Able {
  readonly role: Role;
  readonly bindings: readonly { readonly index: number; readonly binding: Binding }[];
  /** Whether its bearer must have another role beside it, with `tokens:read`, that shows it the token. */
  readonly needsReader: boolean;
}

/** A role that has the permission and may not do what is asked about. */
export interface Unable {
  readonly role: Role;
  readonly request: PolicyRequest;
  readonly refusal: Extract<RoleDecision, { ok: false }>['error'];
}

export interface Answer {
  readonly able: readonly Able[];
  readonly unable: readonly Unable[];
  /** The sources of webhooks that revoke or suspend tokens: they need no role. */
  readonly webhooks: readonly Source[];
}

const SOMEBODY = {
  issuer: 'https://somebody.invalid',
  subject: 'somebody',
  label: null,
  actorType: 'user',
  claims: {},
} as const;
/** A workspace for roles that are for all of them. */
const ANY_WORKSPACE = 'any-workspace';
/** A role that shows every token and allows nothing else. */
const READER: Role = {
  // No role of a policy has such a name.
  name: '(another)',
  permissions: ['tokens:read'],
  tokens: 'any',
  workspaces: ['*'],
  scopes: [],
  maxTtlSeconds: null,
  maxTokens: 1,
  maxOverlapSeconds: 0,
  unusedAfterSeconds: 1,
  onUnused: 'report',
};

/** @throws UserError if what is asked about is nothing that the service would understand. */
export function who(policy: Policy, question: Question, nowMs: number): Answer {
  const context: DecisionContext = { nowMs, presets: policy.presets };
  const able: Able[] = [];
  const unable: Unable[] = [];
  for (const role of policy.roles.filter(({ permissions }) => permissions.includes(question.permission))) {
    const request = requestTo(role, question, nowMs);
    const isAllowed = (roles: readonly Role[]): boolean =>
      allowedTo({ ...SOMEBODY, roles }, request, role, question, context);
    const alone = isAllowed([role]);
    if (alone || isAllowed([role, READER])) {
      const bindings = policy.bindings.flatMap((binding, index) =>
        binding.role === role.name ? [{ index, binding }] : [],
      );
      able.push({ role, bindings, needsReader: !alone });
    } else {
      const [judged] = judgeEach({ ...SOMEBODY, roles: [role] }, request, context);
      unable.push({
        role,
        request,
        refusal: judged === undefined || judged.decision.ok ? 'lifetime' : judged.decision.error,
      });
    }
  }
  return { able, unable, webhooks: policy.webhooks.filter((source) => revokes(source, question)) };
}

/** Whether this very role allows it, and for a token that never expires, whether it adds no expiry. */
function allowedTo(
  caller: Caller,
  request: PolicyRequest,
  { name }: Role,
  { expiresIn }: Question,
  context: DecisionContext,
): boolean {
  const decision = decide(caller, request, context);
  if (!decision.allowed || decision.grant.role !== name) return false;
  return expiresIn !== 'never' || decision.grant.expiresAtMs === null;
}

/** The request that is asked about, with the least that the role allows where nothing is named. */
function requestTo(role: Role, question: Question, nowMs: number): PolicyRequest {
  const { scopes, expiresIn, others } = question;
  const [own = ANY_WORKSPACE] = role.workspaces;
  const workspace = question.workspace ?? (own === '*' ? ANY_WORKSPACE : own);
  const owner = others ? 'other' : 'caller';
  const least = role.scopes.filter((scope) => scope !== '*').slice(0, 1);
  const named = scopes.length > 0 ? scopes : least.length > 0 ? least : ['any:scope'];
  const asked: Readonly<Record<Permission, Asked>> = {
    'tokens:create': {
      operation: 'create',
      workspace,
      scopes: [...named],
      ...(expiresIn !== null && expiresIn !== 'never' && { expiresIn }),
    },
    'tokens:read': { operation: 'get', workspace, owner },
    'tokens:update': {
      operation: 'update',
      workspace,
      owner,
      // The token ends as early as any role could want.
      ...(scopes.length > 0 && { scopes: [...scopes], tokenExpiresIn: '1s' }),
    },
    'tokens:revoke': { operation: 'revoke', workspace, owner },
    'tokens:rotate': {
      operation: 'rotate',
      workspace,
      owner,
      // The least that a rotation can ask for.
      overlap: '0s',
      tokenScopes: [...named],
      tokenLifetime: expiresIn === 'never' ? 'never' : '1s',
      ...(expiresIn !== null && expiresIn !== 'never' && { expiresIn }),
    },
    'audit:read': { operation: 'audit' },
    'trail:resume': { operation: 'resume-log' },
  };
  return policyRequestOf(asked[question.permission], SOMEBODY, nowMs);
}

/** Whether a source of webhooks has tokens revoked or suspended, in the workspace in question if there is one. */
function revokes({ events, workspaces }: Source, { permission, workspace }: Question): boolean {
  if (permission !== 'tokens:revoke') return false;
  const isThere = workspace === null || workspaces.includes('*') || workspaces.includes(workspaceAsRead(workspace));
  return isThere && events.some((event) => event !== 'subject.reinstated');
}

/** Whether anybody may: a role that a binding gives, or a webhook. */
export const isAnybodyAble = ({ able, webhooks }: Answer): boolean =>
  webhooks.length > 0 || able.some(({ bindings }) => bindings.length > 0);
