import { sql, type SQL } from 'drizzle-orm';
import { insertEventsFrom } from '../trail/insert-where.ts';
import { markerOf } from '../kit/marker.ts';
import { CONTRADICTION_AFTER_MS, TOKEN_NAME_MAX_BYTES } from '../config/limits.ts';
import type { Query } from '../db/database.ts';
import { selectedRow } from '../db/sql.ts';
import { tokens } from '../db/schema.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { UpstreamToken } from '../pipeops/types.ts';
import { cutToBytes } from '../kit/caps.ts';
import { msOrNull } from '../kit/time.ts';
import { contradictionRows, reopenOrdersOf } from './orders.ts';
import { each, ITEM_ID, seenRow, type Recording } from './recording.ts';

/**
 * The statements that write down tokens that nobody made here, and adopt them without an owner: only a role with
 * `tokens: 'any'` reaches them. One whose name ends with a marker that a row of ours holds is the token of that create.
 *
 * One that was ordered by its id alone, and whose revoke PipeOps has acknowledged, is listed alive all the same: at first that is
 * lag, and it is adopted as one that has ended; later it contradicts its order.
 */
export function appearanceQueries(recording: Recording, appeared: readonly UpstreamToken[]): readonly Query[] {
  if (appeared.length === 0) return [];
  const { database, workspaceUuid, begunAtMs, nowMs, newId } = recording;
  const items = appeared.map((token) => ({
    id: token.id,
    event: newId(),
    contradiction: newId(),
    marker: markerOf(token.name),
    name: cutToBytes(token.name, TOKEN_NAME_MAX_BYTES),
    expires_at: msOrNull(token.expiresAt),
    prefix: token.tokenPrefix,
  }));
  const event = sql.raw(`e.value ->> 'event'`);
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
  };
  const isOld = sql`o.acknowledged_at <= ${begunAtMs - CONTRADICTION_AFTER_MS}`;
  return [
    insertEventsFrom(
      database,
      seenRow(recording, 'service_account_token.create', { status: 'success', errorCode: 'appeared_upstream' }),
      { id: event, token_id: ITEM_ID, token_name: sql.raw(`e.value ->> 'name'`) },
      sql`from ${each(items)} where not exists (select 1 from tokens as t
            where t.workspace_uuid = ${workspaceUuid} and t.token_id = ${ITEM_ID}) and not ${isHeldMarker(workspaceUuid)}`,
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
 * Whether a row of ours holds the marker that an item's name ends with. That of a create that succeeded is held by its own token
 * alone: a copy of the name is another token.
 */
const isHeldMarker = (workspaceUuid: string): SQL => sql`exists (select 1 from audit_events as a
    where a.marker = e.value ->> 'marker' and ${canonicalWorkspace('a.workspace_uuid')} = ${workspaceUuid}
      and not (a.status = 'success' and a.token_id is not ${ITEM_ID}))`;

/** Whether PipeOps has acknowledged a revoke of an item's token that was ordered. */
const isAcknowledged = (workspaceUuid: string, isOld: SQL): SQL => sql`exists (select 1 from revocation_orders as o
    where o.workspace_uuid = ${workspaceUuid} and o.token_id = ${ITEM_ID} and o.mode = 'revoke'
      and o.state in ('acknowledged', 'confirmed') and ${isOld})`;

const acknowledgedAt = (workspaceUuid: string): SQL => sql`(select max(o.acknowledged_at) from revocation_orders as o
    where o.workspace_uuid = ${workspaceUuid} and o.token_id = ${ITEM_ID} and o.mode = 'revoke'
      and o.state in ('acknowledged', 'confirmed'))`;
