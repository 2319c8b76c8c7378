import { and, eq, inArray, sql, type SQL } from 'drizzle-orm';
import { type Actor, attemptedRow } from '../trail/event.ts';
import { insertEventsFrom, insertEventWhere } from '../trail/statements.ts';
import { ORDERS_BACKOFF_FIRST_MS, ORDERS_BACKOFF_MAX_MS } from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { selectedRow } from '../db/sql.ts';
import { auditEvents, revocationOrders, subjectBlocks, tokens, webhookDeliveries } from '../db/schema.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { TokenRef } from '../pipeops/types.ts';
import { IS_BLOCK_OF_OWNER } from '../subjects/blocks.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { OrderCause, RevocationMode } from '../vocabulary.ts';
import {
  before,
  isBefore,
  isNotIn,
  LITERALS,
  type NewState,
  ORDER_STATE,
  WITHDRAWN,
  written,
} from '../revocation/orders/states.ts';
import { each, ITEM_ID, seenRow, type Recording } from './recording.ts';

// Orders that other rooms than that of webhooks make, each with the batch that makes it necessary.

/**
 * In which order orders are driven: a leak before all else, and what has expired behind what lives. `unknown`: in a workspace of
 * which nothing was known when the order came. It may be made up, so it is asked about last, and a few a minute.
 */
export const ORDER_RANKS = { leak: 0, live: 1, expired: 2, unknown: 3 } as const;

/** A new order. Its id is that of its row in the trail. */
export interface NewOrder extends TokenRef {
  readonly id: string;
  readonly cause: OrderCause;
  readonly mode: RevocationMode;
  /** `acknowledged`: PipeOps has said 2xx to the very call that this order stands for. */
  readonly state: NewState;
  readonly nowMs: number;
}

/** Inserts an order where `guard` holds and none of its id is there. Its row in the trail is inserted by somebody else. */
export const insertOrder = ({ build }: Pick<Database, 'build'>, order: NewOrder, guard: SQL) => {
  const isAcknowledged = order.state === ORDER_STATE.acknowledged;
  const row = {
    id: order.id,
    cause: order.cause,
    delivery_id: null,
    workspace_uuid: order.workspaceUuid,
    token_id: order.tokenId,
    mode: order.mode,
    rank: ORDER_RANKS.live,
    state: order.state,
    result: isAcknowledged ? (order.mode === 'revoke' ? 'revoked' : 'suspended') : null,
    tries: 0,
    next_at: order.nowMs,
    created_at: order.nowMs,
    begun_at: isAcknowledged ? order.nowMs : null,
    acknowledged_at: isAcknowledged ? order.nowMs : null,
    confirm_round: 0,
  };
  return build.insert(revocationOrders).select(
    sql`select ${selectedRow(revocationOrders, row)} where ${guard}
          and not exists (select 1 from ${revocationOrders} where id = ${order.id})`,
  );
};

/**
 * An open order and its `attempted` row in the trail, where `guard` holds: the prior record of what its driver will send.
 *
 * @param detail why it was made.
 */
export function orderAnew(
  database: Database,
  context: Pick<RequestContext, 'requestId' | 'ip' | 'userAgent'>,
  actor: Actor,
  order: NewOrder,
  detail: Readonly<Record<string, unknown>>,
  guard: SQL,
): readonly Query[] {
  const { workspaceUuid, tokenId, mode } = order;
  const row = attemptedRow(order.id, order.nowMs, context, {
    action: mode === 'revoke' ? 'service_account_token.revoke' : 'service_account_token.update',
    actor,
    workspaceUuid,
    tokenId,
    tokenName: null,
    detail: { ...detail, ...(mode === 'suspend' && { is_active: false }) },
  });
  return [insertEventWhere(database, row, guard), insertOrder(database, order, guard)];
}

/**
 * Opens the revoke orders of a token again that PipeOps has acknowledged, that a look has confirmed, or that were given up: the
 * token is alive. Where `guard` holds. One that is open already goes on as it is.
 */
export const reopenOrders = (
  database: Pick<Database, 'build'>,
  { workspaceUuid, tokenId }: TokenRef,
  nowMs: number,
  guard: SQL,
) => reopenOrdersOf(database, workspaceUuid, sql`(select ${tokenId} where ${guard})`, nowMs);

/** The same for the tokens that a subquery names. */
export const reopenOrdersOf = (
  { build }: Pick<Database, 'build'>,
  workspaceUuid: string,
  tokenIds: SQL,
  nowMs: number,
) =>
  build
    .update(revocationOrders)
    .set({
      ...written('reopen', {
        next_at: sql`${nowMs} + ${BACKOFF_MS}`,
        begun_at: null,
        confirm_round: 0,
        // What was given up was never said to be done, so nothing contradicts it.
        contradicted_at: sql`iif(state = ${LITERALS.failed}, contradicted_at, coalesce(contradicted_at, ${nowMs}))`,
      }),
      claim: null,
    })
    .where(
      sql`workspace_uuid = ${workspaceUuid} and token_id in ${tokenIds} and mode = 'revoke'
            and ${isBefore('reopen')}`,
    );

/** Tries are counted for as long as an order is contradicted: a PipeOps that only says 2xx is asked less and less often. */
const BACKOFF_MS = sql`min(${ORDERS_BACKOFF_FIRST_MS} << min(tries, 20), ${ORDERS_BACKOFF_MAX_MS})`;

