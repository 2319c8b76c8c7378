import type { SQL } from 'drizzle-orm';
import { AUDIT_ANNOUNCE_AFTER_MS } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import type { AuditEventRow } from '../db/schema.ts';
import type { RequestContext } from '../kit/trace.ts';
import { type EventOutcome, finalRow, successOutcome, SYSTEM_ACTOR } from './event.ts';
import { insertEventWhere } from './statements.ts';

/**
 * Whether followers of the trail may have passed an open row of this time: they do not wait for one that is old, or from so far
 * in the future that the clock behind it ran ahead.
 */
export const isPassed = (occurredAtMs: number, nowMs: number): boolean =>
  Math.abs(nowMs - occurredAtMs) >= AUDIT_ANNOUNCE_AFTER_MS;

/**
 * Announces a row that was settled after followers of the trail may have passed it: a new row names it, where `guard`
 * holds. Nothing to announce: no query.
 */
export function announceLate(
  database: Database,
  context: RequestContext,
  announcement: { readonly eventId: string; readonly nowMs: number },
  row: Pick<AuditEventRow, 'id' | 'occurred_at' | 'action' | 'workspace_uuid' | 'token_id' | 'token_name'>,
  outcome: EventOutcome,
  guard: SQL,
) {
  const { eventId, nowMs } = announcement;
  if (!isPassed(row.occurred_at, nowMs)) return [];
  const subject = {
    action: 'audit.settled',
    actor: SYSTEM_ACTOR,
    workspaceUuid: row.workspace_uuid,
    tokenId: row.token_id ?? outcome.tokenId ?? null,
    tokenName: row.token_name,
    detail: { event_id: row.id, action: row.action, status: outcome.status, error_code: outcome.errorCode },
  } as const;
  return [insertEventWhere(database, finalRow(eventId, nowMs, context, subject, successOutcome(null)), guard)];
}
