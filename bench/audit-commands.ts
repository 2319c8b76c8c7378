import type { Asked } from '../src/inventory/query/params.ts';
import type { EventFilter } from '../src/trail/query/filter.ts';
import type { CountedBy, Position } from '../src/trail/query/params.ts';

/** What the benchmark of the trail asks of its Worker: one statement. */
export interface SqlCommand {
  readonly database: string;
  readonly sql: string;
  readonly params: readonly unknown[];
}

/** One page of the trail, so many times. */
export interface PageCommand {
  readonly database: string;
  readonly filter: EventFilter;
  readonly position: Position;
  readonly limitRows: number;
  readonly times: number;
}

/** One statement of the trail or of the inventory, by what it is for. */
export type StatementCommand = { readonly database: string } & (
  | { readonly kind: 'counts'; readonly by: CountedBy; readonly filter: EventFilter }
  | { readonly kind: 'page'; readonly limitRows: number; readonly filter: EventFilter }
  | { readonly kind: 'life'; readonly limitRows: number; readonly workspaceUuid: string; readonly tokenId: string }
  // The fingerprints that it asks for are those of the rows themselves.
  | { readonly kind: 'inventory'; readonly asked: Asked }
);
