import { sql, type SQL } from 'drizzle-orm';
import { CONTRADICTION_AFTER_MS, TOKEN_NAME_MAX_BYTES } from '../config/limits.ts';
import type { Query } from '../db/database.ts';
import { revocationOrders, tokens } from '../db/schema.ts';
import { each, selectedRow } from '../db/sql.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import { nextNoticeMs } from './grant.ts';
import { contradictionOf, contradictionRows, ORDER_RANKS, reopenOrdersOf } from './orders.ts';
import type { LookRow } from './looks.ts';
import { ITEM_ID, orderRow, type Recording, seenRow } from './recording.ts';
import { cutToBytes } from '../kit/bytes.ts';
import { markerOf } from '../kit/marker.ts';
import { msOrNull } from '../kit/time.ts';
import type { UpstreamToken } from '../pipeops/types.ts';
import { IS_BLOCK_OF_OWNER } from '../subjects/blocks.ts';
import { insertListedEvents, listedRow } from '../trail/statements.ts';
import type { RevocationMode } from '../vocabulary.ts';
import {
  IDLE,
  isBefore,
  isIn,
  isNotIn,
  STATE_LITERALS,
  LOOKED_AT,
  ORDER_STATE,
  written,
} from '../revocation/orders/states.ts';

/**
 * The statements that undo the ends of tokens that a later look refutes. They order a token anew whose owner is blocked, that was ever
 * ordered, or whose DELETE was asked for. All of them take effect only where the end is still the one that was judged.
 *
 * A revoke goes before a suspension. A token that was only ever suspended contradicts nothing by being alive: it is ordered anew where
 * PipeOps does not say that it is inactive.
 *
 * @param active whether each token is active, as the look says.
 */
export function reappearanceQueries(
  recording: Recording,
  reappeared: readonly LookRow[],
  active: ReadonlyMap<string, boolean | null>,
): readonly Query[] {
  if (reappeared.length === 0) return [];
  const { database, workspaceUuid, nowMs, newId } = recording;
  const seen = seenRow(recording, 'service_account_token.create', {
    status: 'success',
    errorCode: 'reappeared_upstream',
  });
  const items = reappeared.map((row) => ({
    id: row.token_id,
    event: listedRow(database, seen, { id: newId(), token_id: row.token_id }),
    contradiction: contradictionOf(recording, { id: newId(), token_id: row.token_id }),
    order: newId(),
    revoked_at: row.revoked_at,
    ended_by: row.ended_by,
    is_active: active.get(row.token_id) ?? null,
  }));
  const all = each(items);
  const isStill = sql`exists (select 1 from tokens as t where t.workspace_uuid = ${workspaceUuid} and t.token_id = ${ITEM_ID}
      and t.revoked_at = e.value ->> 'revoked_at' and t.ended_by is e.value ->> 'ended_by')`;
  const hasOrder = hasOrderIn(workspaceUuid);
  const isContradicted = sql`(e.value ->> 'ended_by' is 'acknowledged'
      or ${hasOrder(sql`o.mode = 'revoke' and ${isIn('o.state', LOOKED_AT)}`)})`;
  const isToRevoke = sql`(${isAskedFor(workspaceUuid)} or ${isBlockedIn(workspaceUuid, 'revoke')})`;
  const isToSuspend = isBlockedIn(workspaceUuid, 'suspend');
  const maySuspend = sql`e.value ->> 'is_active' is not 0 and not ${hasOrder(sql`o.state = ${STATE_LITERALS.open}`)}`;
  const idsWhere = (condition: SQL): SQL => sql`(select ${ITEM_ID} from ${all} where ${isStill} and ${condition})`;
  return [
    insertListedEvents(
      database,
      seen,
      items,
      'event',
      sql`from ${all} where ${isStill} and e.value ->> 'ended_by' is not 'acknowledged'`,
    ),
    contradictionRows(recording, items, sql`${isStill} and ${isContradicted}`),
    reopenOrdersOf(database, workspaceUuid, idsWhere(sql`true`), nowMs),
    newOrders(
      recording,
      'revoke',
      sql`from ${all} where ${isStill} and not ${hasOrder(sql`o.mode = 'revoke' and ${isNotIn('o.state', IDLE)}`)} and ${isToRevoke}`,
    ),
    reopenSuspensions(recording, idsWhere(maySuspend)),
    newOrders(recording, 'suspend', sql`from ${all} where ${isStill} and ${maySuspend} and ${isToSuspend}`),
    recordOrders(recording, 'revoke', items),
    recordOrders(recording, 'suspend', items),
    database.build
      .update(tokens)
      .set({
        revoked_at: null,
        ended_by: null,
        unseen_at: null,
        expiry_notice_at: sql`iif(${tokens.expires_at} is null, null, coalesce(${tokens.expiry_notice_at}, ${nowMs}))`,
      })
      .where(
        sql`workspace_uuid = ${workspaceUuid} and exists (select 1 from ${all} where ${ITEM_ID} = tokens.token_id
              and e.value ->> 'revoked_at' = tokens.revoked_at and e.value ->> 'ended_by' is tokens.ended_by)`,
      ),
  ];
}

