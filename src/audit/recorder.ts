import { and, eq, exists, not, sql, type SQL } from 'drizzle-orm';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { auditEvents, type AuditEventRow } from '../db/schema.ts';
import type { AuditFailure, ReadFailure } from '../failures.ts';
import type { RequestContext, Trace } from '../request-context.ts';
import type { Runtime } from '../runtime.ts';
import { err, ok, type Result } from '../result.ts';
import { isBlocked, selectBlocked } from '../subjects/blocks.ts';
import { addLateOwner } from '../subjects/late-owners.ts';
import { labelNote, noteLabels, type LabelMemory, type LabelNote } from '../subjects/label-upkeep.ts';
import { countRead, readKey } from './counted-reads.ts';
import {
  attemptedRow,
  finalRow,
  settledColumns,
  type EventOutcome,
  type EventSubject,
  type SettledColumns,
} from './events.ts';
import { insertEvent, selectEvent, settleEvent, type Unless } from './event-queries.ts';
import { insertEventWhere } from './insert-where.ts';
import { failureOutcome } from './outcomes.ts';
import { repeatBatch } from './repeating.ts';

/** An attempt that is committed: whoever holds one may act upstream, and must settle it. */
export interface Attempt {
  readonly eventId: string;
  readonly tokenId: string | null;
}

/**
 * What settling found when it read the row back. `own`: the row carries this very outcome. `other`: somebody else
 * settled it first. `blocked`: what it must not pass has come meanwhile, and the row is still open. `unknown`: D1 does not say.
 */
export type Settlement =
  | { kind: 'own' }
  | { kind: 'other'; row: AuditEventRow }
  | { kind: 'blocked' }
  | { kind: 'unknown' };

/** An attempt that is committed, what was read beside it, and whether its actor was offboarded. */
export interface Begun<Q extends readonly Query[]> {
  readonly attempt: Attempt;
  readonly rows: RowsOfEach<Q>;
  readonly blocked: boolean;
}

/** Queries that take effect only where `guard` holds: where the row carries the outcome they belong to. */
export type Following = (guard: SQL) => readonly Query[];

export interface Recorder {
  /**
   * Trip 1: commits the `attempted` row together with the reads that a decision needs.
   *
   * Fails with `audit_unavailable`, and then nothing may be sent upstream. The row may have been committed all the
   * same; reconciliation settles it.
   *
   * @param reads what goes with the row, in order and before it: writes too, where they stand or fall with it.
   * @param eventId made up before, where one of them names it.
   */
  attempt<const Q extends readonly Query[]>(
    context: RequestContext,
    subject: EventSubject,
    reads: Q,
    eventId?: string,
  ): Promise<Result<Begun<Q>, AuditFailure>>;
  /**
   * Trip 2: settles by compare-and-set and reads the row back. Repeated while its fate is unknown and time is left;
   * a repeat changes nothing, since it is keyed by the event id.
   *
   * @param unless settles nothing where this holds.
   */
  settle(
    context: { trace: Trace },
    attempt: Attempt,
    outcome: EventOutcome,
    following?: Following,
    unless?: Unless,
  ): Promise<Settlement>;
  /** What an attempt's row says now; never `own`. */
  readBack(context: { trace: Trace }, attempt: Attempt): Promise<Settlement>;
  /**
   * Commits a row that is final from the start, in one batch with the queries `alongside`, and with those `following`, which
   * take effect only with it.
   *
   * Fails with `audit_unavailable`, and then the answer that it records must not leave; and, unless it is a failure that is
   * recorded, with `subject_blocked` where the actor was offboarded: then that is in the trail instead.
   */
  readonly record: RecordFinal;
  /**
   * The same for a read that may be one of many: those of one caller that are alike within a minute are one row, whose
   * count grows, so that a dashboard cannot fill the database. `eventId` of the result is that row's.
   */
  readonly recordRead: RecordFinal;
}

type RecordFinal = <const Q extends readonly Query[]>(
  context: RequestContext,
  subject: EventSubject,
  outcome: EventOutcome,
  alongside: Q,
  options?: RecordOptions,
) => Promise<Result<{ eventId: string; rows: RowsOfEach<Q> }, ReadFailure>>;

