import type { DenialReason, PolicyFailure } from '../failures.ts';
import type { Caller, KnownToken, Role } from './types.ts';
import type { Permission } from '../vocabulary.ts';

/** The order in which a role is judged: the later its reason, the further the request got with it. */
const JUDGED_IN_ORDER = [
  'permission',
  'workspace',
  'ownership',
  'suspended',
  'preset_unknown',
  'scopes',
  'lifetime',
] as const satisfies readonly DenialReason[];

const rank = (reason: DenialReason): number => JUDGED_IN_ORDER.indexOf(reason);

/**
 * The reason that stands in the trail when no role allows a request: that of the role which came closest. It depends on
 * the roles alone, not on their order.
 *
 * @param reasons one for each role.
 */
export function furthest(reasons: readonly DenialReason[]): DenialReason {
  return reasons.reduce((best, reason) => (rank(reason) > rank(best) ? reason : best), 'permission');
}

/** Why a role does not allow something, or null if it does not stand in the way. */
type Obstacle = DenialReason | null;

function lacks(role: Role, permission: Permission): 'permission' | null {
  return role.permissions.includes(permission) ? null : 'permission';
}

/** Whether the role holds a permission in a workspace. */
export function workspaceObstacle(role: Role, permission: Permission, workspaceUuid: string): Obstacle {
  const confined = !role.workspaces.includes('*') && !role.workspaces.includes(workspaceUuid);
  return lacks(role, permission) ?? (confined ? 'workspace' : null);
}

/**
 * Whether the role holds a permission over a token. A token that nobody here created belongs to nobody: only a role over
 * any token reaches it.
 */
export function tokenObstacle(role: Role, permission: Permission, caller: Caller, token: KnownToken): Obstacle {
  const ownership = role.tokens === 'any' || isOwner(caller, token) ? null : 'ownership';
  return workspaceObstacle(role, permission, token.workspaceUuid) ?? ownership;
}

/** An owner is issuer and subject together. */
function isOwner(caller: Caller, token: KnownToken): boolean {
  return token.owner?.issuer === caller.issuer && token.owner.subject === caller.subject;
}

/** The trail tells of every workspace and every owner, so only a role over all of them may read it. */
export function auditObstacle(role: Role): Obstacle {
  if (!role.permissions.includes('audit:read')) return 'permission';
  if (!role.workspaces.includes('*')) return 'workspace';
  return role.tokens === 'any' ? null : 'ownership';
}

/**
 * Why no role of the caller holds a permission at all; null if one does.
 *
 * Failures: `no_role`; `forbidden`, for `audit:read` also with the reason why a role that lists it does not count.
 */
export function permissionFailure(caller: Caller, permission: Permission): PolicyFailure | null {
  if (caller.roles.length === 0) return { kind: 'no_role' };
  const obstacles = caller.roles.map((role) =>
    permission === 'audit:read' ? auditObstacle(role) : lacks(role, permission),
  );
  const reasons = obstacles.filter((obstacle) => obstacle !== null);
  if (reasons.length < obstacles.length) return null;
  return { kind: 'forbidden', reason: furthest(reasons), permission };
}

/**
 * Whether any role of the caller holds a permission at all: what can be said before anything is read. True means that
 * the request may go on to its decision, not that it is allowed.
 */
export function hasPermission(caller: Caller, permission: Permission): boolean {
  return permissionFailure(caller, permission) === null;
}

/** Whether some single role of the caller shows it this token. */
export function maySee(caller: Caller, token: KnownToken): boolean {
  return caller.roles.some((role) => tokenObstacle(role, 'tokens:read', caller, token) === null);
}

/**
 * Whether some single role of the caller lets it revoke a token of its own, be it that none shows it. That it exists is no news
 * to whoever created it. Of anybody else's token it says no, whatever the role reaches.
 */
export function mayRevokeOwn(caller: Caller, token: KnownToken): boolean {
  return (
    isOwner(caller, token) && caller.roles.some((role) => tokenObstacle(role, 'tokens:revoke', caller, token) === null)
  );
}

/** Whether some single role of the caller shows it tokens of others in a workspace. */
export function maySeeTokensOfOthers(caller: Caller, workspaceUuid: string): boolean {
  return caller.roles.some(
    (role) => role.tokens === 'any' && workspaceObstacle(role, 'tokens:read', workspaceUuid) === null,
  );
}

/** The union of what each single role shows of a workspace's tokens, in the order given. */
export function visibleTokens<T extends KnownToken>(
  caller: Caller,
  workspaceUuid: string,
  tokens: readonly T[],
): readonly T[] {
  return tokens.filter((token) => token.workspaceUuid === workspaceUuid && maySee(caller, token));
}

/** Workspaces that a role for all of them may be shown, in the order in which they are. */
export interface KnownWorkspaces {
  /** The configured default; null: there is none. */
  readonly byDefault: string | null;
  /** Those that the policy names, for whatever. */
  readonly inPolicy: readonly string[];
  /** Those that this service has seen tokens in. */
  readonly inUse: readonly string[];
}

/** Whether the role does anything in a workspace: reading the trail is not about one. */
const actsInWorkspaces = ({ permissions }: Role): boolean =>
  permissions.some((permission) => permission.startsWith('tokens:'));

/** Whether some role of the caller is for all workspaces, so that what it may use is more than the policy names. */
export const mayUseAnyWorkspace = ({ roles }: Caller): boolean =>
  roles.some((role) => actsInWorkspaces(role) && role.workspaces.includes('*'));

/**
 * The workspaces in which some single role of the caller may do something, each once. The default comes first where it is one of
 * them, since PipeOps' clients take the first; then those that its roles name, in file order.
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
