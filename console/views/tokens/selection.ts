import type { InventoryToken } from '../../../package/client/types.ts';
import type { Viewer } from '../../caller.tsx';
import { mayOrder } from './rights.ts';

// Which rows of the inventory are chosen, and what orders come of them.

/** An id is of its workspace: PipeOps is not trusted to keep workspaces apart. */
export const keyOf = ({ workspace_uuid: uuid, id }: Pick<InventoryToken, 'workspace_uuid' | 'id'>): string =>
  `${uuid}/${id}`;

/** Whether a row can be chosen. */
export const isChoosable = (viewer: Pick<Viewer, 'whoami'>, token: InventoryToken): boolean =>
  token.state !== 'revoked' && mayOrder(viewer, token.workspace_uuid);

/**
 * What is chosen after a click on a row's box. With the shift key all rows from the one that was clicked before become what this one
 * becomes.
 *
 * @param rows those that can be chosen, in their order.
 * @param anchor the key of the row that was clicked before.
 */
export function afterClick(
  chosen: ReadonlySet<string>,
  rows: readonly string[],
  key: string,
  { isShift, anchor }: { readonly isShift: boolean; readonly anchor: string | null },
): ReadonlySet<string> {
  const next = new Set(chosen);
  const [from, to] = [rows.indexOf(anchor ?? ''), rows.indexOf(key)].toSorted((one, other) => one - other);
  const isSpan = isShift && from !== undefined && from >= 0 && to !== undefined;
  for (const one of isSpan ? rows.slice(from, to + 1) : [key]) {
    if (chosen.has(key)) next.delete(one);
    else next.add(one);
  }
  return next;
}

interface Group {
  readonly workspaceUuid: string;
  readonly ids: readonly string[];
}

/** The chosen tokens, as one order for each workspace. */
export function byWorkspace(tokens: readonly InventoryToken[]): readonly Group[] {
  const groups = Map.groupBy(tokens, (token) => token.workspace_uuid);
  return [...groups].map(([workspaceUuid, some]) => ({ workspaceUuid, ids: some.map(({ id }) => id) }));
}
