import { drizzle } from 'drizzle-orm/d1';
import { D1_TIMEOUT_MS } from '../config/limits.ts';
import type { Mac } from '../kit/mac.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Trace } from '../kit/trace.ts';
import { untilAborted } from '../kit/deadline.ts';
import { err, ok, type Result } from '../kit/result.ts';
import * as schema from './schema.ts';

/** A Drizzle query that is built and not run: `batch` sends it. */
export interface Query<Rows = unknown> extends PromiseLike<Rows> {
  toSQL(): { sql: string; params: unknown[] };
}

/** The rows that a query gives, as Drizzle types them. */
export type RowsOf<Q> =
  Q extends PromiseLike<infer Rows> ? (Rows extends readonly (infer Row)[] ? Row[] : never[]) : never;

/** `rejected`: D1 answered with an error. `unanswered`: D1 did not answer in time, and may have committed the batch. */
export type DatabaseFailure = 'rejected' | 'unanswered';

export interface Database {
  readonly build: ReturnType<typeof drizzle<typeof schema>>;
  /**
   * Sends queries as one atomic D1 batch and gives the rows of each. It gives up when `signal` aborts, or without one after
   * D1_TIMEOUT_MS; D1 may still commit then.
   *
   * Drizzle builds and the binding sends, since Drizzle's own batch loses `meta` and puts bound values into its errors.
   */
  batch<const Q extends readonly Query[]>(
    context: { readonly trace: Trace },
    queries: Q,
    signal?: AbortSignal,
  ): Promise<Result<{ [K in keyof Q]: RowsOf<Q[K]> }, DatabaseFailure>>;
  /** Makes the MACs of the rows that are written to the trail; null: nothing is authenticated. */
  readonly rowMac: Mac | null;
  /** The bytes of the database according to the last answer that said so; null before any did. */
  sizeBytes(): number | null;
}

/** Creates the database over a binding of D1. */
export function createDatabase(
  d1: D1Database,
  runtime: Pick<Runtime, 'now' | 'log' | 'timeout' | 'cancel'>,
  rowMac: Mac | null = null,
): Database {
  let sizeBytes: number | null = null;

  const batch: Database['batch'] = async (context, queries, signal) => {
    const startedAt = runtime.now();
    context.trace.d1Trips += 1;
    context.trace.d1Queries += queries.length;
    const deadline = signal ?? runtime.timeout(D1_TIMEOUT_MS);
    try {
      const statements = queries.map((query) => {
        const { sql, params } = query.toSQL();
        return d1.prepare(sql).bind(...params);
      });
      const results = await untilAborted(d1.batch(statements), deadline);
      sizeBytes = results.at(-1)?.meta.size_after ?? sizeBytes;
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- D1 gives rows in order, as Drizzle typed them
      return ok(results.map((result) => result.results) as never);
    } catch (error) {
      const failure: DatabaseFailure = deadline.aborted ? 'unanswered' : 'rejected';
      // D1's message names tables and triggers, and never a bound value.
      const message = messageOf(error);
      if (OUTDATED.test(message)) context.trace.isSchemaOutdated = true;
      runtime.log({ level: 'error', event: 'd1_failed', failure, message });
      return err(failure);
    } finally {
      if (signal === undefined) runtime.cancel(deadline);
      context.trace.d1Ms += runtime.now() - startedAt;
    }
  };

  return { build: drizzle(d1, { schema }), batch, rowMac, sizeBytes: () => sizeBytes };
}

/** What SQLite says where a migration is not applied. */
const OUTDATED = /no such (?:table|column)|has no column named/;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message.slice(0, 200) : 'unknown');
