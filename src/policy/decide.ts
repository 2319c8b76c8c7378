import type { DenialReason, PolicyFailure } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { mintedUnder, resultObstacle } from './ceiling.ts';
import {
  auditObstacle,
  furthest,
  mayRevokeOwn,
  maySee,
  permissionFailure,
  tokenObstacle,
  workspaceObstacle,
} from './reach.ts';
import { shortfallOf } from './shortfall.ts';
import type { Caller, Decision, DecisionContext, Grant, KnownToken, PolicyRequest, Role } from './types.ts';
import type { Permission, SuspensionReason } from '../vocabulary.ts';
export { hasPermission, maySee, maySeeTokensOfOthers, visibleTokens } from './reach.ts';

const NOTHING_GRANTED = { scopes: null, expiresAtMs: null, lifts: [] } as const;

/** The permission that each operation needs. */
const PERMISSION_FOR: Readonly<Record<PolicyRequest['operation'], Permission>> = {
  create: 'tokens:create',
  list: 'tokens:read',
  get: 'tokens:read',
  update: 'tokens:update',
  revoke: 'tokens:revoke',
  retry: 'tokens:revoke',
  audit: 'audit:read',
};

type TokenRequest = Extract<PolicyRequest, { token: KnownToken | null }>;
type SightedTokenRequest = TokenRequest & { readonly token: KnownToken };
type SightedUpdateRequest = Extract<SightedTokenRequest, { operation: 'update' }>;
type SightedRequest = Exclude<PolicyRequest, TokenRequest> | SightedTokenRequest;
/** What one role, alone, says to the whole of a request. */
type Verdict = Result<Omit<Grant, 'role'>, DenialReason | 'token_limit'>;
type CreateRequest = Extract<PolicyRequest, { operation: 'create' }>;

/**
 * Decides whether a caller may do what it asks. One role must allow the whole of the request; the grants of two never
 * combine. Where several allow it, the first in file order decides.
 *
 * Failures: `no_role`; `token_not_found` for a token that is unknown in the workspace or that no role may read (a revoke of the
 * caller's own needs no such role);
 * `token_limit_reached` for a create that a role allows but for the tokens that the caller holds; `forbidden`, with the reason of
 * the role that came closest, for the trail, and with what the caller is told.
 */
export function decide(caller: Caller, request: PolicyRequest, context: DecisionContext): Decision {
  const permission = PERMISSION_FOR[request.operation];
  const missing = permissionFailure(caller, permission);
  if (missing !== null) return { allowed: false, failure: missing };
  const sighted = inSight(caller, request);
  if (!sighted.ok) return { allowed: false, failure: sighted.error };

  const reasons: DenialReason[] = [];
  const limits: number[] = [];
  for (const role of caller.roles) {
    const verdict = judge(role, caller, sighted.value, context);
    if (verdict.ok) return { allowed: true, grant: { role: role.name, ...verdict.value } };
    if (verdict.error === 'token_limit') limits.push(role.maxTokens);
    else reasons.push(verdict.error);
  }
  if (limits.length > 0) {
    return { allowed: false, failure: { kind: 'token_limit_reached', limit: Math.max(...limits) } };
  }
  const shortfall = shortfallOf(caller, permission, request, context);
  return { allowed: false, failure: { kind: 'forbidden', reason: furthest(reasons), permission, shortfall } };
}

/** The most live tokens under which any role allows a create that is otherwise as this one; null: none allows it at all. */
export function tokenLimit(caller: Caller, request: CreateRequest, context: DecisionContext): number | null {
  const allowing = caller.roles.filter((role) => judge(role, caller, { ...request, heldTokens: 0 }, context).ok);
  return mostTokens(allowing);
}

/** The most live tokens under which any role of the caller allows some create; null: none allows any. */
export const mostTokensOf = (caller: Pick<Caller, 'roles'>): number | null =>
  mostTokens(caller.roles.filter(({ permissions }) => permissions.includes(PERMISSION_FOR.create)));

const mostTokens = (roles: readonly Role[]): number | null =>
  roles.length === 0 ? null : Math.max(...roles.map(({ maxTokens }) => maxTokens));

/** A token out of the caller's sight is the same to it as one that does not exist. */
function inSight(caller: Caller, request: PolicyRequest): Result<SightedRequest, PolicyFailure> {
  if (!('token' in request)) return ok(request);
  const { token, workspaceUuid } = request;
  if (token?.workspaceUuid !== workspaceUuid) return err({ kind: 'token_not_found', reason: 'unknown' });
  const isInSight = maySee(caller, token) || (request.operation === 'revoke' && mayRevokeOwn(caller, token));
  return isInSight ? ok({ ...request, token }) : err({ kind: 'token_not_found', reason: 'not_readable' });
}

function judge(role: Role, caller: Caller, request: SightedRequest, context: DecisionContext): Verdict {
  const permission = PERMISSION_FOR[request.operation];
  if (request.operation === 'audit') return unless(auditObstacle(role));
  if (request.operation === 'retry') return unless(retryObstacle(role, permission, request.workspaceUuids));
  if (request.operation === 'list') return unless(workspaceObstacle(role, permission, request.workspaceUuid));
  if (request.operation === 'create') {
    const obstacle = workspaceObstacle(role, permission, request.workspaceUuid);
    if (obstacle !== null) return err(obstacle);
    const minted = mintedUnder(role, request, context);
    if (!minted.ok) return minted;
    return request.heldTokens < role.maxTokens ? ok({ ...NOTHING_GRANTED, ...minted.value }) : err('token_limit');
  }
  const obstacle = tokenObstacle(role, permission, caller, request.token);
  if (obstacle !== null || request.operation !== 'update') return unless(obstacle);
  return updatedUnder(role, request, context);
}

/** A delivery is about whatever tokens it names, so only a role over any token may repeat what it ordered. */
function retryObstacle(role: Role, permission: Permission, workspaceUuids: readonly string[]): DenialReason | null {
  const obstacles = workspaceUuids.map((workspaceUuid) => workspaceObstacle(role, permission, workspaceUuid));
  const missing = role.permissions.includes(permission) ? null : 'permission';
  return missing ?? obstacles.find((obstacle) => obstacle !== null) ?? (role.tokens === 'any' ? null : 'ownership');
}

/** A leaver must not undo what the webhook about its leaving did, and neither must whoever shares its role. */
function updatedUnder(
  role: Role,
  { token, resumes, resulting }: SightedUpdateRequest,
  { nowMs }: DecisionContext,
): Verdict {
  const lifts = resumes ? liftableReasons(role, token.suspendedBy) : [];
  if (resumes && token.suspendedBy.length > 0 && lifts.length === 0) return err('suspended');
  const obstacle = resulting === null ? null : resultObstacle(role, resulting, nowMs);
  return obstacle === null ? ok({ ...NOTHING_GRANTED, lifts }) : err(obstacle);
}

function unless(obstacle: DenialReason | null): Verdict {
  return obstacle === null ? ok(NOTHING_GRANTED) : err(obstacle);
}

/**
 * The reasons of a suspension that a role may lift: one over any token all of them, one over its own what their owner did.
 * Who was suspended by an administrator or by a webhook must not undo that.
 */
const liftableReasons = (
  { tokens }: Pick<Role, 'tokens'>,
  suspendedBy: readonly SuspensionReason[],
): readonly SuspensionReason[] => suspendedBy.filter((reason) => tokens === 'any' || reason === 'owner');
