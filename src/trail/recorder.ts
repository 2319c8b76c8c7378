import { and, eq, exists, sql, type SQL } from 'drizzle-orm';
import {
  SETTLE_ATTEMPT_TIMEOUT_MS,
  SETTLE_BACKOFF_MS,
  SETTLE_MAX_ATTEMPTS,
  SETTLE_TIMEOUT_MS,
} from '../config/limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { type AuditEventRow, auditEvents } from '../db/schema.ts';
import type { AuditFailure, CallerBar, Failure, RecordFailure } from '../failures.ts';
import { underDeadline } from '../kit/deadline.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext, Trace } from '../kit/trace.ts';
import { barOf, selectBar } from '../subjects/bars.ts';
import { labelNote } from '../subjects/labels.ts';
import { attemptedRow, type EventOutcome, type EventSubject, settledColumns, type SettledColumns } from './event.ts';
import {
  noting,
  recordCounted,
  type Recorded,
  type RecorderDependencies,
  recordFinal,
  type RecordOptions,
  refuse,
  type Refused,
  remember,
  rowsOf,
  type RowsOfEach,
} from './final-records.ts';
import { type AttemptRoom, insertAttempt, isRecorded, selectEvent, settleEvent, type Unless } from './statements.ts';

/** The one writer of the trail. Whatever happens is recorded by it, or by a statement of `statements.ts` in a batch of its own. */
export interface Recorder {
  /**
   * Trip 1: commits the `attempted` row together with the reads that a decision needs.
   *
   * Fails with `audit_unavailable`, and then nothing may be sent upstream. The row may have been committed all the
   * same; reconciliation settles it.
   *
   * A caller that was denied CALLER_DENIALS_MAX_ROWS times in this minute gets no row before policy has allowed its request, nor
   * does one that has used up CALLER_IDLE_MAX_ROWS. Then `attempt` is null, and what was read is there to decide on.
   *
   * @param reads the queries that go with the row, in order and after it. Those that write take effect only where their `guard`
   *   holds: where the row is there.
   * @param options.room `allowed`: policy has said yes. Default: it has not been asked.
   * @param options.eventId an id that the caller made up, where one of the reads names it.
   */
  attempt<const Q extends readonly Query[]>(
    context: RequestContext,
    subject: EventSubject,
    reads: (guard: SQL) => Q,
    options?: AttemptOptions,
  ): Promise<Result<Begun<Q>, AuditFailure>>;
  /**
   * Trip 2: settles by compare-and-set and reads the row back. It is repeated while its fate is unknown and time is left;
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
  /** Says what an attempt's row says now. The answer is never `own`. */
  readBack(context: { trace: Trace }, attempt: Attempt): Promise<Settlement>;
  /**
   * Commits a row that is final from the start, in one batch with the queries `alongside`, and with those `following`, which
   * take effect only with it. A minute records CALLER_DENIALS_MAX_ROWS denials of a caller so; further ones are counted in
   * one row for each action and code, whose id is then the `eventId` of the result.
   *
   * Fails with `audit_unavailable`, and then the answer that it records must not leave. Unless a failure is recorded, fails
   * with `subject_blocked` where the actor was offboarded, which is then in the trail instead. Of a
   * failure too, fails with `session_ended` where the actor's session is over. Unless a denial is recorded,
   * fails with `rate_limited` where the caller has used up its rows of this minute, and then nothing is recorded.
   */
  record<const Q extends readonly Query[]>(
    context: RequestContext,
    subject: EventSubject,
    outcome: EventOutcome,
    alongside: Q,
    options?: RecordOptions,
  ): Promise<Result<Recorded<Q>, RecordFailure>>;
  /**
   * Records a failure and gives it back, for its caller to hear: no refusal leaves that is not in the trail. Where it cannot be
   * recorded, fails as `record` does.
   */
  refuse<F extends Failure>(
    context: RequestContext,
    subject: EventSubject,
    failure: F,
    alongside?: readonly Query[],
    options?: RecordOptions,
  ): Promise<Refused<F>>;
  /**
   * Records a successful read as `record` does, but the reads of one caller that are alike within a minute are one row, whose
   * count grows: so a dashboard cannot fill the database. `eventId` of the result is that row's. A minute holds
   * CALLER_READS_MAX_ROWS such rows of a caller; further reads are counted in one row for each action.
   */
  recordRead<const Q extends readonly Query[]>(
    context: RequestContext,
    subject: EventSubject,
    alongside: Q,
  ): Promise<Result<Recorded<Q>, RecordFailure>>;
}

