import { and, desc, eq, sql, type SQL } from 'drizzle-orm';
import { RESUME_EVENTS_BETWEEN_MAX_COUNT, RESUME_MAX_TRIES } from '../../config/trail-limits.ts';
import type { TrailLogConfig } from '../../config/trail-log.ts';
import type { Database, Query } from '../../db/database.ts';
import {
  auditEvents,
  trailAnchors,
  trailCheckpoints,
  trailGaps,
  trailLeaves,
  trailLogs,
  type TrailLogRow,
  trailPending,
} from '../../db/schema.ts';
import { selectedRow } from '../../db/sql.ts';
import type { AuditFailure, CallerBar, Failure, RecordFailure } from '../../failures.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller, Decision, PolicyRequest } from '../../policy/types.ts';
import { barOf, isBarred, selectsBar } from '../../subjects/bars.ts';
import { parseCheckpoint } from '../../tlog/checkpoint.ts';
import { leafHash } from '../../tlog/merkle.ts';
import { createSigner, isSignedBy, parseVerifier, type Verifier, verifierOf } from '../../tlog/note.ts';
import type { ResumedBecause } from '../../vocabulary.ts';
import { callerMinuteOf, isWithinIdleRows, outOfRows } from '../caller-rows.ts';
import { actorOf, eventSubject, finalRow, successOutcome } from '../event.ts';
import { rowsOf } from '../final-records.ts';
import { type Recorder, repeatBatch } from '../recorder.ts';
import { insertEventsFrom, isRecorded } from '../statements.ts';
import { type Beyond, filesOf, FilesUnavailable, type LogFiles, lookBeyond } from './beyond.ts';
import { entryOf } from './facts.ts';
import { originOf } from './signing.ts';
import { checkpointKey, type LogStore } from './store.ts';

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

/** Numbers that no event has. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** The log that was begun, and what it follows. */
export interface ResumedLog {
  readonly number: number;
  readonly origin: string;
  /** When it was begun, in milliseconds since the epoch. */
  readonly begunAtMs: number;
  readonly because: ResumedBecause;
  readonly previous: PreviousLog;
  readonly keptSeq: number;
  readonly gap: Gap | null;
  /** The event of the trail in which it was begun. */
  readonly eventId: string;
}

/** What became of the old log. */
export interface PreviousLog {
  readonly number: number;
  readonly origin: string;
  /** How many of its leaves count. */
  readonly size: number;
  /** The checkpoint of that size; null: none was published. */
  readonly checkpoint: string | null;
  /** The largest checkpoint that was signed beyond it; null: none is known. */
  readonly known: string | null;
}

/** The body of the first entry of a log that follows another one. */
export const resumedBody = (log: ResumedLog, reason: string) => ({
  at: new Date(log.begunAtMs).toISOString(),
  log: log.number,
  previous: {
    origin: log.previous.origin,
    size: log.previous.size,
    checkpoint: log.previous.checkpoint,
    known: log.previous.known,
  },
  kept_size: log.previous.size,
  kept_seq: log.keptSeq,
  gap: log.gap,
  because: log.because,
  reason,
  event_id: log.eventId,
});

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

/** What was read of the log that is to end. */
interface OldLog {
  readonly row: TrailLogRow;
  readonly because: ResumedBecause;
  readonly checkpoint: string | null;
  readonly keptSeq: number;
  readonly beyond: Beyond;
}

/** Reads the current log. Null: it goes on, or there is none. Fails with `audit_unavailable` where D1 or the files do not answer. */
async function readOldLog(
  { database, store, runtime }: ResumeDependencies,
  context: RequestContext,
  config: TrailLogConfig,
): Promise<Result<OldLog | null, AuditFailure>> {
  const { build } = database;
  const current = sql`(select max(l.number) from trail_logs as l)`;
  const kept = sql`(select l.published_size from trail_logs as l where l.number = ${current})`;
  const read = await database.batch(context, [
    build.select().from(trailLogs).where(eq(trailLogs.number, current)),
    build
      .select()
      .from(trailCheckpoints)
      .where(and(eq(trailCheckpoints.log, current), sql`${trailCheckpoints.size} = ${kept}`)),
    // Leaves of earlier logs count up to what these have published.
    build
      .select({ seq: trailLeaves.seq })
      .from(trailLeaves)
      .where(and(sql`${trailLeaves.seq} is not null`, isKept('trail_leaves')))
      .orderBy(desc(trailLeaves.seq))
      .limit(1),
    build
      .select({ size: sql<number>`coalesce(max(${trailAnchors.size}), 0)`.as('size') })
      .from(trailAnchors)
      .where(eq(trailAnchors.log, current)),
  ] as const);
  if (!read.ok) return err({ kind: 'audit_unavailable' });
  const [[row], [published], [leaf], [outside]] = read.value;
  if (row === undefined) return ok(null);
  const files = filesOf(store, context);
  try {
    const stored = published?.note ?? (await storedNote(files, row));
    const because = await whyStopped(row, stored, config);
    if (because === null) return ok(null);
    const keptSeq = leaf?.seq ?? 0;
    const log = { number: row.number, publishedSize: row.published_size, keptSeq };
    const beyond = await lookBeyond(files, log, await verifiersOf(row, config), outside?.size);
    return ok({ row, because, checkpoint: stored, keptSeq, beyond });
  } catch (error) {
    if (!(error instanceof FilesUnavailable)) throw error;
    runtime.log({ level: 'error', event: 'log_files_failed', request_id: context.requestId, failure: error.message });
    return err({ kind: 'audit_unavailable' });
  }
}

