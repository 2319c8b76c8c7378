import { and, eq, inArray, isNull, lte, ne, or, sql, type SQL } from 'drizzle-orm';
import { RECONCILE_BACKOFF_MAX_MS, RECONCILE_BATCH_ROWS, RECONCILE_LEASE_MS } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { attemptReviews, auditEvents } from '../db/schema.ts';

/**
 * Claims open attempts that are due, the oldest first, and reads them, in one batch of two queries. A claimed attempt is
 * due again after RECONCILE_LEASE_MS, and twice as long after each further try: so no two runs look into one attempt, one
 * that PipeOps cannot explain leaves room for the others, and a run that died is taken over.
 */
export function claimDueAttempts({ build }: Database, oldEnoughMs: number, nowMs: number, claim: string) {
  const isOpen = and(
    eq(auditEvents.status, sql`'attempted'`),
    lte(auditEvents.occurred_at, oldEnoughMs),
    // A webhook's order drives its own row to its end.
    ne(auditEvents.actor_type, 'webhook'),
  );
  const isDue = or(isNull(attemptReviews.next_at), lte(attemptReviews.next_at, nowMs));
  const due = build
    .select({
      event_id: auditEvents.id,
      tries: sql<number>`1`.as('tries'),
      next_at: sql<number>`${nowMs + RECONCILE_LEASE_MS}`.as('next_at'),
      claim: sql<string>`${claim}`.as('claim'),
      unseen_at: sql<number | null>`null`.as('unseen_at'),
    })
    .from(auditEvents)
    .leftJoin(attemptReviews, eq(attemptReviews.event_id, auditEvents.id))
    .where(and(isOpen, isDue))
    .orderBy(auditEvents.occurred_at)
    .limit(RECONCILE_BATCH_ROWS);
  const pauseMs = sql`min(${RECONCILE_LEASE_MS} << min(${attemptReviews.tries}, 20), ${RECONCILE_BACKOFF_MAX_MS})`;
  return [
    build
      .insert(attemptReviews)
      .select(due)
      .onConflictDoUpdate({
        target: attemptReviews.event_id,
        set: { tries: sql`${attemptReviews.tries} + 1`, next_at: sql`${nowMs} + ${pauseMs}`, claim },
      }),
    build
      .select()
      .from(auditEvents)
      .where(
        inArray(
          auditEvents.id,
          build.select({ id: attemptReviews.event_id }).from(attemptReviews).where(eq(attemptReviews.claim, claim)),
        ),
      ),
  ] as const;
}

/** Gives back attempts that were claimed and not looked into: they are due again at once. */
export const releaseAttempts = ({ build }: Database, claim: string, ids: readonly string[], nowMs: number) =>
  build
    .update(attemptReviews)
    .set({ next_at: nowMs, tries: sql`max(${attemptReviews.tries} - 1, 0)` })
    .where(
      and(
        eq(attemptReviews.claim, claim),
        inArray(attemptReviews.event_id, sql`(select value from json_each(${JSON.stringify(ids)}))`),
      ),
    );

/** Forgets an attempt that is settled, where `guard` holds. */
export const forgetReview = ({ build }: Database, eventId: string, guard: SQL) =>
  build.delete(attemptReviews).where(and(eq(attemptReviews.event_id, eventId), guard));
