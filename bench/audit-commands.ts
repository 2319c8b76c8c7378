import type { EventFilter } from '../src/trail/query/filter.ts';
import type { Position } from '../src/trail/query/params.ts';

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