interface RecordOptions {
  /** Made up before, where something else names it too. */
  readonly eventId?: string;
  readonly following?: Following;
}

type RowsOfEach<Q extends readonly Query[]> = { [K in keyof Q]: RowsOf<Q[K]> };

interface Dependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly labels: LabelMemory;
}

export function createRecorder(dependencies: Dependencies): Recorder {
  return {
    attempt: async (context, subject, reads, eventId) =>
      await recordAttempt(dependencies, context, subject, reads, eventId),
    settle: async (context, attempt, outcome, following = () => [], unless) =>
      await settle(dependencies, context, attempt, outcome, following, unless),
    readBack: async (context, attempt) => await readBack(dependencies, context, attempt),
    record: async (context, subject, outcome, alongside, options = {}) =>
      await recordFinal(dependencies, context, subject, outcome, alongside, options),
    recordRead: async (context, subject, outcome, alongside, options = {}) =>
      await recordCounted(dependencies, context, subject, outcome, alongside, options),
  };
}

async function recordAttempt<const Q extends readonly Query[]>(
  { database, runtime, labels }: Dependencies,
  context: RequestContext,
  subject: EventSubject,
  reads: Q,
  eventId: string = runtime.newId(),
): Promise<Result<Begun<Q>, AuditFailure>> {
  const nowMs = runtime.now();
  const row = attemptedRow(eventId, nowMs, context, subject);
  const insert = insertEvent(database, row);
  // Whoever changes something is known by the label it carries at this moment, whatever is remembered here.
  const note = labelNote(subject.actor);
  const notes = note === null ? [] : [note];
  const queries = [
    selectBlocked(database, subject.actor),
    ...reads,
    insert,
    ...noting(database, notes, nowMs),
  ] as const;
  const committed = await database.batch(context, queries);
  remember(labels, notes, committed.ok, nowMs);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  context.trace.eventId = eventId;
  const [[block], ...results] = committed.value;
  return ok({
    attempt: { eventId, tokenId: subject.tokenId },
    rows: rowsOf(reads, results),
    blocked: block?.blocked === 1,
  });
}

async function settle(
  { database, runtime }: Dependencies,
  context: { trace: Trace },
  attempt: Attempt,
  outcome: EventOutcome,
  following: Following,
  unless: Unless | undefined,
): Promise<Settlement> {
  const { build } = database;
  const columns = settledColumns(runtime.now(), attempt.tokenId, outcome);
  const thisRow = eq(auditEvents.id, attempt.eventId);
  const guard = exists(
    build
      .select({ one: sql`1` })
      .from(auditEvents)
      .where(and(thisRow, carries(columns))),
  );
  const queries = [
    settleEvent(database, attempt.eventId, columns, unless),
    selectEvent(database, attempt.eventId),
    ...following(guard),
  ] as const;

  const settled = await repeatBatch({ database, runtime }, context, queries);
  const row = settled.ok ? settled.value[1][0] : undefined;
  if (row === undefined) return { kind: 'unknown' };
  if (isCarriedBy(row, columns)) return { kind: 'own' };
  // The one thing that leaves an open row open.
  return row.status === 'attempted' ? { kind: 'blocked' } : { kind: 'other', row };
}

async function readBack({ database }: Dependencies, context: { trace: Trace }, attempt: Attempt): Promise<Settlement> {
  const read = await database.batch(context, [selectEvent(database, attempt.eventId)]);
  const row = read.ok ? read.value[0][0] : undefined;
  return row === undefined ? { kind: 'unknown' } : { kind: 'other', row };
}

