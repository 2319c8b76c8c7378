import type { DenialReason, PolicyFailure } from '../failures.ts';
import type { Caller, KnownToken, Role } from './types.ts';
import { type Permission, TRAIL_PERMISSIONS } from '../vocabulary.ts';

/** The reasons in the order in which a role is judged. The later its reason stands, the further the request got with the role. */
const JUDGED_IN_ORDER = [
  'permission',
  'workspace',
  'ownership',
  'suspended',
  'overlap',
  'preset_unknown',
  'scopes',
  'lifetime',
] as const satisfies readonly DenialReason[];

const rank = (reason: DenialReason): number => JUDGED_IN_ORDER.indexOf(reason);

/**
 * The reason that the trail shows where no role allows a request: that of the role which came closest. The order of the roles does
 * not matter.
 *
 * @param reasons the reason of each role.
 */
export function furthest(reasons: readonly DenialReason[]): DenialReason {
  return reasons.reduce((best, reason) => (rank(reason) > rank(best) ? reason : best), 'permission');
}

/** Why a role does not allow a request; null if it does. */
type Obstacle = DenialReason | null;

function lacks(role: Role, permission: Permission): 'permission' | null {
  return role.permissions.includes(permission) ? null : 'permission';
}

/** Why the role does not hold a permission in a workspace; null if it does. */
export function workspaceObstacle(role: Role, permission: Permission, workspaceUuid: string): Obstacle {
  const confined = !role.workspaces.includes('*') && !role.workspaces.includes(workspaceUuid);
  return lacks(role, permission) ?? (confined ? 'workspace' : null);
}

/**
 * Why the role does not hold a permission over a token; null if it does. A token that was not created through this service belongs
 * to nobody, so only a role over any token reaches it.
 */
export function tokenObstacle(role: Role, permission: Permission, caller: Caller, token: KnownToken): Obstacle {
  const ownership = role.tokens === 'any' || isOwner(caller, token) ? null : 'ownership';
  return workspaceObstacle(role, permission, token.workspaceUuid) ?? ownership;
}

/** Whether a caller owns a token. An owner is issuer and subject together. */
function isOwner(caller: Caller, token: KnownToken): boolean {
  return token.owner?.issuer === caller.issuer && token.owner.subject === caller.subject;
}

/** The permissions that are about the trail as a whole. */
export type TrailPermission = (typeof TRAIL_PERMISSIONS)[number];

const isAboutTrail = (permission: Permission): permission is TrailPermission =>
  TRAIL_PERMISSIONS.some((name) => name === permission);

/**
 * Why the role does not hold a permission over the trail; null if it does. The trail tells of every workspace and every owner, so the
 * role must be over all.
 */
export function trailObstacle(role: Role, permission: TrailPermission): Obstacle {
  if (!role.permissions.includes(permission)) return 'permission';
  if (!role.workspaces.includes('*')) return 'workspace';
  return role.tokens === 'any' ? null : 'ownership';
}

/**
 * Why no role of the caller holds a permission; null if one does.
 *
 * Failures: `no_role`; `forbidden`, and for the permissions over the trail with the reason why a role that lists one does not count.
 */
export function permissionFailure(caller: Caller, permission: Permission): PolicyFailure | null {
  if (caller.roles.length === 0) return { kind: 'no_role' };
  const obstacles = caller.roles.map((role) =>
    isAboutTrail(permission) ? trailObstacle(role, permission) : lacks(role, permission),
  );
  const reasons = obstacles.filter((obstacle) => obstacle !== null);
  if (reasons.length < obstacles.length) return null;
  return { kind: 'forbidden', reason: furthest(reasons), permission };
}

/**
 * Whether any role of the caller holds a permission. This is known before anything of a request is read: true means that the
 * request may go on to its decision, not that it is allowed.
 */
export function hasPermission(caller: Caller, permission: Permission): boolean {
  return permissionFailure(caller, permission) === null;
}

/** Whether a single role of the caller shows it this token. */
export function maySee(caller: Caller, token: KnownToken): boolean {
  return caller.roles.some((role) => tokenObstacle(role, 'tokens:read', caller, token) === null);
}

/** Why the role does not let its bearer rotate a token; null if it does. A token of somebody else is out of reach for every role. */
export function ownRotationObstacle(role: Role, caller: Caller, token: KnownToken): Obstacle {
  return workspaceObstacle(role, 'tokens:rotate', token.workspaceUuid) ?? (isOwner(caller, token) ? null : 'ownership');
}

/**
 * Whether a single role of the caller lets it revoke or rotate this token of its own, even where no role shows it: that the token
 * exists is no news to whoever created it. False for a token of anybody else, whatever the role reaches.
 */
export function mayAsOwner(caller: Caller, token: KnownToken, permission: Permission): boolean {
  return isOwner(caller, token) && caller.roles.some((role) => tokenObstacle(role, permission, caller, token) === null);
}

/** Whether a single role of the caller shows it tokens of others in a workspace. */
export function maySeeTokensOfOthers(caller: Caller, workspaceUuid: string): boolean {
  return caller.roles.some(
    (role) => role.tokens === 'any' && workspaceObstacle(role, 'tokens:read', workspaceUuid) === null,
  );
}

/** The tokens of a workspace that any single role shows to the caller, in the order given. */
export function visibleTokens<T extends KnownToken>(
  caller: Caller,
  workspaceUuid: string,
  tokens: readonly T[],
): readonly T[] {
  return tokens.filter((token) => token.workspaceUuid === workspaceUuid && maySee(caller, token));
}

/** The workspaces that are shown to a role for all of them, in this order. */
export interface KnownWorkspaces {
  /** The configured default; null if there is none. */
  readonly byDefault: string | null;
  /** The workspaces that the policy names anywhere. */
  readonly inPolicy: readonly string[];
  /** The workspaces in which this service has seen tokens. */
  readonly inUse: readonly string[];
}

/** Whether a role does anything in a workspace. Reading the trail is about none. */
const actsInWorkspaces = ({ permissions }: Role): boolean =>
  permissions.some((permission) => permission.startsWith('tokens:'));

/** Whether a role of the caller is for all workspaces, so that it may use more of them than the policy names. */
export const mayUseAnyWorkspace = ({ roles }: Caller): boolean =>
  roles.some((role) => actsInWorkspaces(role) && role.workspaces.includes('*'));

/**
 * The workspaces in which a single role of the caller may do something, each once. The default comes first if it is one of them,
 * since PipeOps' clients take the first; then come those that the roles name, in file order.
 */
export function usableWorkspaces(caller: Caller, known: KnownWorkspaces): readonly string[] {
  const all = [...known.inPolicy, ...known.inUse];
  const first = known.byDefault === null ? [] : [known.byDefault];
  const named = caller.roles
    .filter(actsInWorkspaces)
    .map(({ workspaces }) => (workspaces.includes('*') ? [...first, ...all] : workspaces));
  const usable = new Set(named.flat());
  return [...new Set([...first.filter((workspaceUuid) => usable.has(workspaceUuid)), ...usable])];
}
