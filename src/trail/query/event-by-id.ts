import { and, eq, sql, type SQL } from 'drizzle-orm';
import { ACTOR_ISSUER_MAX_BYTES } from '../../config/limits.ts';
import type { Database } from '../../db/database.ts';
import { type AuditEventRow, auditEvents } from '../../db/schema.ts';
import type { Failure, RequestFailure } from '../../failures.ts';
import { cutToBytes } from '../../kit/bytes.ts';
import { isOwnUuid, workspaceAsRead } from '../../kit/ids.ts';
import { parseStored } from '../../kit/json.ts';
import { createProblems } from '../../kit/problems.ts';
import { redact } from '../../kit/redaction.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import { actorOf, type EventSubject, failureOutcome, successOutcome } from '../event.ts';
import { presentEvent, type ShownEvent } from './format.ts';
import type { Trail } from './page.ts';
import type { Owner } from './params.ts';
import { selectEvent } from '../statements.ts';

/** Reads the id of an event as it stood in the path. `invalid_request` if it is none. */
export function parseEventId(text: string): Result<string, RequestFailure> {
  const id = text.toLowerCase();
  if (isOwnUuid(id)) return ok(id);
  const problems = createProblems();
  problems.misunderstood('id', 'Use the id of an event, as the trail or the header "X-Audit-Event-Id" gave it.');
  return err(problems.failure());
}

/**
 * Reads one event. It leaves only after the reading of it is recorded, with what became of it: a second trip to D1.
 * `audit_event_not_found`, or `audit_unavailable`.
 */
export async function readEvent(
  { database, recorder }: Trail,
  context: RequestContext,
  caller: Caller,
  eventId: string,
): Promise<Result<ShownEvent, Failure>> {
  const read = await database.batch(context, [selectEvent(database, eventId)]);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [event] = read.value[0];
  const subject = describeReading(caller, eventId, event);
  if (event === undefined) {
    const failure = { kind: 'audit_event_not_found' } as const;
    const recorded = await recorder.record(context, subject, failureOutcome(failure), []);
    return recorded.ok ? err(failure) : recorded;
  }
  const recorded = await recorder.recordRead(context, subject, successOutcome(null), []);
  return recorded.ok ? ok(presentEvent(event)) : recorded;
}

/**
 * Reads one event for whoever caused it and may read no other; null: it is not that caller's, or there is none. Nothing is recorded
 * then, since its caller records the denial: the same statements for both. `audit_unavailable`, or `subject_blocked`.
 */
export async function readOwnEvent(
  { database, recorder }: Trail,
  context: RequestContext,
  caller: Caller,
  eventId: string,
): Promise<Result<ShownEvent | null, Failure>> {
  const read = await database.batch(context, [selectOwnEvent(database, eventId, caller)]);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [event] = read.value[0];
  if (event === undefined) return ok(null);
  const recorded = await recorder.recordRead(
    context,
    describeReading(caller, eventId, event),
    successOutcome(null),
    [],
  );
  return recorded.ok ? ok(presentOwnEvent(event)) : recorded;
}

/** What the reading of an event is in the trail: whoever asks about its token finds also who has read about it. */
const describeReading = (caller: Caller, eventId: string, event: AuditEventRow | undefined): EventSubject => ({
  action: 'audit.query',
  actor: actorOf(caller),
  workspaceUuid: event === undefined || event.workspace_uuid === null ? null : workspaceAsRead(event.workspace_uuid),
  tokenId: event?.token_id ?? null,
  tokenName: null,
  detail: { event_id: eventId },
});

/** The subject and the issuer as rows have them. Both are whole there: longer ones are no caller and no configuration. */
export const isOfSubject = ({ subject }: Owner): SQL => eq(auditEvents.actor_subject, redact(subject));
export const isOfIssuer = ({ issuer }: Owner): SQL =>
  sql`${auditEvents.actor_issuer} is ${cutToBytes(issuer, ACTOR_ISSUER_MAX_BYTES)}`;

/** One event, if that caller caused it: to the query, somebody else's and one that never was are the same. */
const selectOwnEvent = ({ build }: Pick<Database, 'build'>, eventId: string, owner: Owner) =>
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
