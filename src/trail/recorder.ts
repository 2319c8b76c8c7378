import { and, eq, exists, sql, type SQL } from 'drizzle-orm';
import {
  SETTLE_ATTEMPT_TIMEOUT_MS,
  SETTLE_BACKOFF_MS,
  SETTLE_MAX_ATTEMPTS,
  SETTLE_TIMEOUT_MS,
} from '../config/limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { type AuditEventRow, auditEvents } from '../db/schema.ts';
import type { AuditFailure, RecordFailure } from '../failures.ts';
import { underDeadline } from '../kit/deadline.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext, Trace } from '../kit/trace.ts';
import { selectBlocked } from '../subjects/blocks.ts';
import { labelNote } from '../subjects/labels.ts';
import { attemptedRow, type EventOutcome, type EventSubject, settledColumns, type SettledColumns } from './event.ts';
import {
  noting,
  recordCounted,
  type RecorderDependencies,
  recordFinal,
  remember,
  rowsOf,
  type RowsOfEach,
} from './final-records.ts';
import { type AttemptRoom, insertAttempt, isRecorded, selectEvent, settleEvent, type Unless } from './statements.ts';

/** An attempt that is committed: whoever holds one may act upstream, and must settle it. */
export interface Attempt {
  readonly eventId: string;
  readonly tokenId: string | null;
}

/**
 * What settling found when it read the row back. `own`: the row carries this very outcome. `other`: somebody else
 * settled it first. `blocked`: what it must not pass has come meanwhile, and the row is still open. `unknown`: D1 does not say.
 */
type Settlement = { kind: 'own' } | { kind: 'other'; row: AuditEventRow } | { kind: 'blocked' } | { kind: 'unknown' };

/** What trip 1 came to: the attempt, what was read beside it, and whether its actor was offboarded. */
interface Begun<Q extends readonly Query[]> {
  /** Null: nothing was written, since the caller has no room for another row in this minute. */
  readonly attempt: Attempt | null;
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
   * A caller that was denied CALLER_DENIALS_MAX_ROWS times in this minute gets no row before it is decided that it may: then
   * `attempt` is null, and the reads are there to decide on. Likewise one that has used up CALLER_IDLE_MAX_ROWS.
   *
   * @param reads what goes with the row, in order and after it. What writes takes effect only where its `guard` holds: where the
   *   row is there.
   * @param options.room `allowed`: policy has said yes; default: it has not been asked.
   * @param options.eventId made up before, where one of the reads names it.
   */
  attempt<const Q extends readonly Query[]>(
    context: RequestContext,
    subject: EventSubject,
    reads: (guard: SQL) => Q,
    options?: { readonly room?: AttemptRoom; readonly eventId?: string },
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
   * take effect only with it. Of a caller's denials a minute has CALLER_DENIALS_MAX_ROWS such rows; those beyond are counted in
   * one for each action and code, whose id is `eventId` of the result.
   *
   * Fails with `audit_unavailable`, and then the answer that it records must not leave; and, unless it is a failure that is
   * recorded, with `subject_blocked` where the actor was offboarded: then that is in the trail instead. With `rate_limited` where
   * it is no denial and the caller has used up its rows of this minute: then nothing is.
   */
  readonly record: RecordFinal;
  /**
   * The same for a read that may be one of many: those of one caller that are alike within a minute are one row, whose
   * count grows, so that a dashboard cannot fill the database. `eventId` of the result is that row's. Of a caller's reads that
   * differ a minute has CALLER_READS_MAX_ROWS rows; those beyond are counted in one for each action.
   */
  readonly recordRead: RecordFinal;
}

type RecordFinal = <const Q extends readonly Query[]>(
  context: RequestContext,
  subject: EventSubject,
  outcome: EventOutcome,
  alongside: Q,
  options?: RecordOptions,
) => Promise<Result<Recorded<Q>, RecordFailure>>;

/** What a row that is committed is found by, and what was read beside it. */
export interface Recorded<Q extends readonly Query[]> {
  readonly eventId: string;
  readonly rows: RowsOfEach<Q>;
}

export interface RecordOptions {
  /** Made up before, where something else names it too. */
  readonly eventId?: string;
  readonly following?: Following;
}

export function createRecorder(dependencies: RecorderDependencies): Recorder {
  return {
    attempt: async (context, subject, reads, options = {}) =>
      await recordAttempt(dependencies, context, subject, reads, options),
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
  { database, runtime, labels }: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
  reads: (guard: SQL) => Q,
  { room = 'undecided', eventId = runtime.newId() }: { readonly room?: AttemptRoom; readonly eventId?: string },
): Promise<Result<Begun<Q>, AuditFailure>> {
  const nowMs = runtime.now();
  const row = attemptedRow(eventId, nowMs, context, subject);
  const insert = insertAttempt(database, row, room);
  const beside = reads(isRecorded(eventId));
  // Whoever changes something is known by the label it carries at this moment, whatever is remembered here.
  const note = labelNote(subject.actor);
  const notes = note === null ? [] : [note];
  const queries = [
    selectBlocked(database, subject.actor),
    insert,
    ...beside,
    ...noting(database, notes, nowMs),
  ] as const;
  const committed = await database.batch(context, queries);
  remember(labels, notes, committed.ok, nowMs);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [[block], [inserted], ...results] = committed.value;
  if (inserted !== undefined) context.trace.eventId = eventId;
  return ok({
    attempt: inserted === undefined ? null : { eventId, tokenId: subject.tokenId },
    rows: rowsOf(beside, results),
    blocked: block?.blocked === 1,
  });
}

async function settle(
  { database, runtime }: RecorderDependencies,
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

async function readBack(
  { database }: RecorderDependencies,
  context: { trace: Trace },
  attempt: Attempt,
): Promise<Settlement> {
  const read = await database.batch(context, [selectEvent(database, attempt.eventId)]);
  const row = read.ok ? read.value[0][0] : undefined;
  return row === undefined ? { kind: 'unknown' } : { kind: 'other', row };
}

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

/**
 * Sends a batch until D1 has answered it, SETTLE_MAX_ATTEMPTS times and within SETTLE_TIMEOUT_MS at the most. For queries that
 * change nothing where they have taken effect before: an attempt whose answer was lost may have been committed.
 *
 * Fails with `unknown`: D1 does not say. It may have taken them all the same.
 */
export async function repeatBatch<const Q extends readonly Query[]>(
  {
    database,
    runtime,
  }: { readonly database: Database; readonly runtime: Pick<Runtime, 'timeout' | 'cancel' | 'sleep'> },
  context: { readonly trace: Trace },
  queries: Q,
): Promise<Result<{ [K in keyof Q]: RowsOf<Q[K]> }, 'unknown'>> {
  return await underDeadline(runtime, SETTLE_TIMEOUT_MS, async (budget) => {
    for (let repeat = 0; repeat < SETTLE_MAX_ATTEMPTS && !budget.aborted; repeat += 1) {
      if (repeat > 0) await runtime.sleep(SETTLE_BACKOFF_MS);
      // One after the other: the repeats are the same write.
      const sent = await underDeadline(
        runtime,
        SETTLE_ATTEMPT_TIMEOUT_MS,
        async (deadline) => await database.batch(context, queries, AbortSignal.any([budget, deadline])),
      );
      if (sent.ok) return ok(sent.value);
    }
    return err('unknown');
  });
}
