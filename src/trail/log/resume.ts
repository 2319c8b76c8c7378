import { and, eq, sql } from 'drizzle-orm';
import { RESUME_MAX_TRIES } from '../../config/trail-limits.ts';
import type { TrailLogConfig } from '../../config/trail-log.ts';
import type { Database, Query } from '../../db/database.ts';
import { auditEvents, trailGaps } from '../../db/schema.ts';
import type { CallerBar, Failure, RecordFailure } from '../../failures.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller, Decision, PolicyRequest } from '../../policy/types.ts';
import { barOf, isBarred, selectsBar } from '../../subjects/bars.ts';
import { callerMinuteOf, isWithinIdleRows, outOfRows } from '../caller-rows.ts';
import { actorOf, eventSubject, finalRow, successOutcome } from '../event.ts';
import { rowsOf } from '../final-records.ts';
import { type Recorder, repeatBatch } from '../recorder.ts';
import { insertEvent, isRecorded } from '../statements.ts';
import { readOldLog } from './old-log.ts';
import { firstLeavesOf, type OldLog, planOf, type ResumedLog } from './resume-plan.ts';
import { awaitLost, endOld, insertGap, insertLeaf, insertLog, isUnchanged } from './resume-statements.ts';
import type { LogStore } from './store.ts';

// A new log in the place of one that cannot go on. Its first leaf names what the old one came to, and what was known of it outside.

export interface ResumeDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly runtime: Runtime;
  /** Null: the Worker has no key to seal with. */
  readonly trailLog: TrailLogConfig | null;
  readonly store: LogStore;
  readonly decide: (caller: Caller, request: PolicyRequest) => Decision;
}

/**
 * Begins a new log where the current one is stopped, or is signed by a key that this service does not have any more. The event of it, the
 * end of the old log, the new one with its first leaf and the gap are one D1 batch, which compares that the old log is as it was read: of
 * two resumes at once one begins a log, and a kill leaves all of it or nothing.
 *
 * Fails with `forbidden`; `sealing_not_configured`; `log_not_stopped`, also for whoever comes second; `audit_unavailable` where D1 or the
 * files of the log do not answer, or the trail grew too fast each time; and with `subject_blocked`, `session_ended` and `rate_limited` as
 * whatever a caller does. Then nothing is done; but D1 may have taken what it did not confirm.
 *
 * @param reason why, in the operator's words.
 */
export async function resumeLog(
  dependencies: ResumeDependencies,
  context: RequestContext,
  caller: Caller,
  reason: string,
): Promise<Result<ResumedLog, Failure>> {
  const { decide, recorder, trailLog } = dependencies;
  const asked = eventSubject('trail.resume', actorOf(caller));
  const decision = decide(caller, { operation: 'resume-log' });
  if (!decision.allowed) return await recorder.refuse(context, asked, decision.failure);
  if (trailLog === null) return await recorder.refuse(context, asked, { kind: 'sealing_not_configured' });
  for (let tries = 0; tries < RESUME_MAX_TRIES; tries += 1) {
    // One at a time: each try is a repeat of the one before it, with the trail as it is by then.
    const old = await readOldLog(dependencies, context, trailLog);
    if (!old.ok) return old;
    if (old.value === null) return await recorder.refuse(context, asked, { kind: 'log_not_stopped' });
    const begun = await begin(
      dependencies,
      context,
      caller,
      { reason, role: decision.grant.role },
      old.value,
      trailLog,
    );
    if (!begun.ok) return isBar(begun.error) ? await recorder.refuse(context, asked, begun.error) : begun;
    if (begun.value !== null) return ok(begun.value);
  }
  return err({ kind: 'audit_unavailable' });
}

const isBar = (failure: RecordFailure): failure is CallerBar =>
  failure.kind === 'subject_blocked' || failure.kind === 'session_ended';

/** Sends the batch. Null: the log is not as it was read any more, or too many events came between. */
async function begin(
  { database, runtime }: ResumeDependencies,
  context: RequestContext,
  caller: Caller,
  { reason, role }: { readonly reason: string; readonly role: string },
  old: OldLog,
  config: TrailLogConfig,
): Promise<Result<ResumedLog | null, RecordFailure>> {
  const actor = actorOf(caller);
  const [nowMs, eventId] = [runtime.now(), runtime.newId()];
  const newest = await database.batch(context, [selectNewest(database)]);
  if (!newest.ok) return err({ kind: 'audit_unavailable' });
  const newestSeq = newest.value[0][0]?.seq ?? 0;
  const plan = planOf(old, config, { newestSeq, nowMs, eventId });
  const about = {
    log: plan.number,
    because: plan.because,
    kept_size: plan.previous.size,
    kept_seq: plan.keptSeq,
    reason,
  };
  const subject = eventSubject('trail.resume', actor, { detail: about });
  const event = finalRow(eventId, nowMs, context, subject, successOutcome(null, { role }));
  const isAdmitted = and(
    isUnchanged(old.row, plan, newestSeq),
    sql`not ${isBarred(database, actor)}`,
    isWithinIdleRows(callerMinuteOf(event)),
  );
  const isNew = sql`not ${isRecorded(eventId)} and ${isAdmitted}`;
  const isDone = isRecorded(eventId);
  const entries = firstLeavesOf(plan, reason);
  const writing: readonly Query[] = [
    ...(plan.gap === null ? [] : [insertGap(database, plan.number, plan.gap.to, isNew)]),
    insertEvent(database, event, isNew, plan.gap === null ? {} : { seq: sql`${plan.gap.to + 1}` }),
    endOld(database, old.row, nowMs, isDone),
    awaitLost(database, old.row, isDone),
    insertLog(database, old.row, plan, entries, isDone),
    insertLeaf(database, plan, entries, isDone),
  ];
  const reading = [
    database.build.select().from(trailGaps).where(eq(trailGaps.log, plan.number)),
    database.build
      .select({
        done: sql<number>`${isDone}`.as('done'),
        blocked: selectsBar(database, actor).as('blocked'),
        unchanged: sql<number>`${isUnchanged(old.row, plan, newestSeq)}`.as('unchanged'),
      })
      .from(sql`(select 1)`),
  ] as const;
  const committed = await repeatBatch({ database, runtime }, context, [...writing, ...reading]);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [[gap], [state]] = rowsOf(reading, committed.value.slice(writing.length));
  if (state?.done === 1) {
    context.trace.eventId = eventId;
    return ok({ ...plan, gap: gap === undefined ? null : { from: gap.from_seq, to: gap.to_seq } });
  }
  const bar = barOf(state);
  if (bar !== null) return err(bar);
  return state?.unchanged === 1 ? err(outOfRows(nowMs)) : ok(null);
}

const selectNewest = ({ build }: Database) =>
  build.select({ seq: sql<number | null>`max(${auditEvents.seq})`.as('seq') }).from(auditEvents);
