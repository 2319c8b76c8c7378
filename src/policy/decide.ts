import type { DenialReason, PolicyFailure } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { MAX_TOKENS_ROTATED_FACTOR } from '../config/aging-limits.ts';
import { mintedUnder, resultObstacle, successorUnder } from './ceiling.ts';
import {
  furthest,
  mayAsOwner,
  maySee,
  ownRotationObstacle,
  permissionFailure,
  tokenObstacle,
  trailObstacle,
  workspaceObstacle,
} from './reach.ts';
import { shortfallOf } from './shortfall.ts';
import type { Caller, Decision, DecisionContext, Grant, KnownToken, PolicyRequest, Role } from './types.ts';
import type { Permission, SuspensionReason } from '../vocabulary.ts';
export { hasPermission, maySee, maySeeTokensOfOthers, visibleTokens } from './reach.ts';

const NOTHING_GRANTED = { scopes: null, expiresAtMs: null, lifts: [] } as const;

/** The permission that each operation needs. */
export const PERMISSION_FOR: Readonly<Record<PolicyRequest['operation'], Permission>> = {
  create: 'tokens:create',
  list: 'tokens:read',
  get: 'tokens:read',
  update: 'tokens:update',
  revoke: 'tokens:revoke',
  rotate: 'tokens:rotate',
  order: 'tokens:revoke',
  retry: 'tokens:revoke',
  audit: 'audit:read',
  'resume-log': 'trail:resume',
};

type TokenRequest = Extract<PolicyRequest, { token: KnownToken | null }>;
type SightedTokenRequest = TokenRequest & { readonly token: KnownToken };
type SightedRotateRequest = Extract<SightedTokenRequest, { operation: 'rotate' }>;
type SightedUpdateRequest = Extract<SightedTokenRequest, { operation: 'update' }>;
type SightedRequest = Exclude<PolicyRequest, TokenRequest> | SightedTokenRequest;
/** What one role alone answers to the whole of a request. */
export type RoleDecision = Result<Omit<Grant, 'role'>, DenialReason | 'token_limit'>;
type CreateRequest = Extract<PolicyRequest, { operation: 'create' }>;

/**
 * Decides whether a caller may do what it asks. One role must allow the whole of the request; the grants of two never
 * combine. Where several allow it, the first in file order decides.
 *
 * Failures: `no_role`; `token_not_found` for a token that is unknown in the workspace or that no role may read, where a revoke or a
 * rotation of the caller's own token needs no such role; `token_limit_reached` for a create or a rotation that a role would allow if
 * the caller held fewer tokens; `forbidden` with the reason of the role that came closest, for the trail, and the shortfall that the caller is told.
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
    const decision = judge(role, caller, sighted.value, context);
    if (decision.ok) return { allowed: true, grant: { role: role.name, ...decision.value } };
    if (decision.error === 'token_limit') limits.push(mostHeld(role, request.operation));
    else reasons.push(decision.error);
  }
  if (limits.length > 0) {
    return { allowed: false, failure: { kind: 'token_limit_reached', limit: Math.max(...limits) } };
  }
  const shortfall = shortfallOf(caller, permission, request, context);
  return { allowed: false, failure: { kind: 'forbidden', reason: furthest(reasons), permission, shortfall } };
}

/**
 * What each role of a caller answers by itself, in file order: the parts of a decision, for those who ask why. Where `decide` allows,
 * it is by the first of them that does. Empty for a token that is not known, of which no role is asked.
 *
 * A role that allows something of a token may still not be enough: whether the caller sees the token is another question, to which
 * each of its roles may answer.
 */
export function judgeEach(
  caller: Caller,
  request: PolicyRequest,
  context: DecisionContext,
): readonly { readonly role: Role; readonly decision: RoleDecision }[] {
  if (!('token' in request)) return judgeAll(caller, request, context);
  const { token } = request;
  return token === null ? [] : judgeAll(caller, { ...request, token }, context);
}

const judgeAll = (caller: Caller, request: SightedRequest, context: DecisionContext) =>
  caller.roles.map((role) => ({ role, decision: judge(role, caller, request, context) }));

/** The most live tokens under which any role allows this create; null if no role would allow it to a caller without tokens. */
export function tokenLimit(caller: Caller, request: CreateRequest, context: DecisionContext): number | null {
  const allowing = caller.roles.filter((role) => judge(role, caller, { ...request, heldTokens: 0 }, context).ok);
  return mostTokens(allowing);
}

/** The most live tokens under which any role of the caller allows creates; null if none of its roles does. */
export const mostTokensOf = (caller: Pick<Caller, 'roles'>): number | null =>
  mostTokens(caller.roles.filter(({ permissions }) => permissions.includes(PERMISSION_FOR.create)));

/**
 * The most live tokens with which any role of the caller allows a rotation in a workspace; null if none of its roles does: each token of
 * the limit may have a successor beside it.
 */
export function rotationLimit(caller: Pick<Caller, 'roles'>, workspaceUuid: string): number | null {
  const most = mostTokens(
    caller.roles.filter((role) => workspaceObstacle(role, PERMISSION_FOR.rotate, workspaceUuid) === null),
  );
  return most === null ? null : most * MAX_TOKENS_ROTATED_FACTOR;
}

