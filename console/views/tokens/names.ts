import type { InventoryToken } from '../../../package/client/types.ts';

// The names of tokens that were ordered to go from this page. A receipt names ids alone.

const names = new Map<string, string>();

export function noteNames(tokens: readonly InventoryToken[]): void {
  for (const { id, name } of tokens) if (name !== null) names.set(id, name);
}

export const notedName = (tokenId: string): string | null => names.get(tokenId) ?? null;
