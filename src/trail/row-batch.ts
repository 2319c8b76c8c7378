import type { Database, Query, RowsOf } from '../db/database.ts';
import type { Runtime } from '../kit/runtime.ts';
import { noteLabels, type LabelMemory, type LabelNote } from '../subjects/label-upkeep.ts';

// What the batches have in common that add rows to the trail.

export interface RecorderDependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly labels: LabelMemory;
}

export type RowsOfEach<Q extends readonly Query[]> = { [K in keyof Q]: RowsOf<Q[K]> };

/** The part of a batch's results that these queries gave, which it began with. */
export const rowsOf = <Q extends readonly Query[]>(queries: Q, results: readonly unknown[]): RowsOfEach<Q> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch gives results in the order of its queries
  results.slice(0, queries.length) as unknown as RowsOfEach<Q>;

export const noting = (database: Database, notes: readonly LabelNote[], nowMs: number): readonly Query[] =>
  notes.length === 0 ? [] : [noteLabels(database, notes, nowMs)];

export function remember(labels: LabelMemory, notes: readonly LabelNote[], isCommitted: boolean, nowMs: number): void {
  if (isCommitted) labels.noted(notes, nowMs);
  else labels.forget(notes);
}
