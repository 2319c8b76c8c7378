import { and, eq } from 'drizzle-orm';
import type { Database } from '../../db/database.ts';
import { type AuditEventRow, auditEvents } from '../../db/schema.ts';
import type { RecordFailure, TrailFailure } from '../../failures.ts';
import { workspaceAsRead } from '../../kit/ids.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import { actorOf, type EventSubject, eventSubject } from '../event.ts';
import { selectEvent } from '../statements.ts';
import { presentEvent, presentOwnEvent, type ShownEvent } from './format.ts';
import type { Trail } from './page.ts';
import type { Owner } from './filter.ts';
import { isOfIssuer, isOfSubject } from './plan.ts';

/**
 * Reads one event. It leaves only after the reading of it is recorded, together with what became of that: a second trip to D1.
 * `audit_event_not_found`, or why the reading could not be recorded.
 */
export async function readEvent(
  { database, recorder }: Trail,
  context: RequestContext,
  caller: Caller,
  eventId: string,
): Promise<Result<ShownEvent, TrailFailure | RecordFailure>> {
  const read = await database.batch(context, [selectEvent(database, eventId)]);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [event] = read.value[0];
  const subject = describeReading(caller, eventId, event);
  if (event === undefined) return await recorder.refuse(context, subject, { kind: 'audit_event_not_found' });
  const recorded = await recorder.recordRead(context, subject, []);
  return recorded.ok ? ok(presentEvent(event)) : recorded;
}

/**
 * Reads one event for whoever caused it and may read no other. Null: it is not that caller's, or there is none. The query does not
 * tell these two apart, and records neither: its caller records the denial.
 */
export async function readOwnEvent(
  { database, recorder }: Trail,
  context: RequestContext,
  caller: Caller,
  eventId: string,
): Promise<Result<ShownEvent | null, RecordFailure>> {
  const read = await database.batch(context, [selectOwnEvent(database, eventId, caller)]);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [event] = read.value[0];
  if (event === undefined) return ok(null);
  const recorded = await recorder.recordRead(context, describeReading(caller, eventId, event), []);
  return recorded.ok ? ok(presentOwnEvent(event)) : recorded;
}

/** What the reading of an event is in the trail. It names the event's token, so whoever asks about a token also finds who read about it. */
const describeReading = (caller: Caller, eventId: string, event: AuditEventRow | undefined): EventSubject =>
  eventSubject('audit.query', actorOf(caller), {
    workspaceUuid: event === undefined || event.workspace_uuid === null ? null : workspaceAsRead(event.workspace_uuid),
    tokenId: event?.token_id ?? null,
    detail: { event_id: eventId },
  });

/** The query for one event, if that caller caused it. */
const selectOwnEvent = ({ build }: Pick<Database, 'build'>, eventId: string, owner: Owner) =>
  build
    .select()
    .from(auditEvents)
    .where(and(eq(auditEvents.id, eventId), isOfSubject(owner), isOfIssuer(owner)));
