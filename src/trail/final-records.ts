import { not, sql, type SQL } from 'drizzle-orm';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import type { Failure, RecordFailure } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';
import { barOf, isBarred, isLive, selectBar } from '../subjects/bars.ts';
import { addLateOwner } from '../subjects/blocks.ts';
import { type LabelMemory, type LabelNote, noteLabels } from '../subjects/labels.ts';
import { callerMinuteOf, isDenial, isDenialInFull, isReadInFull, isWithinIdleRows, outOfRows } from './caller-rows.ts';
import { type CountedRow, countRead, furtherRow, readKey } from './counted.ts';
import {
  type EventOutcome,
  type EventSubject,
  failureOutcome,
  finalRow,
  type NewAuditRow,
  successOutcome,
} from './event.ts';
import { insertEventWhere, isRecorded } from './statements.ts';

// How the recorder adds rows that are final from the start: refusals, reads, and what needs no call to PipeOps.

export interface RecorderDependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly labels: LabelMemory;
}

/** What a committed row is found by, and what was read beside it. */
export interface Recorded<Q extends readonly Query[]> {
  readonly eventId: string;
  readonly rows: RowsOfEach<Q>;
}

export interface RecordOptions {
  /** An id that the caller made up, where something else names it too. */
  readonly eventId?: string;
  /** Queries that take effect only where their `guard` holds: where the row is there. */
  readonly following?: (guard: SQL) => readonly Query[];
}

/** The failure that is answered: the one that was recorded, or why it could not be. */
export interface Refused<F> {
  readonly ok: false;
  readonly error: F | RecordFailure;
}

export type RowsOfEach<Q extends readonly Query[]> = { [K in keyof Q]: RowsOf<Q[K]> };

/** See `Recorder.record`. */
export async function recordFinal<const Q extends readonly Query[]>(
  dependencies: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
  outcome: EventOutcome,
  alongside: Q,
  { eventId = dependencies.runtime.newId(), following = () => [] }: RecordOptions,
): Promise<Result<Recorded<Q>, RecordFailure>> {
  const { database, runtime, labels } = dependencies;
  const nowMs = runtime.now();
  const row = finalRow(eventId, nowMs, context, subject, outcome);
  // A stranger's JWT may be good, but nobody here has carried its label.
  const notes = subject.action === 'auth.reject' ? [] : labels.due([subject.actor], nowMs);
  const admitted = admission(database, subject, outcome);
  const insert = insertEventWhere(database, row, sql`${admitted} and ${roomFor(row)}`).returning({
    id: auditEvents.id,
  });
  const late = outcome.errorCode === 'subject_blocked' ? addLateOwner(database, subject.actor, nowMs) : [];
  const isNew = not(isRecorded(eventId));
  const beyondRoom = subject.actor.session === undefined ? isNew : sql`${isNew} and ${admitted}`;
  const beyond = isDenial(row) ? countRead(database, await furtherRow(row), beyondRoom) : [];
  const queries = [
    ...alongside,
    insert,
    ...beyond,
    ...following(isRecorded(eventId)),
    ...noting(database, notes, nowMs),
    ...late,
  ] as const;
  const committed = await database.batch(context, queries);
  remember(labels, notes, committed.ok, nowMs);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const results: readonly unknown[] = committed.value;
  const [inserted, counted = [], first = []] = rowsOf([insert, ...beyond] as const, results.slice(alongside.length));
  const [written] = [...inserted, ...counted, ...first];
  if (written === undefined) return await whyNot(dependencies, context, subject);
  context.trace.eventId = written.id;
  return ok({ eventId: written.id, rows: rowsOf(alongside, results) });
}

/**
 * Who may have a row. A failure is recorded and told as it is, whether or not its actor was offboarded. But whoever sends the cookie of a
 * session that is over may have stolen it, so nothing but that is recorded in the name of the person.
 */
function admission(database: Database, { actor }: EventSubject, { status, errorCode }: EventOutcome): SQL {
  if (status !== 'failure') return not(isBarred(database, actor));
  const isBar = errorCode === 'session_ended' || errorCode === 'subject_blocked';
  return actor.session === undefined || isBar ? sql`true` : isLive(actor.session);
}

