import { and, eq, getTableColumns, inArray, isNull, lte, ne, or, sql, type SQL } from 'drizzle-orm';
import {
  ABSENCE_GAP_MS,
  RECONCILE_BACKOFF_MAX_MS,
  RECONCILE_BATCH_ROWS,
  RECONCILE_LEASE_MS,
} from '../../config/limits.ts';
import type { Database, RowsOf } from '../../db/database.ts';
import { attemptReviews, auditEvents } from '../../db/schema.ts';
import { canonicalWorkspace } from '../../db/workspace-spelling.ts';

/**
 * The two queries that lease the oldest open attempts that are due, and read them. A leased attempt is due again after
 * RECONCILE_LEASE_MS, and twice as long after each further try: so no two runs look into one attempt, an attempt that PipeOps
 * cannot explain leaves room for the others, and another run takes over from one that died.
 *
 * @param oldEnoughMs attempts from before this time are looked into; milliseconds since the epoch.
 */
export function leaseDueAttempts({ build }: Database, oldEnoughMs: number, nowMs: number, leaseId: string) {
  const isOpen = and(
    eq(auditEvents.status, sql`'attempted'`),
    lte(auditEvents.occurred_at, oldEnoughMs),
    // An order drives its own row to its end, whoever made it. Rows of webhooks always have an order.
    ne(auditEvents.actor_type, 'webhook'),
    sql`not exists (select 1 from revocation_orders as o where o.id = ${auditEvents.id})`,
  );
  const isDue = or(isNull(attemptReviews.next_at), lte(attemptReviews.next_at, nowMs));
  const due = build
    .select({
      event_id: auditEvents.id,
      tries: sql<number>`1`.as('tries'),
      next_at: sql<number>`${nowMs + RECONCILE_LEASE_MS}`.as('next_at'),
      claim: sql<string>`${leaseId}`.as('claim'),
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
        set: { tries: sql`${attemptReviews.tries} + 1`, next_at: sql`${nowMs} + ${pauseMs}`, claim: leaseId },
      }),
    build
      .select({
        ...getTableColumns(auditEvents),
        /** The workspace as the inventory spells it, however the row does. */
        workspace_uuid: sql<string | null>`${WORKSPACE}`.as('workspace_uuid'),
        unseen_at: attemptReviews.unseen_at,
        later_change: sql<'settled' | 'open' | null>`${LATER_CHANGE}`.as('later_change'),
        /** 1: the inventory holds its token for missing or ended, which a look that shows the token refutes. */
        is_missed: sql<number>`${IS_MISSED}`.as('is_missed'),
      })
      .from(auditEvents)
      .innerJoin(attemptReviews, eq(attemptReviews.event_id, auditEvents.id))
      .where(eq(attemptReviews.claim, leaseId)),
  ] as const;
}

/** How many attempts this run has leased, as an expression of a later statement of the batch. */
export const countLeased = (leaseId: string): SQL =>
  sql`(select count(*) from ${attemptReviews} where ${attemptReviews.claim} = ${leaseId})`;

/** An attempt that this run has leased. */
export type LeasedAttempt = RowsOf<ReturnType<typeof leaseDueAttempts>[1]>[number];

const WORKSPACE = canonicalWorkspace('audit_events.workspace_uuid');

const laterChange = (condition: string): SQL =>
  sql`exists (select 1 from audit_events as later
    where later.token_id = audit_events.token_id and ${canonicalWorkspace('later.workspace_uuid')} = ${WORKSPACE}
      and later.seq > audit_events.seq and later.action in ('service_account_token.update', 'service_account_token.revoke')
      and ${sql.raw(condition)})`;

const LATER_CHANGE = sql`case when ${laterChange(`later.status = 'success'`)} then 'settled'
  when ${laterChange(`(later.status = 'attempted' or later.error_code = 'outcome_unknown')`)} then 'open' end`;

const IS_MISSED = sql`exists (select 1 from tokens as t where t.workspace_uuid = ${WORKSPACE}
  and t.token_id = audit_events.token_id and (t.unseen_at is not null or t.revoked_at is not null))`;

/** Notes the first proof that what a leased attempt is about is absent. The attempt is due again as soon as a second may count. */
export const noteUnseen = ({ build }: Database, leaseId: string, eventId: string, begunAtMs: number) =>
  build
    .update(attemptReviews)
    .set({
      unseen_at: sql`coalesce(unseen_at, ${begunAtMs})`,
      next_at: begunAtMs + ABSENCE_GAP_MS,
    })
    .where(and(eq(attemptReviews.event_id, eventId), eq(attemptReviews.claim, leaseId)));

/** Gives back attempts that were leased and not looked into. They are due again at once. */
export const releaseAttempts = ({ build }: Database, leaseId: string, ids: readonly string[], nowMs: number) =>
  build
    .update(attemptReviews)
    .set({ next_at: nowMs, tries: sql`max(${attemptReviews.tries} - 1, 0)` })
    .where(
      and(
        eq(attemptReviews.claim, leaseId),
        inArray(attemptReviews.event_id, sql`(select value from json_each(${JSON.stringify(ids)}))`),
      ),
    );

/** Forgets an attempt that is settled, where `guard` holds. */
export const forgetReview = ({ build }: Database, eventId: string, guard: SQL) =>
  build.delete(attemptReviews).where(and(eq(attemptReviews.event_id, eventId), guard));
