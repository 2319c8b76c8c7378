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

/** The same with what our inventory says of each token, as of that generation. */
export interface Snapshot extends DatedList {
  readonly inventory: ReadonlyMap<string, TokenRow>;
}

export const withInventory = (dated: DatedList, rows: readonly TokenRow[]): Snapshot => ({
  ...dated,
  inventory: new Map(rows.map((row) => [row.token_id, row])),
});
