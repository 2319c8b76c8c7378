import { and, eq, getTableColumns, isNull, sql, type SQL } from 'drizzle-orm';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { revocationOrders, tokens } from '../db/schema.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { TokenRef } from '../pipeops/types.ts';
import { IDLE, isBefore, isNotIn, ORDER_STATE, written } from '../revocation/orders/states.ts';
import { settledColumns } from '../trail/event.ts';
import { settleEventWhere } from '../trail/statements.ts';
import type { AuditStatus } from '../vocabulary.ts';
import { isToken } from './inventory.ts';
import type { Owner } from './token-counts.ts';

// A token is rotated once, by one create of its successor. The claim on it is the id of that create. It needs no release: while the
// create is open nobody else rotates the token, and once it has failed the token is free again.

/** A create of a successor, as it claims the token of its owner. */
export interface RotationClaim {
  readonly ref: TokenRef;
  /** The audit event of the create. */
  readonly eventId: string;
  /** The hash of the create's idempotency key. A create whose key another one holds claims nothing. */
  readonly keyHash: string;
  /** Whoever asks for the rotation. It claims no token but its own, so that nobody keeps an owner from rotating. */
  readonly owner: Owner;
}

/** Claims a token, where `guard` holds: unless it was rotated, or another rotation of it may still succeed. */
export const claimRotation = (
  { build }: Pick<Database, 'build' | 'rowMac'>,
  { ref, eventId, keyHash, owner }: RotationClaim,
  guard: SQL,
) =>
  build
    .update(tokens)
    .set({ rotation_event_id: eventId })
    .where(
      and(
        isToken(ref),
        eq(tokens.owner_issuer, owner.issuer),
        eq(tokens.owner_subject, owner.subject),
        isNull(tokens.replaced_by),
        sql`(${tokens.rotation_event_id} is null or ${statusOfRotation} = 'failure')`,
        sql`not exists (select 1 from idempotency_keys where key_hash = ${keyHash} and event_id <> ${eventId})`,
        guard,
      ),
    );

/** Whether a create holds the claim on a token, as a condition of a batch. */
export const isClaimedBy = ({ workspaceUuid, tokenId }: TokenRef, eventId: string): SQL =>
  sql`exists (select 1 from tokens as t where t.workspace_uuid = ${workspaceUuid} and t.token_id = ${tokenId}
    and t.rotation_event_id = ${eventId})`;

const statusOfRotation = sql.raw('(select a.status from audit_events as a where a.id = tokens.rotation_event_id)');

/**
 * Whether something asks for the end or the suspension of a token, `t`, or did: an order, or a request whose outcome is open. PipeOps may
 * have carried out that request although nothing here says so yet.
 */
const IS_ORDERED = sql`(exists (select 1 from revocation_orders as o
    where o.workspace_uuid = t.workspace_uuid and o.token_id = t.token_id and ${isNotIn('o.state', IDLE)})
  or exists (select 1 from audit_events as e where e.token_id = t.token_id and e.read_key is null and e.status = 'attempted'
    and ${canonicalWorkspace('e.workspace_uuid')} = t.workspace_uuid
    and (e.action = 'service_account_token.revoke'
      or (e.action = 'service_account_token.update' and e.detail ->> 'is_active' = 0))))`;

/** Selects a token that is to be rotated, and what bears on that. */
export const selectRotating = ({ build }: Pick<Database, 'build' | 'rowMac'>, ref: TokenRef) =>
  build
    .select({
      ...getTableColumns(tokens),
      /** How far the create is that claims it; null: none does. */
      rotation_status: sql<AuditStatus | null>`${statusOfRotation}`.as('rotation_status'),
      /** 1 if it is ordered to be revoked or suspended, or somebody is about to do so. */
      is_ordered:
        sql<number>`exists (select 1 from tokens as t where t.workspace_uuid = ${ref.workspaceUuid} and t.token_id = ${ref.tokenId}
          and ${IS_ORDERED})`.as('is_ordered'),
    })
    .from(tokens)
    .where(isToken(ref));

export type RotatingRow = RowsOf<ReturnType<typeof selectRotating>>[number];

/**
 * Whether a token must have no such successor by now, as a condition of the batch that settles the create: it is not claimed by that
 * create any more, has expired, was revoked, suspended or ordered, or an update changed its scopes. Its owner is the caller, who is looked
 * up by itself: whoever is meant by a label is blocked by subject too, and a label that is somebody else's by now means nobody.
 *
 * @param scopes what the successor was granted, as it was recorded.
 */
export const isOutOfRotation = (
  { workspaceUuid, tokenId }: TokenRef,
  eventId: string,
  scopes: string | null,
  nowMs: number,
): SQL =>
  sql`not exists (select 1 from tokens as t where t.workspace_uuid = ${workspaceUuid} and t.token_id = ${tokenId}
      and t.rotation_event_id = ${eventId} and t.replaced_by is null and t.revoked_at is null and t.suspended_by is null
      and t.scopes is ${scopes} and (t.expires_at is null or t.expires_at > ${nowMs})
      and not ${IS_ORDERED})`;

/** Notes which token has taken a token's place, and until when both live, where `guard` holds. */
export const markRotated = (
  { build }: Pick<Database, 'build' | 'rowMac'>,
  ref: TokenRef,
  { replacedBy, retiresAtMs }: { readonly replacedBy: string; readonly retiresAtMs: number },
  guard: SQL,
) =>
  build
    .update(tokens)
    .set({ replaced_by: replacedBy, retires_at: retiresAtMs })
    .where(and(isToken(ref), guard));

/** A rotation whose successor is withheld. */
export interface UndeliveredRotation {
  readonly ref: TokenRef;
  /** The audit event of the create. */
  readonly eventId: string;
  /** The order that was to revoke the token. */
  readonly orderId: string;
  /** The id of the successor. */
  readonly replacedBy: string;
  readonly nowMs: number;
}

/**
 * Takes back what the batch that settled a rotation has written about the token, where `guard` holds: the successor is withheld, since
 * nobody heard that the batch was committed. The token lives on and can be rotated again. If a driver has begun to revoke it, nothing is
 * taken back.
 */
export function undoRotation(
  database: Pick<Database, 'build' | 'rowMac'>,
  { ref, eventId, orderId, replacedBy, nowMs }: UndeliveredRotation,
  guard: SQL,
): readonly Query[] {
  const isCalledOff = sql`exists (select 1 from revocation_orders as o where o.id = ${orderId} and o.state = ${ORDER_STATE.lifted})`;
  const notApplied = settledColumns(nowMs, ref.tokenId, {
    status: 'failure',
    upstreamStatus: null,
    errorCode: 'not_applied',
    detail: { undelivered_create: eventId },
  });
  return [
    database.build
      .update(revocationOrders)
      .set(written('callOff', { next_at: null }))
      .where(sql`id = ${orderId} and ${isBefore('callOff')} and claim is null and ${guard}`),
    settleEventWhere(database, orderId, notApplied, isCalledOff),
    database.build
      .update(tokens)
      .set({ replaced_by: null, retires_at: null, rotation_event_id: null })
      .where(
        and(
          isToken(ref),
          eq(tokens.rotation_event_id, eventId),
          eq(tokens.replaced_by, replacedBy),
          sql`${isCalledOff} and ${guard}`,
        ),
      ),
  ];
}
