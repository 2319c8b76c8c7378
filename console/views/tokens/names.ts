import type { InventoryToken } from '../../../package/client/types.ts';
import { keyOf } from './selection.ts';

// The names of tokens that were ordered to go from this page. A receipt names ids alone.

const names = new Map<string, string>();

export function noteNames(tokens: readonly InventoryToken[]): void {
  for (const token of tokens) if (token.name !== null) names.set(keyOf(token), token.name);
}

export const notedName = (workspaceUuid: string, tokenId: string): string | null =>
  names.get(keyOf({ workspace_uuid: workspaceUuid, id: tokenId })) ?? null;
