import { not, sql } from 'drizzle-orm';
import type { Database, Query } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import type { Failure } from '../failures.ts';
import type { Identity } from '../identity/identity.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import { rfc3339OrNull } from '../kit/time.ts';
import type { RequestContext } from '../kit/trace.ts';
import { isLive } from '../subjects/bars.ts';
import { isBlocked, selectBlocked } from '../subjects/blocks.ts';
import { type LabelMemory, labelNote } from '../subjects/labels.ts';
import { actorOf, eventSubject, finalRow, successOutcome } from '../trail/event.ts';
import { noting, remember } from '../trail/final-records.ts';
import type { Recorder } from '../trail/recorder.ts';
import { insertEventWhere, isRecorded } from '../trail/statements.ts';
import type { SessionEnd } from '../vocabulary.ts';
import type { NewSession, SessionUse } from './sessions.ts';
import { endSession, insertSession, isBegun } from './statements.ts';

/** What beginning and ending a session needs. */
export interface SessionRecords {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly labels: LabelMemory;
  readonly runtime: Runtime;
}

/**
 * Begins a session: one batch inserts its row with its `session.start`, notes the label of its caller, and ends the session that the
 * browser had before.
 *
 * Fails with `sign_in_failed` where the sign-in has made a session before, with `subject_blocked`, which is then in the trail, and
 * with `audit_unavailable`. Then no cookie may leave.
 */
export async function startSession(
  { database, recorder, labels, runtime }: SessionRecords,
  context: RequestContext,
  identity: Identity,
  { facts, mac }: NewSession,
  earlier: SessionUse | null,
): Promise<Result<void, Failure>> {
  const nowMs = runtime.now();
  const actor = actorOf(identity);
  const eventId = runtime.newId();
  const subject = eventSubject('session.start', actor, { detail: { ends_at: rfc3339OrNull(facts.ends_at) } });
  const row = finalRow(eventId, nowMs, context, subject, successOutcome(null));
  const note = labelNote(actor);
  const notes = note === null ? [] : [note];
  const isFirst = sql`not ${isBegun(facts.id)}`;
  const queries = [
    selectBlocked(database, actor),
    insertEventWhere(database, row, sql`${not(isBlocked(database, actor))} and ${isFirst}`).returning({
      id: auditEvents.id,
    }),
    insertSession(database, facts, mac, nowMs, isRecorded(eventId)),
    ...(earlier === null ? [] : ending(database, runtime, context, earlier, 'replaced', isRecorded(eventId))),
    ...noting(database, notes, nowMs),
  ] as const;
  const committed = await database.batch(context, queries);
  remember(labels, notes, committed.ok, nowMs);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [[block], [inserted]] = committed.value;
  if (block?.blocked === 1) return await recorder.refuse(context, subject, { kind: 'subject_blocked' });
  if (inserted === undefined) return err({ kind: 'sign_in_failed', reason: 'replayed', issuer: identity.issuer });
  context.trace.eventId = eventId;
  return ok(undefined);
}

/** Ends a session that lives, with its `session.end`. Fails with `session_ended` where it was over before. */
export async function endByCaller(
  { database, runtime }: SessionRecords,
  context: RequestContext,
  use: SessionUse,
): Promise<Result<void, Failure>> {
  const [event, end] = ending(database, runtime, context, use, 'logged_out');
  const committed = await database.batch(context, [event, end] as const);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [[inserted]] = committed.value;
  if (inserted === undefined) return err({ kind: 'session_ended' });
  context.trace.eventId = inserted.id;
  return ok(undefined);
}

/** The row is inserted first, since it says whether the session lived until now. */
function ending(
  database: Database,
  runtime: Runtime,
  context: RequestContext,
  { identity, proof }: SessionUse,
  reason: SessionEnd,
  guard = sql`true`,
) {
  const nowMs = runtime.now();
  const subject = eventSubject('session.end', actorOf(identity), { detail: { reason } });
  const row = finalRow(runtime.newId(), nowMs, context, subject, successOutcome(null));
  return [
    insertEventWhere(database, row, sql`${isLive(proof)} and ${guard}`).returning({ id: auditEvents.id }),
    endSession(database, proof, reason, nowMs, guard),
  ] as const satisfies readonly Query[];
}
