import type { TokenRow } from '../db/schema.ts';
import type { TokenList } from '../pipeops/types.ts';

/** A list of PipeOps, and when and under which generation it was asked for. */
export interface DatedList {
  readonly list: TokenList;
  /** The workspace's generation before the list was asked for: it is served while that is the current one. */
  readonly generation: number;
  /** Milliseconds since the epoch, before it was asked for: whatever was over by then is in it. */
  readonly begunAtMs: number;
}

/** What a read needs to know of a token that our inventory has. */
export type InventoryRow = Pick<TokenRow, 'token_id' | 'owner_issuer' | 'owner_subject' | 'marker' | 'suspended_by'>;

/** What our inventory says of the tokens of a list: of no others, since a workspace may have had any number of them. */
export type Inventory = ReadonlyMap<string, InventoryRow>;

/** A list with its inventory. */
export interface Snapshot extends DatedList {
  readonly inventory: Inventory;
}

export const withInventory = (dated: DatedList, rows: readonly InventoryRow[]): Snapshot => ({
  ...dated,
  inventory: new Map(rows.map((row) => [row.token_id, row])),
});

/** The snapshots of lists whose inventory is known as of their generation: each list has one, for as long as it is held. */
export interface KnownSnapshots {
  /** Null: its inventory has to be read. */
  of(list: DatedList): Snapshot | null;
  keep(list: DatedList, snapshot: Snapshot): void;
}

export function createKnownSnapshots(): KnownSnapshots {
  const known = new WeakMap<DatedList, Snapshot>();
  return {
    of: (list) => known.get(list) ?? null,
    keep: (list, snapshot) => void known.set(list, snapshot),
  };
}
