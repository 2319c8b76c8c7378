import { count, eq, min, sql } from 'drizzle-orm';
import type { Database, DatabaseFailure } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { D1_TIMEOUT_MS } from '../config/limits.ts';
import type { Trace } from '../request-context.ts';
import type { Runtime } from '../runtime.ts';
import { ok, type Result } from '../result.ts';

export interface OpenAttempts {
  readonly count: number;
  /** Milliseconds since the epoch. */
  readonly oldestMs: number | null;
}

/** Counts the attempts whose outcome is not known yet, by the index that holds only those. */
export async function readOpenAttempts(
  database: Database,
  runtime: Runtime,
  context: { readonly trace: Trace },
): Promise<Result<OpenAttempts, DatabaseFailure>> {
  const query = database.build
    .select({ open: count().as('open'), oldest: min(auditEvents.occurred_at).as('oldest') })
    .from(auditEvents)
    .where(eq(auditEvents.status, sql`'attempted'`));
  const read = await database.batch(context, [query], runtime.timeout(D1_TIMEOUT_MS));
  if (!read.ok) return read;
  const [row] = read.value[0];
  return ok({ count: row?.open ?? 0, oldestMs: row?.oldest ?? null });
}
