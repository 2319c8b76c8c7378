import { and, eq, getTableColumns, isNull, sql, type SQL } from 'drizzle-orm';
import type { Database, RowsOf } from '../db/database.ts';
import { tokens } from '../db/schema.ts';
import type { TokenRef } from '../pipeops/types.ts';
import { IDLE, isNotIn } from '../revocation/orders/states.ts';
import { IS_BLOCK_OF_OWNER } from '../subjects/blocks.ts';
import type { AuditStatus } from '../vocabulary.ts';
import { isToken } from './inventory.ts';

// A token is rotated once, by one create of its successor. The claim on it is the id of that create. It needs no release: while the
// create is open nobody else rotates the token, and once it has failed the token is free again.

/**
 * Claims a token for the create that rotates it, where `guard` holds: unless it was rotated, or another rotation of it may still succeed.
 *
 * @param keyHash the hash of the create's idempotency key. A create whose key another one holds claims nothing.
 */
export const claimRotation = (
  { build }: Pick<Database, 'build'>,
  ref: TokenRef,
  eventId: string,
  keyHash: string,
  guard: SQL,
) =>
  build
    .update(tokens)
    .set({ rotation_event_id: eventId })
    .where(
      and(
        isToken(ref),
        isNull(tokens.replaced_by),
        sql`(${tokens.rotation_event_id} is null or ${statusOfRotation} = 'failure')`,
        sql`not exists (select 1 from idempotency_keys where key_hash = ${keyHash} and event_id <> ${eventId})`,
        guard,
      ),
    );

const statusOfRotation = sql.raw('(select a.status from audit_events as a where a.id = tokens.rotation_event_id)');

/** Whether an order asks for something of a token, `t`, or did. */
const IS_ORDERED = sql`exists (select 1 from revocation_orders as o
  where o.workspace_uuid = t.workspace_uuid and o.token_id = t.token_id and ${isNotIn('o.state', IDLE)})`;

/** Selects a token that is to be rotated, and what bears on that. */
export const selectRotating = ({ build }: Pick<Database, 'build'>, ref: TokenRef) =>
  build
    .select({
      ...getTableColumns(tokens),
      /** How far the create is that claims it; null: none does. */
      rotation_status: sql<AuditStatus | null>`${statusOfRotation}`.as('rotation_status'),
      /** 1 if it is ordered to be revoked or suspended. */
      is_ordered: sql<number>`exists (select 1 from revocation_orders as o where o.workspace_uuid = ${ref.workspaceUuid}
        and o.token_id = ${ref.tokenId} and ${isNotIn('o.state', IDLE)})`.as('is_ordered'),
    })
    .from(tokens)
    .where(and(eq(tokens.workspace_uuid, ref.workspaceUuid), eq(tokens.token_id, ref.tokenId)));

export type RotatingRow = RowsOf<ReturnType<typeof selectRotating>>[number];

/**
 * Whether a token must have no such successor by now, as a condition of the batch that settles the create: it is not claimed by that
 * create any more, was revoked, suspended or ordered, an update changed its scopes, or its owner was blocked, under whatever label it
 * was minted.
 *
 * @param scopes what the successor was granted, as it was recorded.
 */
export const isOutOfRotation = ({ workspaceUuid, tokenId }: TokenRef, eventId: string, scopes: string | null): SQL =>
  sql`not exists (select 1 from tokens as t where t.workspace_uuid = ${workspaceUuid} and t.token_id = ${tokenId}
      and t.rotation_event_id = ${eventId} and t.replaced_by is null and t.revoked_at is null and t.suspended_by is null and t.scopes is ${scopes}
      and not ${IS_ORDERED} and not exists (select 1 from subject_blocks as b where ${IS_BLOCK_OF_OWNER}))`;

/** Notes which token has taken a token's place, and until when both live, where `guard` holds. */
export const markRotated = (
  { build }: Pick<Database, 'build'>,
  ref: TokenRef,
  { replacedBy, retiresAtMs }: { readonly replacedBy: string; readonly retiresAtMs: number },
  guard: SQL,
) =>
  build
    .update(tokens)
    .set({ replaced_by: replacedBy, retires_at: retiresAtMs })
    .where(and(isToken(ref), guard));