/** How many live tokens a role lets its bearer hold where it mints another: twice as many where that one takes the place of one of them. */
const mostHeld = ({ maxTokens }: Role, operation: PolicyRequest['operation']): number =>
  operation === 'rotate' ? maxTokens * MAX_TOKENS_ROTATED_FACTOR : maxTokens;

const mostTokens = (roles: readonly Role[]): number | null =>
  roles.length === 0 ? null : Math.max(...roles.map(({ maxTokens }) => maxTokens));

/** Refuses a token out of the caller's sight in the way of one that does not exist. */
function inSight(caller: Caller, request: PolicyRequest): Result<SightedRequest, PolicyFailure> {
  if (!('token' in request)) return ok(request);
  const { token, workspaceUuid } = request;
  if (token?.workspaceUuid !== workspaceUuid) return err({ kind: 'token_not_found', reason: 'unknown' });
  const isOwners = request.operation === 'revoke' || request.operation === 'rotate';
  const isInSight = maySee(caller, token) || (isOwners && mayAsOwner(caller, token, PERMISSION_FOR[request.operation]));
  return isInSight ? ok({ ...request, token }) : err({ kind: 'token_not_found', reason: 'not_readable' });
}

function judge(role: Role, caller: Caller, request: SightedRequest, context: DecisionContext): RoleDecision {
  const permission = PERMISSION_FOR[request.operation];
  if (request.operation === 'audit') return unless(trailObstacle(role, 'audit:read'));
  if (request.operation === 'resume-log') return unless(trailObstacle(role, 'trail:resume'));
  if (request.operation === 'order') return unless(orderObstacle(role, permission, [request.workspaceUuid]));
  if (request.operation === 'retry') return unless(orderObstacle(role, permission, request.workspaceUuids));
  if (request.operation === 'list') return unless(workspaceObstacle(role, permission, request.workspaceUuid));
  if (request.operation === 'create') {
    const obstacle = workspaceObstacle(role, permission, request.workspaceUuid);
    if (obstacle !== null) return err(obstacle);
    const minted = mintedUnder(role, request, context);
    if (!minted.ok) return minted;
    return request.heldTokens < role.maxTokens ? ok({ ...NOTHING_GRANTED, ...minted.value }) : err('token_limit');
  }
  if (request.operation === 'rotate') return rotatedUnder(role, caller, request, context);
  const obstacle = tokenObstacle(role, permission, caller, request.token);
  if (obstacle !== null || request.operation !== 'update') return unless(obstacle);
  return updatedUnder(role, request, context);
}

/**
 * Why a role may not order revocations in these workspaces, or retry those of a delivery. They may be of anybody's tokens, so only a
 * role over any token may. Only a role for all workspaces is for `*`.
 */
function orderObstacle(role: Role, permission: Permission, workspaceUuids: readonly string[]): DenialReason | null {
  const obstacles = workspaceUuids.map((workspaceUuid) => workspaceObstacle(role, permission, workspaceUuid));
  const missing = role.permissions.includes(permission) ? null : 'permission';
  return missing ?? obstacles.find((obstacle) => obstacle !== null) ?? (role.tokens === 'any' ? null : 'ownership');
}

/**
 * What a role answers to an update. A leaver, and whoever shares its role, must not undo what the webhook about its leaving did.
 */
function updatedUnder(
  role: Role,
  { token, resumes, resulting }: SightedUpdateRequest,
  { nowMs }: DecisionContext,
): RoleDecision {
  const lifts = resumes ? liftableReasons(role, token.suspendedBy) : [];
  if (resumes && token.suspendedBy.length > 0 && lifts.length === 0) return err('suspended');
  const obstacle = resulting === null ? null : resultObstacle(role, resulting, nowMs);
  return obstacle === null ? ok({ ...NOTHING_GRANTED, lifts }) : err(obstacle);
}

/** What a role answers to a rotation. It is the owner's alone, whatever tokens the role reaches: an administrator revokes. */
function rotatedUnder(
  role: Role,
  caller: Caller,
  request: SightedRotateRequest,
  context: DecisionContext,
): RoleDecision {
  const obstacle = ownRotationObstacle(role, caller, request.token);
  if (obstacle !== null) return err(obstacle);
  // The comparison is written so that NaN is refused.
  if (!(request.overlapSeconds <= role.maxOverlapSeconds)) return err('overlap');
  const minted = successorUnder(role, request, context);
  if (!minted.ok) return minted;
  return request.heldTokens < mostHeld(role, 'rotate')
    ? ok({ ...NOTHING_GRANTED, ...minted.value })
    : err('token_limit');
}

function unless(obstacle: DenialReason | null): RoleDecision {
  return obstacle === null ? ok(NOTHING_GRANTED) : err(obstacle);
}

/**
 * The reasons of a suspension that a role may lift: a role over any token lifts all of them. One over its own tokens lifts the owner's,
 * and that nobody used the token, which its owner knows better. An owner must not undo what an administrator or a webhook did to its
 * token.
 */
const liftableReasons = (
  { tokens }: Pick<Role, 'tokens'>,
  suspendedBy: readonly SuspensionReason[],
): readonly SuspensionReason[] =>
  suspendedBy.filter((reason) => tokens === 'any' || reason === 'owner' || reason === 'unused');