/** Rejected logins have limits of their own: their caller may be nobody. */
function roomFor(row: NewAuditRow): SQL {
  if (row.action === 'auth.reject') return sql`true`;
  return isDenial(row) ? isDenialInFull(callerMinuteOf(row)) : isWithinIdleRows(callerMinuteOf(row));
}

/** Says why nothing was recorded: the actor is kept out, or has used up its rows of this minute. */
async function whyNot(
  dependencies: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
): Promise<Result<never, RecordFailure>> {
  const { database, runtime } = dependencies;
  const read = await database.batch(context, [selectBar(database, subject.actor)]);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const bar = barOf(read.value[0][0]);
  return bar === null ? err(outOfRows(runtime.now())) : await refuse(dependencies, context, subject, bar, [], {});
}

const BLOCKED = { kind: 'subject_blocked' } as const;

/** See `Recorder.refuse`. */
export async function refuse<F extends Failure>(
  dependencies: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
  failure: F,
  alongside: readonly Query[],
  options: RecordOptions,
): Promise<Refused<F>> {
  const recorded = await recordFinal(dependencies, context, subject, failureOutcome(failure), alongside, options);
  return { ok: false, error: recorded.ok ? failure : recorded.error };
}

/** See `Recorder.recordRead`. */
export async function recordCounted<const Q extends readonly Query[]>(
  dependencies: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
  alongside: Q,
): Promise<Result<Recorded<Q>, RecordFailure>> {
  const { runtime } = dependencies;
  const row = finalRow(runtime.newId(), runtime.now(), context, subject, successOutcome(null));
  const countAs = async (counted: CountedRow, room: SQL): Promise<Result<Recorded<Q> | null, RecordFailure>> =>
    await countIn(dependencies, context, subject, counted, room, alongside);
  const own = await countAs({ ...row, read_key: await readKey(row) }, isReadInFull(callerMinuteOf(row)));
  if (!own.ok) return own;
  if (own.value !== null) return ok(own.value);
  // The rows that are answered come from the batch that records the read, so they are read again with the row that counts.
  const further = await countAs(await furtherRow(row), sql`true`);
  if (!further.ok) return further;
  if (further.value !== null) return ok(further.value);
  return subject.actor.session === undefined
    ? await refuse(dependencies, context, subject, BLOCKED, [], {})
    : await whyNot(dependencies, context, subject);
}

/** Counts a read in its row. Null: nothing was written, since there is no room for a new row or the actor is kept out. */
async function countIn<const Q extends readonly Query[]>(
  { database, runtime, labels }: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
  row: CountedRow,
  room: SQL,
  alongside: Q,
): Promise<Result<Recorded<Q> | null, RecordFailure>> {
  const nowMs = runtime.now();
  const notes = labels.due([subject.actor], nowMs);
  const [count, insert] = countRead(database, row, not(isBarred(database, subject.actor)), room);
  const queries = [count, ...alongside, insert, ...noting(database, notes, nowMs)] as const;
  const committed = await database.batch(context, queries);
  remember(labels, notes, committed.ok, nowMs);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [counted, ...results] = committed.value;
  const [written] = [...counted, ...rowsOf([insert] as const, results.slice(alongside.length))[0]];
  if (written === undefined) return ok(null);
  context.trace.eventId = written.id;
  return ok({ eventId: written.id, rows: rowsOf(alongside, results) });
}

/** The results of these queries, with which the batch began. */
export const rowsOf = <Q extends readonly Query[]>(queries: Q, results: readonly unknown[]): RowsOfEach<Q> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch gives results in the order of its queries
  results.slice(0, queries.length) as unknown as RowsOfEach<Q>;

/** The query that writes down which labels these actors carry; none where nothing is due. */
export const noting = (database: Database, notes: readonly LabelNote[], nowMs: number): readonly Query[] =>
  notes.length === 0 ? [] : [noteLabels(database, notes, nowMs)];

/** Remembers that these labels are written down, or that they must be written again. */
export function remember(labels: LabelMemory, notes: readonly LabelNote[], isCommitted: boolean, nowMs: number): void {
  if (isCommitted) labels.noted(notes, nowMs);
  else labels.forget(notes);
}
