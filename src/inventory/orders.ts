import { and, eq, inArray, sql, type SQL } from 'drizzle-orm';
import { type Actor, attemptedRow, eventSubject, type Origin, SYSTEM_ACTOR, systemOrigin } from '../trail/event.ts';
import { insertEventWhere, insertListedEvents, type ListedRow, listedRow } from '../trail/statements.ts';
import { ORDERS_BACKOFF_FIRST_MS, ORDERS_BACKOFF_MAX_MS } from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { each, selectedRow } from '../db/sql.ts';
import { auditEvents, revocationOrders, subjectBlocks, tokens, webhookDeliveries } from '../db/schema.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { TokenRef } from '../pipeops/types.ts';
import { IS_BLOCK_OF_OWNER } from '../subjects/blocks.ts';
import type { OrderCause, RevocationMode } from '../vocabulary.ts';
import {
  before,
  GIVEN_UP,
  IDLE,
  isBefore,
  isIn,
  isNotIn,
  STATE_LITERALS,
  type NewState,
  ORDER_ACTIONS,
  ORDER_STATE,
  written,
} from '../revocation/orders/states.ts';
import { ITEM_ID, seenRow, type Recording } from './recording.ts';

// Orders that any room may make or move, each in the batch that makes it necessary.

/**
 * Which orders are driven first, the lowest rank before others: leaks, then live tokens, then expired ones. `unknown` is an order
 * in a workspace of which nothing was known when it came. The workspace may be made up, so a few a minute are asked about, last.
 * `scheduled` is an order whose time has not come: it is not driven, and of a rank of its own, so that those that are due are found by
 * the index of all orders and no lease reads them.
 */
export const ORDER_RANKS = { leak: 0, live: 1, expired: 2, unknown: 3, scheduled: 4 } as const;

/** A new order. Its id is that of its row in the trail. */
export interface NewOrder extends TokenRef {
  readonly id: string;
  readonly cause: OrderCause;
  readonly mode: RevocationMode;
  /** Acknowledged if PipeOps has said 2xx to the very call that this order stands for. */
  readonly state: NewState;
  readonly nowMs: number;
  /** When a scheduled order begins. Every other order is due at once. */
  readonly dueAtMs?: number;
}

/** Inserts an order where `guard` holds and its id is new. The caller inserts its row in the trail. */
export const insertOrder = ({ build }: Pick<Database, 'build'>, order: NewOrder, guard: SQL) => {
  const isAcknowledged = order.state === ORDER_STATE.acknowledged;
  const row = {
    id: order.id,
    cause: order.cause,
    delivery_id: null,
    workspace_uuid: order.workspaceUuid,
    token_id: order.tokenId,
    mode: order.mode,
    rank: order.state === ORDER_STATE.scheduled ? ORDER_RANKS.scheduled : ORDER_RANKS.live,
    state: order.state,
    result: isAcknowledged ? (order.mode === 'revoke' ? 'revoked' : 'suspended') : null,
    tries: 0,
    next_at: order.dueAtMs ?? order.nowMs,
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
  origin: Origin,
  actor: Actor,
  order: NewOrder,
  detail: Readonly<Record<string, unknown>>,
  guard: SQL,
): readonly Query[] {
  const { workspaceUuid, tokenId, mode } = order;
  const subject = eventSubject(ORDER_ACTIONS[mode], actor, {
    workspaceUuid,
    tokenId,
    detail: { ...detail, ...(mode === 'suspend' && { is_active: false }) },
  });
  const row = attemptedRow(order.id, order.nowMs, origin, subject);
  return [insertEventWhere(database, row, guard), insertOrder(database, order, guard)];
}

/** The end of a token that a rotation has replaced. */
export interface Retirement extends TokenRef {
  /** The id of the order, and of its row in the trail. */
  readonly id: string;
  /** The id of the token that has taken its place. */
  readonly replacedBy: string;
  readonly dueAtMs: number;
  readonly nowMs: number;
}

/**
 * Orders that a rotated token be revoked when it is due, where `guard` holds: for the batch that settles the mint of its successor. If
 * it is due now, the order is open and has its `attempted` row. If it is due later, the order is scheduled and has no row yet, since a
 * row that is attempted for days would count as unsettled. `beginDueOrders` inserts that row, and names the successor as
 * `tokens.replaced_by` does.
 */
export function retireQueries(
  database: Database,
  origin: Origin,
  { replacedBy, dueAtMs, ...retirement }: Retirement,
  guard: SQL,
): readonly Query[] {
  const order = { ...retirement, cause: 'rotation', mode: 'revoke' } as const;
  if (dueAtMs > order.nowMs) return [insertOrder(database, { ...order, state: ORDER_STATE.scheduled, dueAtMs }, guard)];
  const open = { ...order, state: ORDER_STATE.open };
  return orderAnew(database, systemOrigin(origin), SYSTEM_ACTOR, open, { replaced_by: replacedBy }, guard);
}

/**
 * Opens the revoke orders of a token again, where `guard` holds: the token is alive, although PipeOps has acknowledged them, a look
 * has confirmed them, or they were given up. An order that is open already goes on as it is.
 */
export const reopenOrders = (
  database: Pick<Database, 'build'>,
  { workspaceUuid, tokenId }: TokenRef,
  nowMs: number,
  guard: SQL,
) => reopenOrdersOf(database, workspaceUuid, sql`(select ${tokenId} where ${guard})`, nowMs);

/** Opens the revoke orders again of the tokens that a subquery names. See `reopenOrders`. */
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
        // Nothing contradicts an order that was given up, since nobody said that it was done.
        contradicted_at: sql`iif(state = ${STATE_LITERALS.failed}, contradicted_at, coalesce(contradicted_at, ${nowMs}))`,
      }),
      claim: null,
    })
    .where(
      sql`workspace_uuid = ${workspaceUuid} and token_id in ${tokenIds} and mode = 'revoke'
            and ${isBefore('reopen')}`,
    );