/**
 * The row that says that a token is alive whose revoke PipeOps had acknowledged, where `guard` holds: one a token and day (UTC).
 */
export const contradictionRow = (
  recording: Omit<Recording, 'begunAtMs' | 'newId'>,
  tokenId: string,
  eventId: string,
  guard: SQL,
) => contradictionRows(recording, [{ id: tokenId, contradiction: eventId }], guard);

/**
 * The same for each of the items, as `e`, for which a condition holds.
 *
 * @param items each with the id of its token and, as `contradiction`, that of its row.
 */
export function contradictionRows(
  recording: Omit<Recording, 'begunAtMs' | 'newId'>,
  items: readonly { readonly id: string; readonly contradiction: string }[],
  condition: SQL,
) {
  const { database, workspaceUuid, nowMs } = recording;
  const dayBeginMs = nowMs - (nowMs % DAY_MS);
  const outcome = { status: 'failure', errorCode: 'revocation_contradicted' } as const;
  return insertEventsFrom(
    database,
    seenRow(recording, 'service_account_token.revoke', outcome),
    { id: sql.raw(`e.value ->> 'contradiction'`), token_id: ITEM_ID },
    sql`from ${each(items)} where ${condition} and not exists (select 1 from audit_events as today
          where today.token_id = ${ITEM_ID} and ${canonicalWorkspace('today.workspace_uuid')} = ${workspaceUuid}
            and today.error_code = 'revocation_contradicted' and today.occurred_at >= ${dayBeginMs}
            and today.occurred_at < ${dayBeginMs + DAY_MS})`,
  );
}

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * PipeOps has acknowledged the revoke that an open order stands for, where `guard` holds: it is looked at from now on.
 */
export const acknowledgeOrder = ({ build }: Pick<Database, 'build'>, id: string, nowMs: number, guard: SQL) =>
  build
    .update(revocationOrders)
    .set({
      ...written('acknowledgeElsewhere', {
        result: 'revoked',
        error_code: null,
        tries: 0,
        next_at: nowMs,
        begun_at: null,
        acknowledged_at: nowMs,
        confirm_round: 0,
      }),
      claim: null,
    })
    .where(sql`id = ${id} and ${isBefore('acknowledgeElsewhere')} and ${guard}`);

/** Ends the suspensions that a resume has lifted, where `guard` holds: nothing is left to be looked at. */
export const liftOrders = ({ build }: Pick<Database, 'build'>, ref: TokenRef, guard: SQL) =>
  build
    .update(revocationOrders)
    .set({ ...written('lift', { next_at: null, contradicted_at: null }), claim: null })
    .where(
      and(
        eq(revocationOrders.workspace_uuid, ref.workspaceUuid),
        eq(revocationOrders.token_id, ref.tokenId),
        eq(revocationOrders.mode, 'suspend'),
        inArray(revocationOrders.state, before('lift')),
        guard,
      ),
    );

/** Whether there is an order of this id, as a condition of the batch that it stands in. */
export const isOrder = (id: string): SQL => sql`exists (select 1 from ${revocationOrders} as o where o.id = ${id})`;

/** The id of the oldest open order to revoke a token; null: there is none. */
export const openRevocation = ({ workspaceUuid, tokenId }: TokenRef): SQL =>
  sql`(select o.id from ${revocationOrders} as o where o.workspace_uuid = ${workspaceUuid} and o.token_id = ${tokenId}
    and o.mode = 'revoke' and o.state = ${LITERALS.open} order by o.created_at limit 1)`;

/**
 * Whether a change of a token that was attempted under this event must not stand, as a condition of the batch that settles it:
 * PipeOps may have carried it out after what an order or a block asked for. So it is where an order of the token is open, was
 * made after the attempt was recorded, or was acknowledged since; and where the token's owner was blocked after that.
 *
 * What is made later is compared by its place in the trail, since clocks differ. A lifted order counts no more, and a retried
 * one is followed by another.
 *
 * @param mode only what orders this much.
 */
export function isOvertaken(_database: Pick<Database, 'build'>, eventId: string, ref: TokenRef, mode?: 'revoke'): SQL {
  const { workspaceUuid, tokenId } = ref;
  const isAfter = (id: string): SQL =>
    sql`(select e.seq from ${auditEvents} as e where e.id = ${sql.raw(id)}) > (select a.seq from ${auditEvents} as a where a.id = ${eventId})`;
  const begunAt = sql`(select a.occurred_at from ${auditEvents} as a where a.id = ${eventId})`;
  const isMeantOrder = mode === undefined ? sql`true` : sql`o.mode = ${mode}`;
  const isMeantBlock = mode === undefined ? sql`true` : sql`d.mode is not 'suspend'`;
  return sql`(exists (select 1 from ${revocationOrders} as o
      where o.workspace_uuid = ${workspaceUuid} and o.token_id = ${tokenId} and o.id <> ${eventId} and ${isMeantOrder}
        and (o.state = ${LITERALS.open}
          or (${isNotIn('o.state', WITHDRAWN)} and (o.acknowledged_at >= ${begunAt} or ${isAfter('o.id')}))))
    or exists (select 1 from ${tokens} as t
      join ${subjectBlocks} as b on ${IS_BLOCK_OF_OWNER}
      join ${webhookDeliveries} as d on d.id = b.delivery_id
      where t.workspace_uuid = ${workspaceUuid} and t.token_id = ${tokenId} and ${isMeantBlock} and ${isAfter('d.event_id')}))`;
}
