import type { SQL } from 'drizzle-orm';
import { AUDIT_ANNOUNCE_AFTER_MS } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import type { AuditEventRow } from '../db/schema.ts';
import type { RequestContext } from '../kit/trace.ts';
import { type EventOutcome, eventSubject, finalRow, successOutcome, SYSTEM_ACTOR } from './event.ts';
import { insertEventWhere } from './statements.ts';

/**
 * Whether followers of the trail may have passed an open row of this time. They do not wait for a row that is old, nor for one from
 * so far in the future that the clock behind it ran ahead.
 */
export const isPassed = (occurredAtMs: number, nowMs: number): boolean =>
  Math.abs(nowMs - occurredAtMs) >= AUDIT_ANNOUNCE_AFTER_MS;

/**
 * Announces a row that is settled after followers of the trail may have passed it: a new row names it, where `guard` holds. Gives no
 * query where there is nothing to announce.
 *
 * @param announcement the id and the time of the new row.
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
  const subject = eventSubject('audit.settled', SYSTEM_ACTOR, {
    workspaceUuid: row.workspace_uuid,
    tokenId: row.token_id ?? outcome.tokenId ?? null,
    tokenName: row.token_name,
    detail: { event_id: row.id, action: row.action, status: outcome.status, error_code: outcome.errorCode },
  });
  return [insertEventWhere(database, finalRow(eventId, nowMs, context, subject, successOutcome(null)), guard)];
}
