import { sql, type SQL } from 'drizzle-orm';
import { attemptedRow, type Actor } from '../audit/events.ts';
import { insertEventWhere } from '../audit/insert-where.ts';
import type { Database, Query } from '../db/database.ts';
import { selectedRow } from '../db/insert-select.ts';
import { revocationOrders } from '../db/schema.ts';
import type { TokenRef } from '../pipeops/types.ts';
import type { RequestContext } from '../request-context.ts';
import type { OrderCause, RevocationMode } from '../vocabulary.ts';

// Orders that other rooms than that of webhooks make, each with the batch that makes it necessary.

/** In which order orders are driven: a leak before all else, and what has expired last. */
export const ORDER_RANKS = { leak: 0, live: 1, expired: 2 } as const;

/** A new order. Its id is that of its row in the trail. */
export interface NewOrder extends TokenRef {
  readonly id: string;
  readonly cause: OrderCause;
  readonly mode: RevocationMode;
  /** `acknowledged`: PipeOps has said 2xx to the very call that this order stands for. */
  readonly state: 'open' | 'acknowledged';
  readonly nowMs: number;
}

/** Inserts an order where `guard` holds and none of its id is there. Its row in the trail is inserted by somebody else. */
export const insertOrder = ({ build }: Pick<Database, 'build'>, order: NewOrder, guard: SQL) => {
  const isAcknowledged = order.state === 'acknowledged';
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
