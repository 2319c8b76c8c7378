import type { Trace } from './trace.ts';
import type { Runtime } from './runtime.ts';

/** The most that a piece of work may use up. */
interface Share {
  /** Statements that it may send to D1. */
  readonly d1Queries: number;
  /** Milliseconds after which it begins no further step. */
  readonly ms: number;
}

/** What is left of a share. Work asks it before each step. */
export interface Budget {
  /** Whether a step may begin that sends at most this many statements to D1. */
  permits(d1Queries: number): boolean;
}

/** Creates a budget of `share` that begins now. It counts the statements that the trace counts. */
export function createBudget(trace: Pick<Trace, 'd1Queries'>, runtime: Pick<Runtime, 'now'>, share: Share): Budget {
  const startedAtMs = runtime.now();
  const queriesBefore = trace.d1Queries;
  return {
    permits: (d1Queries) =>
      trace.d1Queries - queriesBefore + d1Queries <= share.d1Queries && runtime.now() - startedAtMs <= share.ms,
  };
}