async function recordFinal<const Q extends readonly Query[]>(
  dependencies: Dependencies,
  context: RequestContext,
  subject: EventSubject,
  outcome: EventOutcome,
  alongside: Q,
  { eventId = dependencies.runtime.newId(), following = () => [] }: RecordOptions,
): Promise<Result<{ eventId: string; rows: RowsOfEach<Q> }, ReadFailure>> {
  const { database, runtime, labels } = dependencies;
  const nowMs = runtime.now();
  const row = finalRow(eventId, nowMs, context, subject, outcome);
  // A stranger is nobody who carries a label here, though its JWT is good.
  const notes = subject.action === 'auth.reject' ? [] : labels.due([subject.actor], nowMs);
  // Whoever is refused anyway is told why.
  const unblocked = outcome.status === 'failure' ? sql`true` : not(isBlocked(database, subject.actor));
  const isRecorded = exists(
    database.build
      .select({ one: sql`1` })
      .from(auditEvents)
      .where(eq(auditEvents.id, eventId)),
  );
  const insert = insertEventWhere(database, row, unblocked).returning({ id: auditEvents.id });
  const late = outcome.errorCode === 'subject_blocked' ? addLateOwner(database, subject.actor, nowMs) : [];
  const queries = [...alongside, insert, ...following(isRecorded), ...noting(database, notes, nowMs), ...late] as const;
  const committed = await database.batch(context, queries);
  remember(labels, notes, committed.ok, nowMs);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const results: readonly unknown[] = committed.value;
  const [inserted] = rowsOf([insert] as const, results.slice(alongside.length));
  if (inserted.length === 0) return await recordBlocked(dependencies, context, subject);
  context.trace.eventId = eventId;
  return ok({ eventId, rows: rowsOf(alongside, results) });
}

async function recordCounted<const Q extends readonly Query[]>(
  dependencies: Dependencies,
  context: RequestContext,
  subject: EventSubject,
  outcome: EventOutcome,
  alongside: Q,
  { eventId = dependencies.runtime.newId() }: RecordOptions,
): Promise<Result<{ eventId: string; rows: RowsOfEach<Q> }, ReadFailure>> {
  const { database, runtime, labels } = dependencies;
  const nowMs = runtime.now();
  const row = finalRow(eventId, nowMs, context, subject, outcome);
  const notes = labels.due([subject.actor], nowMs);
  const keyed = { ...row, read_key: await readKey(row) };
  const [count, insert] = countRead(database, keyed, not(isBlocked(database, subject.actor)));
  const inserted = insert.returning({ id: auditEvents.id });
  const queries = [count, ...alongside, inserted, ...noting(database, notes, nowMs)] as const;
  const committed = await database.batch(context, queries);
  remember(labels, notes, committed.ok, nowMs);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [counted, ...results] = committed.value;
  const [written] = [...counted, ...rowsOf([inserted] as const, results.slice(alongside.length))[0]];
  if (written === undefined) return await recordBlocked(dependencies, context, subject);
  context.trace.eventId = written.id;
  return ok({ eventId: written.id, rows: rowsOf(alongside, results) });
}

/** Nothing was recorded, since its actor was offboarded: that is what is recorded now, before the actor hears of it. */
async function recordBlocked(
  dependencies: Dependencies,
  context: RequestContext,
  subject: EventSubject,
): Promise<Result<never, ReadFailure>> {
  const failure = { kind: 'subject_blocked' } as const;
  const recorded = await recordFinal(dependencies, context, subject, failureOutcome(failure), [], {});
  return recorded.ok ? err(failure) : recorded;
}

const noting = (database: Database, notes: readonly LabelNote[], nowMs: number): readonly Query[] =>
  notes.length === 0 ? [] : [noteLabels(database, notes, nowMs)];

function remember(labels: LabelMemory, notes: readonly LabelNote[], isCommitted: boolean, nowMs: number): void {
  if (isCommitted) labels.noted(notes, nowMs);
  else labels.forget(notes);
}

/** The reads' part of a batch that they began. */
const rowsOf = <Q extends readonly Query[]>(reads: Q, results: readonly unknown[]): RowsOfEach<Q> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch gives results in the order of its queries
  results.slice(0, reads.length) as unknown as RowsOfEach<Q>;

/** The row carries this outcome, down to the millisecond of its settling: no other settlement looks the same. */
const carries = (columns: SettledColumns): SQL | undefined =>
  and(
    eq(auditEvents.status, columns.status),
    eq(auditEvents.settled_at, columns.settled_at),
    eq(auditEvents.outcome, columns.outcome),
    sql`${auditEvents.error_code} is ${columns.error_code}`,
  );

const isCarriedBy = (row: AuditEventRow, columns: SettledColumns): boolean =>
  row.status === columns.status &&
  row.settled_at === columns.settled_at &&
  row.outcome === columns.outcome &&
  row.error_code === columns.error_code;
