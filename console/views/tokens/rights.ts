import type { InventoryToken, Role } from '../../../package/client/types.ts';
import type { Permission, SuspensionReason } from '../../../package/client/vocabulary.ts';
import type { Viewer } from '../../caller.tsx';
import { isLive } from './words.ts';

// What is offered to whom. It follows what whoami says of each role, as the policy does; the service alone decides what is done.

export type Asking = Pick<Viewer, 'whoami' | 'isMe'>;
export type Owned = Pick<InventoryToken, 'workspace_uuid' | 'owner'>;
type Judged = Owned & Pick<InventoryToken, 'state' | 'suspended_by' | 'scopes'>;

const reaches = ({ workspaces }: Role, workspaceUuid: string): boolean =>
  workspaces.includes('*') || workspaces.includes(workspaceUuid);

/** The roles of a viewer that have a permission for a token. Grants of two roles never combine, so each stands alone. */
export const rolesFor = ({ whoami, isMe }: Asking, permission: Permission, token: Owned): readonly Role[] =>
  whoami.roles.filter(
    (role) =>
      role.permissions.includes(permission) &&
      reaches(role, token.workspace_uuid) &&
      (role.tokens === 'any' || isMe(token.owner)),
  );

/** The roles under which a token can be minted in a workspace. */
export const rolesToMint = ({ whoami }: Pick<Viewer, 'whoami'>, workspaceUuid: string): readonly Role[] =>
  whoami.roles.filter((role) => role.permissions.includes('tokens:create') && reaches(role, workspaceUuid));

/** Whether a viewer may order that tokens of a workspace be revoked, whoever owns them. */
export const mayOrder = ({ whoami }: Pick<Viewer, 'whoami'>, workspaceUuid: string): boolean =>
  whoami.roles.some(
    (role) => role.tokens === 'any' && role.permissions.includes('tokens:revoke') && reaches(role, workspaceUuid),
  );

/** The reasons of a suspension that an owner lifts. The others need a role for the tokens of anybody. */
const OWNERS_REASONS: readonly SuspensionReason[] = ['owner', 'unused'];

/** What is offered at a token. */
export interface Offers {
  readonly revoke: boolean;
  readonly suspend: boolean;
  readonly resume: boolean;
  readonly update: boolean;
  readonly rotate: boolean;
}

export function offersOf(viewer: Asking, token: Judged): Offers {
  const may = (permission: Permission): boolean => rolesFor(viewer, permission, token).length > 0;
  const isUpdatable = isLive(token) && may('tokens:update');
  const liftsAny = rolesFor(viewer, 'tokens:update', token).some(({ tokens }) => tokens === 'any');
  return {
    // One that has expired by our clock may be alive by that of PipeOps.
    revoke: token.state !== 'revoked' && may('tokens:revoke'),
    suspend: isUpdatable && token.state !== 'suspended',
    resume:
      isUpdatable &&
      token.state === 'suspended' &&
      (liftsAny || token.suspended_by.some((reason) => OWNERS_REASONS.includes(reason))),
    update: isUpdatable,
    // Only its owner rotates a token, and only one whose grant is known.
    rotate: token.state === 'active' && token.scopes !== null && viewer.isMe(token.owner) && may('tokens:rotate'),
  };
}

/** The most that a token may hold under some role. Null: there is no ceiling, and scopes are typed. */
export function ceilingOf(roles: readonly Role[]): readonly string[] | null {
  const scopes = [...new Set(roles.flatMap((role) => role.scopes))];
  return scopes.includes('*') ? null : scopes.toSorted();
}

/** The presets that some of the roles can use, with their scopes. */
export const presetsOf = (roles: readonly Role[]): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(roles.flatMap(({ presets }) => Object.entries(presets)));

/** The roles whose ceiling allows all these scopes. */
export const rolesAllowing = (roles: readonly Role[], scopes: readonly string[]): readonly Role[] =>
  roles.filter((role) => role.scopes.includes('*') || scopes.every((scope) => role.scopes.includes(scope)));

/** The longest that some role lets a token live, in seconds. Null: for ever. */
export const longestTtl = (roles: readonly Role[]): number | null =>
  roles.some((role) => role.max_ttl_seconds === null)
    ? null
    : Math.max(0, ...roles.map((role) => role.max_ttl_seconds ?? 0));

/** The longest overlap of a rotation that some role allows, in seconds. */
export const longestOverlap = (roles: readonly Role[]): number =>
  Math.max(0, ...roles.map((role) => role.max_overlap_seconds));
