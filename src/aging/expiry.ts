import { and, asc, isNotNull, lte, sql } from 'drizzle-orm';
import { EXPIRY_NOTICE_DAYS, EXPIRY_NOTICES_BATCH_ROWS } from '../config/aging-limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { tokens } from '../db/schema.ts';
import { each } from '../db/sql.ts';
import { nextNoticeMs } from '../inventory/grant.ts';
import { ITEM_ID } from '../inventory/recording.ts';
import { redact } from '../kit/redaction.ts';
import { rfc3339OrNull, SECONDS_PER_DAY } from '../kit/time.ts';
import {
  eventSubject,
  finalRow,
  type Origin,
  rowDetail,
  successOutcome,
  SYSTEM_ACTOR,
  systemOrigin,
} from '../trail/event.ts';
import { insertListedEvents, listedRow } from '../trail/statements.ts';

// The expiry of tokens is told in the trail at a few thresholds, each once. `tokens.expiry_notice_at` says when the next one is due. It
// only ever moves on, in the batch that tells: so no race, kill or clock tells one twice.

export type NoticeRow = RowsOf<ReturnType<typeof selectDueNotices>>[number];

/** Selects the tokens of which a notice is due, by the index that holds only tokens with one. */
export const selectDueNotices = ({ build }: Database, nowMs: number) =>
  build
    .select({
      workspace_uuid: tokens.workspace_uuid,
      token_id: tokens.token_id,
      name: tokens.name,
      owner_issuer: tokens.owner_issuer,
      owner_subject: tokens.owner_subject,
      created_at: tokens.created_at,
      expires_at: tokens.expires_at,
      lifetime_seconds: tokens.lifetime_seconds,
      revoked_at: tokens.revoked_at,
      retires_at: tokens.retires_at,
      expiry_notice_at: tokens.expiry_notice_at,
    })
    .from(tokens)
    .where(and(isNotNull(tokens.expiry_notice_at), lte(tokens.expiry_notice_at, nowMs)))
    .orderBy(asc(tokens.expiry_notice_at))
    .limit(EXPIRY_NOTICES_BATCH_ROWS);

/** What becomes of a due notice. */
export interface Notice {
  /** The threshold that is told; null: none is. */
  readonly days: number | null;
  /** When the next one is due; null: none is left. */
  readonly nextAtMs: number | null;
}

const NONE: Notice = { days: null, nextAtMs: null };
const msOfDays = (days: number): number => days * SECONDS_PER_DAY * 1000;

/**
 * Decides what is told of a token. After an outage only the nearest threshold is, since the others say nothing any more. Thresholds
 * before `expiry_notice_at` were told already, or do not count for a life so short.
 *
 * Nothing is told of a token that has ended, that has expired by now, or that a rotation has replaced: its successor has a notice of its own.
 */
export function judgeNotice(row: Omit<NoticeRow, 'workspace_uuid' | 'token_id' | 'name'>, nowMs: number): Notice {
  const {
    expires_at: expiresAtMs,
    expiry_notice_at: dueAtMs,
    lifetime_seconds: lifetime,
    created_at: createdAtMs,
  } = row;
  if (expiresAtMs === null || dueAtMs === null || expiresAtMs <= nowMs) return NONE;
  if (row.revoked_at !== null || row.retires_at !== null) return NONE;
  const passed = EXPIRY_NOTICE_DAYS.filter((days) => {
    const atMs = expiresAtMs - msOfDays(days);
    return atMs >= dueAtMs && atMs <= nowMs;
  });
  const beganAtMs = lifetime === null ? createdAtMs : expiresAtMs - lifetime * 1000;
  return {
    days: passed.length === 0 ? null : Math.min(...passed),
    nextAtMs: nextNoticeMs({ beganAtMs, expiresAtMs }, nowMs),
  };
}

/**
 * The statements that tell what is due and move the notices on, in one batch. Each takes effect only where the notice is still the one
 * that was judged, and a token that ended or was replaced meanwhile gets no row.
 */
export function noticeQueries(
  database: Database,
  origin: Pick<Origin, 'requestId' | 'policyVersion'>,
  rows: readonly NoticeRow[],
  nowMs: number,
  newId: () => string,
): { readonly told: number; readonly queries: readonly Query[] } {
  const subject = eventSubject('service_account_token.expiring', SYSTEM_ACTOR);
  const expiring = finalRow('', nowMs, systemOrigin(origin), subject, successOutcome(null));
  const judged = rows.map((row) => ({ row, ...judgeNotice(row, nowMs) }));
  const items = judged.map(({ row, nextAtMs }) => itemOf(row, nextAtMs));
  const told = judged.flatMap(({ row, days, nextAtMs }) => {
    if (days === null) return [];
    const event = listedRow(database, expiring, {
      id: newId(),
      workspace_uuid: row.workspace_uuid,
      token_id: row.token_id,
      token_name: row.name,
      detail: rowDetail(detailOf(row, days), origin.policyVersion),
    });
    return [{ ...itemOf(row, nextAtMs), event }];
  });
  const [workspace, was] = [sql.raw(`e.value ->> 'workspace'`), sql.raw(`e.value ->> 'was'`)];
  return {
    told: told.length,
    queries: [
      ...(told.length === 0
        ? []
        : [
            insertListedEvents(
              database,
              expiring,
              told,
              'event',
              sql`from ${each(told)} where exists (select 1 from ${tokens} as t
                where t.workspace_uuid = ${workspace} and t.token_id = ${ITEM_ID} and t.expiry_notice_at = ${was}
                  and t.revoked_at is null and t.retires_at is null)`,
            ),
          ]),
      database.build
        .update(tokens)
        .set({ expiry_notice_at: sql.raw(`(e.value ->> 'next')`) })
        .from(each(items))
        .where(
          sql`${tokens.workspace_uuid} = ${workspace} and ${tokens.token_id} = ${ITEM_ID}
            and ${tokens.expiry_notice_at} = ${was}`,
        ),
    ],
  };
}

/** The notice of a token as it was judged, and when its next one is due. */
const itemOf = (row: NoticeRow, nextAtMs: number | null) => ({
  workspace: row.workspace_uuid,
  id: row.token_id,
  was: row.expiry_notice_at,
  next: nextAtMs,
});

/** Whom it concerns stands in the row, so that whoever follows the trail can tell the owner without another question. */
const detailOf = (
  { expires_at: expiresAtMs, owner_issuer: issuer, owner_subject: subject }: NoticeRow,
  days: number,
) => ({
  days,
  expires_at: rfc3339OrNull(expiresAtMs),
  ...(issuer !== null && subject !== null && { owner: { issuer: redact(issuer), subject: redact(subject) } }),
});
