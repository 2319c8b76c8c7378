import { SHORTFALL_NAMES_MAX_COUNT } from '../config/limits.ts';
import { durationText } from '../kit/time.ts';
import type { Permission } from '../vocabulary.ts';
import { mintedUnder, successorUnder, usablePresets, withinCeiling } from './ceiling.ts';
import { workspaceObstacle } from './reach.ts';
import type { Caller, DecisionContext, PolicyRequest, Role } from './types.ts';

/**
 * What a caller is told where its roles do not allow a request: how the first role in file order that has the permission falls short
 * of the request.
 *
 * It follows from that role and from the request alone, so it tells nothing that `whoami` does not. No token, owner or state of a
 * token has a part in it.
 */
export type Shortfall =
  | { readonly of: 'workspace'; readonly role: string; readonly workspaces: readonly string[] }
  /** The role reaches the tokens of its bearer, and the request is about those of anybody. */
  | { readonly of: 'ownership'; readonly role: string }
  /** `presets` are the names of the presets that the role can use. */
  | { readonly of: 'preset'; readonly role: string; readonly presets: readonly string[] }
  | { readonly of: 'scopes'; readonly role: string; readonly scopes: readonly string[] }
  | { readonly of: 'lifetime'; readonly role: string; readonly maxTtlSeconds: number }
  | { readonly of: 'overlap'; readonly role: string; readonly maxOverlapSeconds: number };

/** The shortfall of a request; null if no role has the permission, or if the reason is not in the first role that has it. */
export function shortfallOf(
  { roles }: Pick<Caller, 'roles'>,
  permission: Permission,
  request: PolicyRequest,
  context: DecisionContext,
): Shortfall | null {
  const role = roles.find(({ permissions }) => permissions.includes(permission));
  // A request that names no workspace is about the trail, or about a delivery, whose workspaces the caller need not know.
  if (role === undefined || !('workspaceUuid' in request)) return null;
  const { name, workspaces, scopes } = role;
  if (workspaceObstacle(role, permission, request.workspaceUuid) !== null) {
    return { of: 'workspace', role: name, workspaces };
  }
  if (request.operation === 'create') return shortfallOfCreate(role, request, context);
  if (request.operation === 'rotate') return shortfallOfRotation(role, request, context);
  if (request.operation === 'order') return role.tokens === 'any' ? null : { of: 'ownership', role: name };
  const named = 'namedScopes' in request ? (request.namedScopes ?? null) : null;
  return named === null || withinCeiling(role, named) ? null : { of: 'scopes', role: name, scopes };
}

function shortfallOfCreate(
  role: Role,
  request: Extract<PolicyRequest, { operation: 'create' }>,
  context: DecisionContext,
): Shortfall | null {
  const { name, scopes, maxTtlSeconds } = role;
  const minted = mintedUnder(role, request, context);
  if (minted.ok) return null;
  switch (minted.error) {
    case 'preset_unknown':
      return { of: 'preset', role: name, presets: Object.keys(usablePresets(role, context.presets)) };
    case 'scopes':
      return { of: 'scopes', role: name, scopes };
    case 'lifetime':
      return { of: 'lifetime', role: name, maxTtlSeconds: Number(maxTtlSeconds) };
  }
}

/** The scopes and the lifetime are those of the caller's own token. */
function shortfallOfRotation(
  role: Role,
  request: Extract<PolicyRequest, { operation: 'rotate' }>,
  context: DecisionContext,
): Shortfall | null {
  const { name, scopes, maxTtlSeconds, maxOverlapSeconds } = role;
  if (!(request.overlapSeconds <= maxOverlapSeconds)) return { of: 'overlap', role: name, maxOverlapSeconds };
  const minted = successorUnder(role, request, context);
  if (minted.ok) return null;
  return minted.error === 'lifetime'
    ? { of: 'lifetime', role: name, maxTtlSeconds: Number(maxTtlSeconds) }
    : { of: 'scopes', role: name, scopes };
}

/** A shortfall in words, such as `role "ci" allows at most api:read`. */
export function describeShortfall(shortfall: Shortfall): string {
  const role = `role "${shortfall.role}"`;
  switch (shortfall.of) {
    case 'workspace':
      return `${role} is for ${listText(shortfall.workspaces)} alone`;
    case 'ownership':
      return `${role} is for its bearer's own tokens alone`;
    case 'preset':
      return `${role} knows ${shortfall.presets.length === 0 ? 'no preset' : `the presets ${listText(shortfall.presets)}`}`;
    case 'scopes':
      return `${role} allows ${shortfall.scopes.length === 0 ? 'no scope' : `at most ${listText(shortfall.scopes)}`}`;
    case 'lifetime':
      return `${role} allows at most ${durationText(shortfall.maxTtlSeconds)}`;
    case 'overlap':
      return `${role} allows ${shortfall.maxOverlapSeconds === 0 ? 'no overlap' : `an overlap of at most ${durationText(shortfall.maxOverlapSeconds)}`}`;
  }
}

/** The first names of a list, which a policy may make as long as it likes. */
function listText(names: readonly string[]): string {
  const more = names.length - SHORTFALL_NAMES_MAX_COUNT;
  const shown = names.slice(0, SHORTFALL_NAMES_MAX_COUNT).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}
