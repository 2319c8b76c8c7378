import type { Trace } from './trace.ts';
import type { Runtime } from './runtime.ts';

/** What a piece of work may use up at the most. */
export interface Share {
  /** Statements that it sends to D1. */
  readonly d1Queries: number;
  /** After so many milliseconds it begins no further step. */
  readonly ms: number;
}

/** What is left of a share. Work asks it before each further step. */
export interface Budget {
  /** Whether a step may begin that sends so many statements to D1 at the most. */
  permits(d1Queries: number): boolean;
}

/** A budget of `share`, from now on. It counts what the trace counts. */
export function createBudget(trace: Pick<Trace, 'd1Queries'>, runtime: Pick<Runtime, 'now'>, share: Share): Budget {
  const startedAtMs = runtime.now();
  const queriesBefore = trace.d1Queries;
  return {
    permits: (d1Queries) =>
      trace.d1Queries - queriesBefore + d1Queries <= share.d1Queries && runtime.now() - startedAtMs <= share.ms,
  };
}