/** A committed attempt. Whoever has one may act upstream, and must settle it. */
export interface Attempt {
  readonly eventId: string;
  readonly tokenId: string | null;
}

export interface AttemptOptions {
  readonly room?: AttemptRoom;
  readonly eventId?: string;
}

/** What trip 1 came to. */
interface Begun<Q extends readonly Query[]> {
  /** Null: nothing was written, since the caller has no room for another row in this minute. */
  readonly attempt: Attempt | null;
  /** What was read beside the row. */
  readonly rows: RowsOfEach<Q>;
  /** Why the actor is kept out; null if it is not. */
  readonly bar: CallerBar | null;
}

/** Queries that take effect only where `guard` holds: where the row carries the outcome that they belong to. */
export type Following = (guard: SQL) => readonly Query[];

/**
 * What settling finds when it reads the row back. `own`: the row carries this very outcome. `other`: somebody else settled it
 * first. `blocked`: the `unless` of the settlement holds by now, and the row is still open. `unknown`: D1 does not say.
 */
type Settlement = { kind: 'own' } | { kind: 'other'; row: AuditEventRow } | { kind: 'blocked' } | { kind: 'unknown' };

export function createRecorder(dependencies: RecorderDependencies): Recorder {
  return {
    attempt: async (context, subject, reads, options = {}) =>
      await recordAttempt(dependencies, context, subject, reads, options),
    settle: async (context, attempt, outcome, following = () => [], unless) =>
      await settle(dependencies, context, attempt, outcome, following, unless),
    readBack: async (context, attempt) => await readBack(dependencies, context, attempt),
    record: async (context, subject, outcome, alongside, options = {}) =>
      await recordFinal(dependencies, context, subject, outcome, alongside, options),
    refuse: async (context, subject, failure, alongside = [], options = {}) =>
      await refuse(dependencies, context, subject, failure, alongside, options),
    recordRead: async (context, subject, alongside) => await recordCounted(dependencies, context, subject, alongside),
  };
}

async function recordAttempt<const Q extends readonly Query[]>(
  { database, runtime, labels }: RecorderDependencies,
  context: RequestContext,
  subject: EventSubject,
  reads: (guard: SQL) => Q,
  { room = 'undecided', eventId = runtime.newId() }: AttemptOptions,
): Promise<Result<Begun<Q>, AuditFailure>> {
  const nowMs = runtime.now();
  const row = attemptedRow(eventId, nowMs, context, subject);
  const insert = insertAttempt(database, row, room, subject.nameOf);
  const beside = reads(isRecorded(eventId));
  // A change is always noted with the label that its caller carries now, whatever this isolate remembers.
  const note = labelNote(subject.actor);
  const notes = note === null ? [] : [note];
  const queries = [selectBar(database, subject.actor), insert, ...beside, ...noting(database, notes, nowMs)] as const;
  const committed = await database.batch(context, queries);
  remember(labels, notes, committed.ok, nowMs);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [[block], [inserted], ...results] = committed.value;
  if (inserted !== undefined) context.trace.eventId = eventId;
  return ok({
    attempt: inserted === undefined ? null : { eventId, tokenId: subject.tokenId },
    rows: rowsOf(beside, results),
    bar: barOf(block),
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
  // Nothing but `unless` leaves an open row open.
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

/** Whether the row carries this outcome, as a condition. It compares the millisecond of settling too, so no other settlement matches. */
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
 * Sends a batch until D1 has answered it, at most SETTLE_MAX_ATTEMPTS times and within SETTLE_TIMEOUT_MS. It is for queries that
 * change nothing when they take effect again: a batch whose answer was lost may have been committed.
 *
 * Fails with `unknown`: D1 did not answer, and may have committed the batch all the same.
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
      // One at a time: each try is a repeat of the one before it.
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