/** Whether a leaf is in the part of its log that was published: what a log has beyond that is void once it is stopped for good. */
const isKept = (leaf: string): SQL =>
  sql`${sql.identifier(leaf)}.idx < (select l.published_size from trail_logs as l where l.number = ${sql.identifier(leaf)}.log)`;

/** Old checkpoints are only among the files. */
async function storedNote(files: LogFiles, { number, published_size: size }: TrailLogRow): Promise<string | null> {
  const bytes = size === 0 ? null : await files.get(checkpointKey(number, size));
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

/** Why the log cannot go on; null: it can. */
async function whyStopped(
  row: TrailLogRow,
  note: string | null,
  config: TrailLogConfig,
): Promise<ResumedBecause | null> {
  if (row.stopped === 'rolled_back' || row.stopped === 'forked') return row.stopped;
  return (await hasKeyOf(row, note, config)) ? null : 'key_lost';
}

/**
 * Whether a configured key is that of the log: the one that the last hand-over names, or else the one that has signed its last checkpoint.
 * A log without either is signed by whatever key there is of its name. A key of another name signs nothing of it.
 */
async function hasKeyOf(row: TrailLogRow, note: string | null, config: TrailLogConfig): Promise<boolean> {
  if (row.origin !== originOf(config.key.name, row.number)) return false;
  const ours = await ownVerifiers(row.origin, config);
  const named = row.key === null ? null : parseVerifier(row.key);
  if (named !== null) return ours.some(({ keyId }) => keyId === named.keyId);
  const parsed = note === null ? null : parseCheckpoint(note);
  if (parsed === null) return row.published_size === 0;
  for (const verifier of ours) if (await isSignedBy(parsed.note, verifier)) return true;
  return false;
}

/** The verifiers of the configured keys under the origin of a log. */
async function ownVerifiers(origin: string, { key, nextKey }: TrailLogConfig): Promise<readonly Verifier[]> {
  const keys = nextKey === null ? [key] : [key, nextKey];
  return await Promise.all(keys.map(async (one) => (await createSigner(one, origin)).verifier));
}

/** The keys that may have signed each log: the configured ones, and the one that the last hand-over names. */
async function verifiersOf(row: TrailLogRow, config: TrailLogConfig): Promise<(number: number) => readonly Verifier[]> {
  const named = row.key === null ? null : parseVerifier(row.key);
  const ours = await ownVerifiers(row.origin, config);
  const keys = [...ours, ...(named === null ? [] : [named])].map(({ publicKey }) => publicKey);
  return (number) => {
    const origin = number === row.number ? row.origin : originOf(config.key.name, number);
    return keys.map((publicKey) => verifierOf('log', origin, publicKey));
  };
}

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
  const entries = candidates(plan, reason);
  const writing: readonly Query[] = [
    ...(plan.gap === null ? [] : [insertGap(database, plan.number, plan.gap.to, isNew)]),
    insertEventsFrom(database, event, plan.gap === null ? {} : { seq: sql`${plan.gap.to + 1}` }, sql`where ${isNew}`),
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

/** The new log. Its gap begins behind the newest event that was read; more may come before the batch. */
function planOf(
  { row, because, checkpoint, keptSeq, beyond }: OldLog,
  config: TrailLogConfig,
  { newestSeq, nowMs, eventId }: { readonly newestSeq: number; readonly nowMs: number; readonly eventId: string },
): ResumedLog {
  const number = beyond.lastNumber + 1;
  return {
    number,
    origin: originOf(config.key.name, number),
    begunAtMs: nowMs,
    because,
    previous: { number: row.number, origin: row.origin, size: row.published_size, checkpoint, known: beyond.known },
    keptSeq,
    gap: beyond.highestSeq > newestSeq ? { from: newestSeq + 1, to: beyond.highestSeq } : null,
    eventId,
  };
}

/** A first leaf for each number at which the gap may begin once the batch is committed: D1 makes no hashes, so it chooses one. */
interface Candidates {
  readonly firstFrom: number;
  readonly entries: readonly string[];
  readonly hashes: readonly string[];
}

function candidates(plan: ResumedLog, reason: string): Candidates {
  const { gap } = plan;
  const froms =
    gap === null
      ? [0]
      : Array.from(
          { length: Math.min(RESUME_EVENTS_BETWEEN_MAX_COUNT, gap.to - gap.from + 1) },
          (_, more) => gap.from + more,
        );
  const bytes = froms.map((from) =>
    entryOf('resumed', resumedBody({ ...plan, gap: gap === null ? null : { from, to: gap.to } }, reason)),
  );
  return {
    firstFrom: froms[0] ?? 0,
    entries: bytes.map((entry) => new TextDecoder().decode(entry)),
    hashes: bytes.map((entry) => Buffer.from(leafHash(entry)).toString('base64')),
  };
}

/** Whether the log is as it was read, and the trail has grown by no more than there are first leaves for. */
function isUnchanged(row: TrailLogRow, { gap, number }: ResumedLog, newestSeq: number): SQL {
  const log = sql`exists (select 1 from trail_logs as l where l.number = ${row.number} and l.size = ${row.size}
    and l.published_size = ${row.published_size} and l.stopped is ${row.stopped} and l.key is ${row.key}
    and l.number = (select max(m.number) from trail_logs as m)) and ${number} > ${row.number}`;
  if (gap === null) return log;
  const last = Math.min(newestSeq + RESUME_EVENTS_BETWEEN_MAX_COUNT, gap.to) - 1;
  return sql`${log} and (select coalesce(max(e.seq), 0) from audit_events as e) between ${newestSeq} and ${last}`;
}

const insertGap = ({ build }: Database, number: number, to: number, condition: SQL) =>
  build.insert(trailGaps).select(
    sql`select ${selectedRow(trailGaps, {
      from_seq: sql`(select coalesce(max(e.seq), 0) + 1 from audit_events as e)`,
      to_seq: to,
      log: number,
    })} where ${condition}`,
  );

const endOld = ({ build }: Database, row: TrailLogRow, nowMs: number, condition: SQL) =>
  build
    .update(trailLogs)
    .set({ stopped: 'resumed', stopped_at: sql`coalesce(${trailLogs.stopped_at}, ${nowMs})` })
    .where(and(eq(trailLogs.number, row.number), condition));

/**
 * Whatever only the void part of the old log has sealed waits to be sealed anew: an event whose beginning is in a part that counts waits
 * to be settled, and any other for its leaf.
 */
const awaitLost = ({ build }: Database, row: TrailLogRow, condition: SQL) =>
  build.insert(trailPending).select(
    sql`select lost.seq, iif(exists (select 1 from trail_leaves as r where r.seq = lost.seq and r.kind = 'recorded' and ${isKept('r')}), 'settlement', 'leaf')
      from trail_leaves as lost where lost.log = ${row.number} and lost.idx >= ${row.published_size} and lost.seq is not null
      and ${condition} group by lost.seq
      on conflict (seq) do update set awaits = excluded.awaits`,
  );

const chosen = (list: readonly string[], { firstFrom }: Candidates, number: number): SQL =>
  sql`json_extract(${JSON.stringify(list)}, '$[' || cast(coalesce((select g.from_seq from trail_gaps as g where g.log = ${number}), ${firstFrom}) - ${firstFrom} as integer) || ']')`;

const insertLog = ({ build }: Database, row: TrailLogRow, plan: ResumedLog, entries: Candidates, condition: SQL) =>
  build.insert(trailLogs).select(
    sql`select ${selectedRow(trailLogs, {
      number: plan.number,
      origin: plan.origin,
      begun_at: plan.begunAtMs,
      size: 1,
      edge: sql`json_array(${chosen(entries.hashes, entries, plan.number)})`,
      through_seq: row.through_seq,
      published_size: 0,
    })} where ${condition} and not exists (select 1 from trail_logs as l where l.number = ${plan.number})`,
  );

const insertLeaf = ({ build }: Database, plan: ResumedLog, entries: Candidates, condition: SQL) =>
  build.insert(trailLeaves).select(
    sql`select ${selectedRow(trailLeaves, {
      log: plan.number,
      idx: 0,
      kind: 'resumed',
      hash: chosen(entries.hashes, entries, plan.number),
      authentic: 1,
      entry: chosen(entries.entries, entries, plan.number),
    })} where ${condition} and not exists (select 1 from trail_leaves as l where l.log = ${plan.number} and l.idx = 0)`,
  );
