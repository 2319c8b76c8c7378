import type { AuditEventRow } from '../../db/schema.ts';
import { parseStored } from '../../kit/stored-json.ts';

export type ShownEvent = ReturnType<typeof presentEvent>;

/** A row of the trail as its readers see it. Times are RFC 3339 with milliseconds. */
export function presentEvent(row: AuditEventRow) {
  return {
    id: row.id,
    seq: row.seq,
    occurred_at: rfc3339(row.occurred_at),
    settled_at: row.settled_at === null ? null : rfc3339(row.settled_at),
    action: row.action,
    status: row.status,
    count: row.count,
    last_at: rfc3339(row.last_at ?? row.occurred_at),
    actor: { type: row.actor_type, issuer: row.actor_issuer, subject: row.actor_subject, label: row.actor_label },
    workspace_uuid: row.workspace_uuid,
    token_id: row.token_id,
    token_name: row.token_name,
    request_id: row.request_id,
    ip: row.ip,
    user_agent: row.user_agent,
    upstream_status: row.upstream_status,
    error_code: row.error_code,
    detail: { ...parseStored(row.detail), ...parseStored(row.outcome) },
  };
}

const rfc3339 = (ms: number): string => new Date(ms).toISOString();