/** Tries go on being counted while an order is contradicted: a PipeOps that only says 2xx is asked less and less often. */
const BACKOFF_MS = sql`min(${ORDERS_BACKOFF_FIRST_MS} << min(tries, 20), ${ORDERS_BACKOFF_MAX_MS})`;

/** Inserts the row that says that a token is alive whose revoke PipeOps had acknowledged, where `guard` holds: one a token and day (UTC). */
export const contradictionRow = (recording: Contradicted, tokenId: string, eventId: string, guard: SQL) =>
  contradictionRows(
    recording,
    [{ id: tokenId, contradiction: contradictionOf(recording, { id: eventId, token_id: tokenId }) }],
    guard,
  );

type Contradicted = Omit<Recording, 'begunAtMs' | 'newId'>;

const contradictedRow = (recording: Contradicted) =>
  seenRow(recording, 'service_account_token.revoke', { status: 'failure', errorCode: 'revocation_contradicted' });

/** What an item of `contradictionRows` says of its row. */
export const contradictionOf = (recording: Contradicted, own: { readonly id: string; readonly token_id: string }) =>
  listedRow(recording.database, contradictedRow(recording), own);

/**
 * Inserts the row of `contradictionRow` for each of the items, as `e`, of which a condition holds.
 *
 * @param items each with the id of its token and, as `contradiction`, its row.
 */
export function contradictionRows(
  recording: Contradicted,
  items: readonly { readonly id: string; readonly contradiction: ListedRow }[],
  condition: SQL,
) {
  const { database, workspaceUuid, nowMs } = recording;
  const dayBeginMs = nowMs - (nowMs % DAY_MS);
  return insertListedEvents(
    database,
    contradictedRow(recording),
    items,
    'contradiction',
    sql`from ${each(items)} where ${condition} and not exists (select 1 from audit_events as today
          where today.token_id = ${ITEM_ID} and ${canonicalWorkspace('today.workspace_uuid')} = ${workspaceUuid}
            and today.error_code = 'revocation_contradicted' and today.occurred_at >= ${dayBeginMs}
            and today.occurred_at < ${dayBeginMs + DAY_MS})`,
  );
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Notes that PipeOps has acknowledged the revoke that an open order stands for, where `guard` holds. Looks at the token follow. */
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

/** Ends the suspensions of a token that a resume has lifted, where `guard` holds. */
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

/**
 * Puts another revoke of a token in the place of those that were given up and that no delivery can retry, where `guard` holds: nothing is
 * left of them to look into.
 */
export const replaceGivenUp = ({ build }: Pick<Database, 'build'>, { workspaceUuid, tokenId }: TokenRef, guard: SQL) =>
  build
    .update(revocationOrders)
    .set(written('replace', { next_at: null, contradicted_at: null }))
    .where(
      sql`workspace_uuid = ${workspaceUuid} and token_id = ${tokenId} and mode = 'revoke' and delivery_id is null
            and ${isIn('state', GIVEN_UP)} and ${guard}`,
    );

/** Whether there is an order of this id, as a condition of the batch that it stands in. */
export const isOrder = (id: string): SQL => sql`exists (select 1 from ${revocationOrders} as o where o.id = ${id})`;

/** The id of the oldest open order to revoke a token, or null. */
export const openRevocation = ({ workspaceUuid, tokenId }: TokenRef): SQL =>
  sql`(select o.id from ${revocationOrders} as o where o.workspace_uuid = ${workspaceUuid} and o.token_id = ${tokenId}
    and o.mode = 'revoke' and o.state = ${STATE_LITERALS.open} order by o.created_at limit 1)`;

/**
 * Whether the change of a token that this event attempted must not stand, as a condition of the batch that settles it: PipeOps
 * may have carried it out after what an order or a block asked for. That is so if an order of the token is open, was made after
 * the attempt was recorded, or was acknowledged since; and if the token's owner was blocked after the attempt.
 *
 * What came later is told by its place in the trail, since clocks differ. A lifted order counts no more, and another order has
 * taken the place of a retried one. A scheduled one counts from when it begins.
 *
 * @param mode count only orders and blocks of this mode.
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
        and (o.state = ${STATE_LITERALS.open}
          or (${isNotIn('o.state', IDLE)} and (o.acknowledged_at >= ${begunAt} or ${isAfter('o.id')}))))
    or exists (select 1 from ${tokens} as t
      join ${subjectBlocks} as b on ${IS_BLOCK_OF_OWNER}
      join ${webhookDeliveries} as d on d.id = b.delivery_id
      where t.workspace_uuid = ${workspaceUuid} and t.token_id = ${tokenId} and ${isMeantBlock} and ${isAfter('d.event_id')}))`;
}