/** Whether an item's token has an order, `o`, that fits the condition. */
const hasOrderIn =
  (workspaceUuid: string) =>
  (condition: SQL): SQL =>
    sql`exists (select 1 from revocation_orders as o
      where o.workspace_uuid = ${workspaceUuid} and o.token_id = ${ITEM_ID} and ${condition})`;

/** Whether a DELETE of an item's token was asked for and not refused. A row about what a look saw is nobody's wish. */
const isAskedFor = (workspaceUuid: string): SQL => sql`exists (select 1 from audit_events as a
    where a.token_id = ${ITEM_ID} and ${canonicalWorkspace('a.workspace_uuid')} = ${workspaceUuid} and a.action = 'service_account_token.revoke'
      and a.status = 'success' and a.error_code is null)`;

/** Whether the owner of an item's token is blocked by a delivery of that mode. One without a mode revokes. */
const isBlockedIn = (workspaceUuid: string, mode: RevocationMode): SQL => sql`exists (select 1 from tokens as t
    join subject_blocks as b on ${IS_BLOCK_OF_OWNER}
    left join webhook_deliveries as d on d.id = b.delivery_id
    where t.workspace_uuid = ${workspaceUuid} and t.token_id = ${ITEM_ID} and coalesce(d.mode, 'revoke') = ${mode})`;

function newOrders({ database, workspaceUuid, nowMs }: Recording, mode: RevocationMode, source: SQL) {
  const row = {
    id: sql.raw(`e.value ->> 'order'`),
    cause: 'system',
    workspace_uuid: workspaceUuid,
    token_id: ITEM_ID,
    mode,
    rank: ORDER_RANKS.live,
    state: ORDER_STATE.open,
    tries: 0,
    next_at: nowMs,
    created_at: nowMs,
    confirm_round: 0,
    contradicted_at: mode === 'revoke' ? sql`iif(e.value ->> 'ended_by' is 'acknowledged', ${nowMs}, null)` : null,
  };
  return database.build.insert(revocationOrders).select(sql`select ${selectedRow(revocationOrders, row)} ${source}`);
}

const reopenSuspensions = ({ database: { build }, workspaceUuid, nowMs }: Recording, ids: SQL) =>
  build
    .update(revocationOrders)
    .set({ ...written('suspendAgain', { next_at: nowMs, begun_at: null, confirm_round: 0 }), claim: null })
    .where(
      sql`workspace_uuid = ${workspaceUuid} and token_id in ${ids} and mode = 'suspend'
            and ${isBefore('suspendAgain')}`,
    );

/** Records in the trail which orders of this mode were made for items, before anything is sent. */
function recordOrders(
  recording: Recording,
  mode: RevocationMode,
  made: readonly { readonly id: string; readonly order: string }[],
) {
  const row = orderRow(recording, mode, { reappeared: true });
  const items = made.map(({ id, order }) => ({
    event: listedRow(recording.database, row, { id: order, token_id: id }),
  }));
  return insertListedEvents(
    recording.database,
    row,
    items,
    'event',
    sql`from ${each(items)} join ${revocationOrders} as o on o.id = e.value ->> '$.event.id' where o.mode = ${mode}`,
  );
}

