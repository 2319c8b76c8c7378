import type { Caller, Role } from './types.ts';

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
