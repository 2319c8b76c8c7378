import { and, asc, eq, inArray, lte, not, sql, type SQL } from 'drizzle-orm';
import { ORDERS_BATCH_ROWS, ORDERS_LEASE_MS } from '../config/limits.ts';
import type { Database, RowsOf } from '../db/database.ts';
import { revocationOrders, tokens } from '../db/schema.ts';
import { isToldToWait } from '../pipeops/limits-table.ts';
import type { ErrorCode, OrderResult } from '../vocabulary.ts';

/** An order as a driver holds it, and what the inventory knows of its token. */
export type ClaimedOrder = RowsOf<ReturnType<typeof claimDueOrders>[1]>[number];

/** The literals of the partial index, without which D1 would not use it. */
const IS_DUE_STATE = sql`${revocationOrders.state} in ('open', 'acknowledged')`;

/**
 * Claims orders that are due, those that have waited longest first, and reads them, in one batch of two queries. A claimed
 * order is due again when its lease ends: so no two drivers send one order at once, and one that died is taken over. While
 * PipeOps says wait, nothing is due.
 *
 * @param deliveryId of that delivery alone; null: of all.
 */
export function claimDueOrders({ build }: Database, nowMs: number, claim: string, deliveryId: string | null) {
  const due = build
    .select({ id: revocationOrders.id })
    .from(revocationOrders)
    .where(
      and(
        IS_DUE_STATE,
        lte(revocationOrders.next_at, nowMs),
        deliveryId === null ? undefined : eq(revocationOrders.delivery_id, deliveryId),
        not(isToldToWait(nowMs)),
      ),
    )
    .orderBy(asc(revocationOrders.next_at))
    .limit(ORDERS_BATCH_ROWS);
  return [
    build
      .update(revocationOrders)
      .set({ claim, next_at: nowMs + ORDERS_LEASE_MS, tries: sql`${revocationOrders.tries} + 1` })
      .where(inArray(revocationOrders.id, due)),
    build
      .select({
        id: revocationOrders.id,
        delivery_id: revocationOrders.delivery_id,
        workspace_uuid: revocationOrders.workspace_uuid,
        token_id: revocationOrders.token_id,
        mode: revocationOrders.mode,
        confirms: sql<number>`${revocationOrders.rank} = 0`.as('confirms'),
        state: revocationOrders.state,
        tries: revocationOrders.tries,
        created_at: revocationOrders.created_at,
        begun_at: revocationOrders.begun_at,
        /** 1: the inventory holds it. */
        known: sql<number>`${tokens.token_id} is not null`.as('known'),
        revoked_at: tokens.revoked_at,
      })
      .from(revocationOrders)
      .leftJoin(
        tokens,
        and(eq(tokens.workspace_uuid, revocationOrders.workspace_uuid), eq(tokens.token_id, revocationOrders.token_id)),
      )
      .where(
        and(
          eq(revocationOrders.claim, claim),
          IS_DUE_STATE,
          // By the index: what is claimed now is due when this lease ends, and not before.
          eq(revocationOrders.next_at, nowMs + ORDERS_LEASE_MS),
        ),
      )
      .orderBy(asc(revocationOrders.created_at)),
  ] as const;
}

/** Ends an order, where `guard` holds: where its row in the trail carries the outcome. */
export const finishOrder = (
  { build }: Database,
  id: string,
  end: {
    readonly state: 'acknowledged' | 'confirmed' | 'failed';
    readonly result: OrderResult | null;
    readonly errorCode: ErrorCode | null;
    readonly nowMs: number;
  },
  guard: SQL,
) =>
  build
    .update(revocationOrders)
    .set({
      state: end.state,
      result: end.result,
      error_code: end.errorCode,
      // The confirmation has a pause of its own, and begins at once.
      ...(end.state === 'acknowledged' && { tries: 0, begun_at: end.nowMs }),
      ...(end.state !== 'failed' && { acknowledged_at: end.nowMs }),
    })
    .where(and(eq(revocationOrders.id, id), guard));

/** The guard of an order whose row was settled before: that this driver still holds it, unconfirmed. */
export const isHeld = (claim: string): SQL =>
  sql`${revocationOrders.claim} = ${claim} and ${revocationOrders.state} = 'acknowledged'`;

/** Puts a claimed order off. One that another driver has claimed since is left alone. */
export const postponeOrder = (
  { build }: Database,
  claim: string,
  id: string,
  nextAtMs: number,
  errorCode: ErrorCode | null,
) =>
  build
    .update(revocationOrders)
    .set({ next_at: nextAtMs, error_code: errorCode, claim: null })
    .where(and(eq(revocationOrders.id, id), eq(revocationOrders.claim, claim), IS_DUE_STATE));

/** Gives back orders that were claimed and not tried: they are due again at once. */
export const releaseOrders = ({ build }: Database, claim: string, ids: readonly string[], nowMs: number) =>
  build
    .update(revocationOrders)
    .set({ next_at: nowMs, tries: sql`max(${revocationOrders.tries} - 1, 0)`, claim: null })
    .where(and(inArray(revocationOrders.id, listed(ids)), eq(revocationOrders.claim, claim), IS_DUE_STATE));

/** Notes that revoked tokens are no longer listed. */
export const confirmOrders = ({ build }: Database, claim: string, ids: readonly string[], nowMs: number) =>
  build
    .update(revocationOrders)
    .set({ state: 'confirmed', confirmed_at: nowMs, error_code: null })
    .where(
      and(
        inArray(revocationOrders.id, listed(ids)),
        eq(revocationOrders.claim, claim),
        eq(revocationOrders.state, sql`'acknowledged'`),
      ),
    );

/** Any number of ids in one parameter: D1 takes a hundred. */
const listed = (ids: readonly string[]): SQL => sql`(select value from json_each(${JSON.stringify(ids)}))`;
