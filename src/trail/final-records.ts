import { not, sql, type SQL } from 'drizzle-orm';
import { CALLER_IDLE_MAX_ROWS } from '../config/limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import type { RecordFailure } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import { MINUTE_MS, minuteBeginMs } from '../kit/time.ts';
import type { RequestContext } from '../kit/trace.ts';
import { addLateOwner, isBlocked, selectBlocked } from '../subjects/blocks.ts';
import { type LabelMemory, type LabelNote, noteLabels } from '../subjects/labels.ts';
import {
  callerMinuteOf,
  type CountedRow,
  furtherRow,
  isDenialCode,
  isDenialInFull,
  isReadInFull,
  isWithinIdleRows,
} from './caller-rows.ts';
import { countRead, readKey } from './counted.ts';
import { type EventOutcome, type EventSubject, failureOutcome, finalRow, type NewAuditRow } from './event.ts';
import type { Recorded, RecordOptions } from './recorder.ts';
import { insertEventWhere, isRecorded } from './statements.ts';

// What the batches have in common that add rows to the trail.

export interface RecorderDependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly labels: LabelMemory;
}

export type RowsOfEach<Q extends readonly Query[]> = { [K in keyof Q]: RowsOf<Q[K]> };

/** The part of a batch's results that these queries gave, which it began with. */
export const rowsOf = <Q extends readonly Query[]>(queries: Q, results: readonly unknown[]): RowsOfEach<Q> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch gives results in the order of its queries
  results.slice(0, queries.length) as unknown as RowsOfEach<Q>;

export const noting = (database: Database, notes: readonly LabelNote[], nowMs: number): readonly Query[] =>
  notes.length === 0 ? [] : [noteLabels(database, notes, nowMs)];

export function remember(labels: LabelMemory, notes: readonly LabelNote[], isCommitted: boolean, nowMs: number): void {
  if (isCommitted) labels.noted(notes, nowMs);
  else labels.forget(notes);
}

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
  // A stranger is nobody who carries a label here, though its JWT is good.
  const notes = subject.action === 'auth.reject' ? [] : labels.due([subject.actor], nowMs);
  // Whoever is refused anyway is told why.
  const unblocked = outcome.status === 'failure' ? sql`true` : not(isBlocked(database, subject.actor));
  const insert = insertEventWhere(database, row, sql`${unblocked} and ${roomFor(row)}`).returning({
    id: auditEvents.id,
  });
  const late = outcome.errorCode === 'subject_blocked' ? addLateOwner(database, subject.actor, nowMs) : [];
  const beyond = isDenial(row) ? countRead(database, await furtherRow(row), not(isRecorded(eventId))) : [];
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

const isDenial = ({ action, status, error_code }: NewAuditRow): boolean =>
  action !== 'auth.reject' && status === 'failure' && isDenialCode(error_code);

/** Rejected logins have limits of their own: their caller may be nobody. */
function roomFor(row: NewAuditRow): SQL {
  if (row.action === 'auth.reject') return sql`true`;
  return isDenial(row) ? isDenialInFull(callerMinuteOf(row)) : isWithinIdleRows(callerMinuteOf(row));
}

/** See `Recorder.recordRead`. */
export async function recordCounted<const Q extends readonly Query[]>(
  dependencies: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
  outcome: EventOutcome,
  alongside: Q,
  { eventId = dependencies.runtime.newId() }: RecordOptions,
): Promise<Result<Recorded<Q>, RecordFailure>> {
  const row = finalRow(eventId, dependencies.runtime.now(), context, subject, outcome);
  const rowWith = async (counted: CountedRow, room: SQL): Promise<Result<Recorded<Q> | null, RecordFailure>> =>
    await countIn(dependencies, context, subject, counted, room, alongside);
  const own = await rowWith({ ...row, read_key: await readKey(row) }, isReadInFull(callerMinuteOf(row)));
  if (!own.ok) return own;
  if (own.value !== null) return ok(own.value);
  // What it read comes from the batch that counts it, as ever.
  const further = await rowWith(await furtherRow(row), sql`true`);
  if (!further.ok) return further;
  return further.value === null ? await recordBlocked(dependencies, context, subject) : ok(further.value);
}

/** Null: nothing was written, for want of room or since the actor was offboarded. */
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
  const [count, insert] = countRead(database, row, not(isBlocked(database, subject.actor)), room);
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

/** Nothing was recorded: the actor was offboarded, or has used up its rows of this minute. */
async function whyNot(
  dependencies: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
): Promise<Result<never, RecordFailure>> {
  const { database, runtime } = dependencies;
  const read = await database.batch(context, [selectBlocked(database, subject.actor)]);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  return read.value[0][0]?.blocked === 1
    ? await recordBlocked(dependencies, context, subject)
    : err(outOfRows(runtime.now()));
}

/** What a caller hears that has used up its rows of this minute. */
export const outOfRows = (nowMs: number): Extract<RecordFailure, { kind: 'rate_limited' }> => {
  const untilMs = minuteBeginMs(nowMs) + MINUTE_MS;
  const window = { policy: 'caller', limit: CALLER_IDLE_MAX_ROWS, windowSeconds: MINUTE_MS / 1000, untilMs } as const;
  return { kind: 'rate_limited', retryAfterSeconds: Math.ceil((untilMs - nowMs) / 1000), window };
};

/** Nothing was recorded, since its actor was offboarded: that is what is recorded now, before the actor hears of it. */
async function recordBlocked(
  dependencies: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
): Promise<Result<never, RecordFailure>> {
  const failure = { kind: 'subject_blocked' } as const;
  const recorded = await recordFinal(dependencies, context, subject, failureOutcome(failure), [], {});
  return recorded.ok ? err(failure) : recorded;
}
