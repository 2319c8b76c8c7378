import { and, eq, sql, type SQL } from 'drizzle-orm';
import { ACTOR_ISSUER_MAX_BYTES } from '../../config/limits.ts';
import type { Database } from '../../db/database.ts';
import { auditEvents, type AuditEventRow } from '../../db/schema.ts';
import { cutToBytes } from '../../kit/caps.ts';
import { redact } from '../../kit/redaction.ts';
import type { Owner } from './event-filter.ts';
import { parseStored } from '../../kit/stored-json.ts';
import { presentEvent, type ShownEvent } from './present.ts';

/** The subject and the issuer as rows have them. Both are whole there: longer ones are no caller and no configuration. */
export const isOfSubject = ({ subject }: Owner): SQL => eq(auditEvents.actor_subject, redact(subject));
export const isOfIssuer = ({ issuer }: Owner): SQL =>
  sql`${auditEvents.actor_issuer} is ${cutToBytes(issuer, ACTOR_ISSUER_MAX_BYTES)}`;

/** One event, if that caller caused it: to the query, somebody else's and one that never was are the same. */
export const selectOwnEvent = ({ build }: Pick<Database, 'build'>, eventId: string, owner: Owner) =>
  build
    .select()
    .from(auditEvents)
    .where(and(eq(auditEvents.id, eventId), isOfSubject(owner), isOfIssuer(owner)));

/**
 * What is shown of an outcome. Everything else stays with readers of the trail, above all the true reason of a refusal, which says
 * whether a token that its caller may not see exists, and the tokens that resemble one whose create was lost.
 */
const SHOWN_OUTCOME: readonly string[] = [
  'role',
  'granted_expires_at',
  'came',
  'already_gone',
  'settled_by',
  'idempotent_of',
  'order',
  'lifted',
  'still_suspended_by',
];

/** An event as whoever caused it sees it: what it asked for, and what it was told or may be told of what became of that. */
export function presentOwnEvent(row: AuditEventRow): ShownEvent {
  const outcome = Object.entries(parseStored(row.outcome)).filter(([name]) => SHOWN_OUTCOME.includes(name));
  return {
    ...presentEvent(row),
    // Of what it was not shown, not even whether PipeOps was asked.
    upstream_status: row.error_code === 'not_found' ? null : row.upstream_status,
    detail: { ...parseStored(row.detail), ...Object.fromEntries(outcome) },
  };
}