/**
 * The statements that record tokens that nobody made here, and adopt them without an owner: only a role with `tokens: 'any'` reaches
 * them. A token whose name ends with a marker that a row of the trail has belongs to that create.
 *
 * A token that was ordered by its id alone may be listed alive after PipeOps has acknowledged its revoke. At first that is lag, and the
 * token is adopted as one that has ended. Later it contradicts its order.
 */
export function appearanceQueries(recording: Recording, appeared: readonly UpstreamToken[]): readonly Query[] {
  if (appeared.length === 0) return [];
  const { database, workspaceUuid, begunAtMs, nowMs, newId } = recording;
  const seen = seenRow(recording, 'service_account_token.create', {
    status: 'success',
    errorCode: 'appeared_upstream',
  });
  const items = appeared.map((token) => {
    const name = cutToBytes(token.name, TOKEN_NAME_MAX_BYTES);
    return {
      id: token.id,
      event: listedRow(database, seen, { id: newId(), token_id: token.id, token_name: name }),
      contradiction: contradictionOf(recording, { id: newId(), token_id: token.id }),
      marker: markerOf(token.name),
      name,
      expires_at: msOrNull(token.expiresAt),
      prefix: token.tokenPrefix,
      notice_at: nextNoticeMs({ beganAtMs: nowMs, expiresAtMs: msOrNull(token.expiresAt) }, nowMs),
    };
  });
  const event = sql.raw(`e.value ->> '$.event.id'`);
  const isRecorded = sql`exists (select 1 from audit_events as a where a.id = ${event})`;
  const row = {
    workspace_uuid: workspaceUuid,
    token_id: ITEM_ID,
    create_event_id: event,
    created_at: nowMs,
    expires_at: sql.raw(`e.value ->> 'expires_at'`),
    revoked_at: acknowledgedAt(workspaceUuid),
    ended_by: sql`iif(${acknowledgedAt(workspaceUuid)} is null, null, 'acknowledged')`,
    token_prefix: sql.raw(`e.value ->> 'prefix'`),
    name: sql.raw(`e.value ->> 'name'`),
    expiry_notice_at: sql.raw(`e.value ->> 'notice_at'`),
  };
  const isOld = sql`o.acknowledged_at <= ${begunAtMs - CONTRADICTION_AFTER_MS}`;
  return [
    insertListedEvents(
      database,
      seen,
      items,
      'event',
      sql`from ${each(items)} where not exists (select 1 from tokens as t
            where t.workspace_uuid = ${workspaceUuid} and t.token_id = ${ITEM_ID}) and not ${isOwnMarker(workspaceUuid)}`,
    ),
    contradictionRows(recording, items, sql`${isRecorded} and ${isAcknowledged(workspaceUuid, isOld)}`),
    reopenOrdersOf(
      database,
      workspaceUuid,
      sql`(select ${ITEM_ID} from ${each(items)} where ${isRecorded} and ${isAcknowledged(workspaceUuid, isOld)})`,
      nowMs,
    ),
    database.build
      .insert(tokens)
      .select(sql`select ${selectedRow(tokens, row)} from ${each(items)} where ${isRecorded}`)
      .onConflictDoNothing(),
  ];
}

/**
 * Whether a row of the trail has the marker that an item's name ends with. The marker of a create that succeeded belongs to its own
 * token alone: a copy of the name is another token.
 */
const isOwnMarker = (workspaceUuid: string): SQL => sql`exists (select 1 from audit_events as a
    where a.marker = e.value ->> 'marker' and ${canonicalWorkspace('a.workspace_uuid')} = ${workspaceUuid}
      and not (a.status = 'success' and a.token_id is not ${ITEM_ID}))`;

/** Whether PipeOps has acknowledged an ordered revoke of an item's token. */
const isAcknowledged = (workspaceUuid: string, isOld: SQL): SQL => sql`exists (select 1 from revocation_orders as o
    where o.workspace_uuid = ${workspaceUuid} and o.token_id = ${ITEM_ID} and o.mode = 'revoke'
      and ${isIn('o.state', LOOKED_AT)} and ${isOld})`;

const acknowledgedAt = (workspaceUuid: string): SQL => sql`(select max(o.acknowledged_at) from revocation_orders as o
    where o.workspace_uuid = ${workspaceUuid} and o.token_id = ${ITEM_ID} and o.mode = 'revoke'
      and ${isIn('o.state', LOOKED_AT)})`;
