import { sql, type SQL } from 'drizzle-orm';
import { insertListedEvents, listedRow } from '../trail/statements.ts';
import { ABSENCE_GAP_MS } from '../config/limits.ts';
import type { Query } from '../db/database.ts';
import { tokens } from '../db/schema.ts';
import { each, idsOf } from '../db/sql.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { LookRow } from './looks.ts';
import { ITEM_ID, seenRow, type Recording } from './recording.ts';

/** The tokens that a look misses, sees, proves to be gone or shows as revoked: as many as one batch takes. */
export interface Ends {
  readonly seen: readonly string[];
  readonly unseen: readonly string[];
  readonly gone: EndBatch;
  readonly ended: EndBatch;
}

interface EndBatch {
  /** Tokens whose end gets a row in the trail. */
  readonly told: readonly LookRow[];
  /** Tokens whose end gets no row: they have expired, or the trail knows it. */
  readonly silent: readonly LookRow[];
}

/** The statements that record what a look says about the ends of tokens. */
export function endQueries(recording: Recording, { seen, unseen, gone, ended }: Ends): readonly Query[] {
  const { begunAtMs } = recording;
  return [
    ...(seen.length > 0 ? [markSeen(recording, seen)] : []),
    ...(unseen.length > 0 ? [markUnseen(recording, unseen)] : []),
    ...markEnds(recording, gone, 'absent', unproven(begunAtMs)),
    ...markEnds(recording, ended, 'listed', sql`ended_by is null`),
  ];
}

/** Asks the rule of absence once more, of the row as it is now: somebody may have seen the token since it was read. */
const unproven = (begunAtMs: number): SQL =>
  sql`(ended_by is null or ended_by = 'listed') and unseen_at <= ${begunAtMs - ABSENCE_GAP_MS}`;

const isOf = (workspaceUuid: string, ids: readonly string[]): SQL =>
  sql`workspace_uuid = ${workspaceUuid} and token_id in ${idsOf(ids)}`;

/**
 * Whether a look that shows a token refutes its absence. An older look does not. An absence that is later than the look by more than a
 * look may last was noted by a clock that has been put back since.
 */
export const refutes = (begunAtMs: number, unseenAtMs: number): boolean =>
  unseenAtMs <= begunAtMs || unseenAtMs > begunAtMs + ABSENCE_GAP_MS;

const markSeen = ({ database: { build }, workspaceUuid, begunAtMs }: Recording, ids: readonly string[]) =>
  build
    .update(tokens)
    .set({ unseen_at: null })
    .where(
      sql`${isOf(workspaceUuid, ids)} and (unseen_at <= ${begunAtMs} or unseen_at > ${begunAtMs + ABSENCE_GAP_MS})`,
    );

const markUnseen = ({ database: { build }, workspaceUuid, begunAtMs }: Recording, ids: readonly string[]) =>
  build
    .update(tokens)
    .set({ unseen_at: begunAtMs })
    .where(sql`${isOf(workspaceUuid, ids)} and unseen_at is null and (ended_by is null or ended_by = 'listed')`);

function markEnds(
  recording: Recording,
  { told, silent }: EndBatch,
  end: 'absent' | 'listed',
  condition: SQL,
): readonly Query[] {
  const { database, workspaceUuid, nowMs, newId } = recording;
  const ids = [...told, ...silent].map((row) => row.token_id);
  if (ids.length === 0) return [];
  const row = seenRow(recording, 'service_account_token.revoke', { status: 'success', errorCode: 'gone_upstream' });
  const items = told.map(({ token_id }) => ({
    id: token_id,
    event: listedRow(database, row, { id: newId(), token_id }),
  }));
  const isNews = sql`exists (select 1 from tokens where workspace_uuid = ${workspaceUuid} and token_id = ${ITEM_ID}
      and revoked_at is null and ${condition})`;
  return [
    ...(items.length > 0
      ? [
          insertListedEvents(
            database,
            row,
            items,
            'event',
            sql`from ${each(items)} where ${isNews} and not ${isExplained(workspaceUuid)}`,
          ),
        ]
      : []),
    database.build
      .update(tokens)
      .set({ revoked_at: sql`coalesce(revoked_at, ${nowMs})`, ended_by: end })
      .where(sql`${isOf(workspaceUuid, ids)} and ${condition}`),
  ];
}

/** Whether a revoke of ours that is under way or done explains an end. What an earlier look saw explains nothing. */
const isExplained = (workspaceUuid: string): SQL =>
  sql`exists (select 1 from audit_events as a where a.token_id = ${ITEM_ID} and ${canonicalWorkspace('a.workspace_uuid')} = ${workspaceUuid}
      and a.action = 'service_account_token.revoke'
      and (a.status = 'attempted' or (a.status = 'success' and a.error_code is null)))`;
