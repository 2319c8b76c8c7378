import type { Failure, RequestFailure } from '../../failures.ts';
import { createProblems } from '../../kit/problems.ts';
import { workspaceAsRead } from '../../kit/ids.ts';
import type { Caller } from '../../policy/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { actorOf } from '../actor.ts';
import { selectEvent } from '../event-queries.ts';
import { failureOutcome, successOutcome } from '../outcomes.ts';
import type { Trail } from './query.ts';
import { presentOwnEvent, selectOwnEvent } from './own-events.ts';
import type { EventSubject } from '../events.ts';
import { presentEvent, type ShownEvent } from './present.ts';
import type { AuditEventRow } from '../../db/schema.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Reads the id of an event as it stood in the path. `invalid_request` if it is none. */
export function parseEventId(text: string): Result<string, RequestFailure> {
  const id = text.toLowerCase();
  if (UUID.test(id)) return ok(id);
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
