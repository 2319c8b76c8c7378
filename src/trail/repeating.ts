import {
  SETTLE_ATTEMPT_TIMEOUT_MS,
  SETTLE_BACKOFF_MS,
  SETTLE_MAX_ATTEMPTS,
  SETTLE_TIMEOUT_MS,
} from '../config/limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { underDeadline } from '../kit/deadline.ts';
import type { Trace } from '../kit/trace.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';

/**
 * Sends a batch until D1 has answered it, SETTLE_MAX_ATTEMPTS times and within SETTLE_TIMEOUT_MS at the most. For queries that
 * change nothing where they have taken effect before: an attempt whose answer was lost may have been committed.
 *
 * Fails with `unknown`: D1 does not say. It may have taken them all the same.
 */
export async function repeatBatch<const Q extends readonly Query[]>(
  {
    database,
    runtime,
  }: { readonly database: Database; readonly runtime: Pick<Runtime, 'timeout' | 'cancel' | 'sleep'> },
  context: { readonly trace: Trace },
  queries: Q,
): Promise<Result<{ [K in keyof Q]: RowsOf<Q[K]> }, 'unknown'>> {
  return await underDeadline(runtime, SETTLE_TIMEOUT_MS, async (budget) => {
    for (let repeat = 0; repeat < SETTLE_MAX_ATTEMPTS && !budget.aborted; repeat += 1) {
      if (repeat > 0) await runtime.sleep(SETTLE_BACKOFF_MS);
      // One after the other: the repeats are the same write.
      const sent = await underDeadline(
        runtime,
        SETTLE_ATTEMPT_TIMEOUT_MS,
        async (deadline) => await database.batch(context, queries, AbortSignal.any([budget, deadline])),
      );
      if (sent.ok) return ok(sent.value);
    }
    return err('unknown');
  });
}
