import { and, asc, desc, eq, getTableColumns, gt, gte, isNull, lt, type SQL, sql } from 'drizzle-orm';
import { CHECKPOINTS_KEPT_MS, CHECKPOINTS_PRUNED_AT_ONCE, LOG_CLOSE_AFTER_MS } from '../../config/trail-limits.ts';
import type { Database } from '../../db/database.ts';
import { auditEvents } from '../../db/schema.ts';
import {
  macSweeps,
  trailCheckpoints,
  trailLeaves,
  trailLogs,
  trailPending,
  type TrailLogRow,
  unauthenticRows,
} from '../../db/trail-log-schema.ts';
import type { LogStop, MacKind } from '../../vocabulary.ts';
import type { Assignment } from './leaves.ts';

// The statements of sequencing. Whatever moves a log on does so by compare-and-set on what the run has read of it, in one batch with what
// it adds, so a run that was overtaken or killed leaves nothing behind.

type Builder = Pick<Database, 'build'>;

/** The log that grows, or that was the last to grow. */
export const selectHead = ({ build }: Builder) =>
  build.select().from(trailLogs).orderBy(desc(trailLogs.number)).limit(1);

/** The last checkpoint of that log. */
export const selectLastCheckpoint = ({ build }: Builder) =>
  build
    .select({ log: trailCheckpoints.log, size: trailCheckpoints.size, note: trailCheckpoints.note })
    .from(trailCheckpoints)
    .where(eq(trailCheckpoints.log, sql`(select max(number) from trail_logs)`))
    .orderBy(desc(trailCheckpoints.size))
    .limit(1);

/** The newest event that has a leaf or waits for one. No log has passed more. */
export const PASSED_SEQ = sql`max(coalesce((select max(seq) from trail_leaves where seq is not null), 0),
  coalesce((select max(seq) from trail_pending), 0))`;

/** The newest event that there is, the newest that was passed, and up to which one rows without a MAC count: null, where none were adopted. */
export const selectTrail = ({ build }: Builder) =>
  build
    .select({
      newest_seq: sql<number>`coalesce((select max(seq) from audit_events), 0)`.as('newest_seq'),
      passed_seq: sql<number>`${PASSED_SEQ}`.as('passed_seq'),
      position: sql<number | null>`w.position`.as('position'),
      mac: sql<string | null>`w.mac`.as('mac'),
    })
    .from(sql`(select 1) left join ${macSweeps} as w on w.kind = ${'row' satisfies MacKind}`);

/** Begins the first log, unless there is one. */
export const beginFirstLog = ({ build }: Builder, origin: string, nowMs: number) =>
  build.insert(trailLogs).select(
    sql`select 1, ${origin}, ${nowMs}, 0, '[]', 0, 0, null, null, null, null
          where not exists (select 1 from trail_logs)`,
  );

/** The events of a chunk: those behind `throughSeq`, in the order of the trail. */
export interface ChunkRange {
  readonly throughSeq: number;
  readonly rows: number;
}

/**
 * Closes the counted rows of a chunk, and those that wait for it, that have not grown for LOG_CLOSE_AFTER_MS. The difference is absolute:
 * a clock that jumped forwards and back would otherwise leave rows open until its time comes again.
 */
export const closeCounted = ({ build }: Builder, { throughSeq, rows }: ChunkRange, nowMs: number) =>
  build
    .update(auditEvents)
    .set({ closed_at: nowMs })
    .where(
      and(
        sql`${auditEvents.seq} in (
          select seq from (select p.seq from trail_pending as p where p.awaits = 'close' order by p.seq limit ${rows})
          union all
          select seq from (select n.seq from audit_events as n where n.seq > ${throughSeq} order by n.seq limit ${rows}))`,
        sql`${auditEvents.read_key} is not null`,
        isNull(auditEvents.closed_at),
        sql`abs(${nowMs} - coalesce(${auditEvents.last_at}, ${auditEvents.occurred_at})) >= ${LOG_CLOSE_AFTER_MS}`,
      ),
    );

/** The events that the log has not met. */
export const selectNew = ({ build }: Builder, { throughSeq, rows }: ChunkRange) =>
  build.select().from(auditEvents).where(gt(auditEvents.seq, throughSeq)).orderBy(asc(auditEvents.seq)).limit(rows);

const ROW = getTableColumns(auditEvents);

/** The events that waited and have something to say now. */
export const selectDue = ({ build }: Builder, { rows }: ChunkRange) =>
  build
    .select({ ...aliased('a', ROW), awaits: sql<typeof trailPending.$inferSelect.awaits>`p.awaits`.as('awaits') })
    .from(sql`trail_pending as p cross join audit_events as a on a.seq = p.seq`)
    .where(
      sql`case p.awaits when 'settlement' then a.status <> 'attempted' when 'close' then a.closed_at is not null else 1 end`,
    )
    .orderBy(sql`p.seq`)
    .limit(rows);

/** The columns of a table under the name that a statement reads it by, so that a join gives each its own name. */
function aliased<T extends Readonly<Record<string, unknown>>>(name: string, columns: T) {
  const entries = Object.keys(columns).map((column) => [column, sql.raw(`${name}.${column}`).as(column)]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each column under its own name, as the table types it
  return Object.fromEntries(entries) as unknown as T;
}

/** That a log is as a run has read it. */
export const isStill = ({ number, size, through_seq }: TrailLogRow): SQL =>
  sql`exists (select 1 from trail_logs where number = ${number} and size = ${size} and through_seq = ${through_seq} and stopped is null)`;

/** Assigns leaves and moves the log on, where it is still as it was read. The last statement gives a row if it was. */
export function assignLeaves(
  { build }: Builder,
  log: TrailLogRow,
  { leaves, over, waiting, unauthentic }: Assignment,
  to: Pick<TrailLogRow, 'size' | 'edge' | 'through_seq'>,
  nowMs: number,
) {
  const isSame = isStill(log);
  const entries = JSON.stringify(leaves.map(({ kind, seq, hash, authentic }) => [kind, seq, hash, authentic]));
  const waits = JSON.stringify(waiting.map(({ seq, awaits }) => [seq, awaits]));
  const add = build.insert(trailLeaves).select(
    sql`select ${log.number}, ${log.size} + e.key, e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, null
          from json_each(${entries}) as e where ${isSame} order by e.key`,
  );
  const forget = build
    .delete(trailPending)
    .where(and(sql`${trailPending.seq} in (select value from json_each(${JSON.stringify(over)}))`, isSame));
  const remember = build
    .insert(trailPending)
    .select(sql`select e.value ->> 0, e.value ->> 1 from json_each(${waits}) as e where ${isSame}`);
  const note = build
    .insert(unauthenticRows)
    .select(
      sql`select ${'row' satisfies MacKind}, value, ${nowMs} from json_each(${JSON.stringify(unauthentic)}) where ${isSame}`,
    )
    .onConflictDoNothing();
  const move = build
    .update(trailLogs)
    .set(to)
    .where(and(eq(trailLogs.number, log.number), isSame))
    .returning({ number: trailLogs.number });
  return [
    ...(leaves.length > 0 ? [add] : []),
    ...(over.length > 0 ? [forget] : []),
    ...(waiting.length > 0 ? [remember] : []),
    ...(unauthentic.length > 0 ? [note] : []),
    move,
  ];
}

/** The leaves from `begin` to before `end`, each with the row of its event. */
export const selectLeaves = ({ build }: Builder, log: number, begin: number, end: number) =>
  build
    .select({
      idx: trailLeaves.idx,
      kind: trailLeaves.kind,
      hash: trailLeaves.hash,
      authentic: trailLeaves.authentic,
      entry: trailLeaves.entry,
      event: sql<number | null>`"trail_leaves"."seq"`.as('event'),
      ...aliased('a', ROW),
    })
    .from(trailLeaves)
    .leftJoin(sql`audit_events as a`, sql`a.seq = ${trailLeaves.seq}`)
    .where(and(eq(trailLeaves.log, log), gte(trailLeaves.idx, begin), lt(trailLeaves.idx, end)))
    .orderBy(asc(trailLeaves.idx));

/** Stores a checkpoint and moves what is published on, where nobody else did. The second statement gives a row if so. */
export function publishCheckpoint({ build }: Builder, log: TrailLogRow, note: string, nowMs: number) {
  const isUnpublished = sql`exists (select 1 from trail_logs
    where number = ${log.number} and published_size = ${log.published_size} and stopped is null)`;
  return [
    build
      .insert(trailCheckpoints)
      .select(sql`select ${log.number}, ${log.size}, ${note}, ${nowMs}, '', null where ${isUnpublished}`),
    build
      .update(trailLogs)
      .set({ published_size: log.size, published_at: nowMs })
      .where(and(eq(trailLogs.number, log.number), isUnpublished))
      .returning({ number: trailLogs.number }),
  ] as const;
}

/** Forgets the oldest checkpoints, which stand with the tiles too, a few at a time. The last one of a log always stays. */
export const forgetCheckpoints = ({ build }: Builder, log: TrailLogRow, nowMs: number) =>
  build.delete(trailCheckpoints).where(
    and(
      eq(trailCheckpoints.log, log.number),
      sql`${trailCheckpoints.size} in (select c.size from trail_checkpoints as c where c.log = ${log.number}
          order by c.size limit ${CHECKPOINTS_PRUNED_AT_ONCE})`,
      sql`abs(${nowMs} - ${trailCheckpoints.signed_at}) > ${CHECKPOINTS_KEPT_MS}`,
      lt(trailCheckpoints.size, log.published_size),
    ),
  );

/** Stops a log, where nobody has published more of it since it was read. */
export const stopLog = (
  { build }: Builder,
  log: Pick<TrailLogRow, 'number' | 'published_size'>,
  stopped: LogStop,
  nowMs: number,
) =>
  build
    .update(trailLogs)
    .set({ stopped, stopped_at: nowMs })
    .where(
      and(
        eq(trailLogs.number, log.number),
        eq(trailLogs.published_size, log.published_size),
        isNull(trailLogs.stopped),
      ),
    )
    .returning({ number: trailLogs.number });

/** How the log stands, for whoever asks how the service is. Times are milliseconds since the epoch. */
export interface SealingState {
  /** The number of the log; null: none has begun. */
  readonly log: number | null;
  readonly stopped: LogStop | null;
  readonly stopped_at: number | null;
  /** When the oldest fact without a published leaf came to be; null: there is none. */
  readonly oldest: number | null;
}

/**
 * The state of the last log. It reads a row or two, however much waits: facts wait in the order of the trail, so the oldest is that of the
 * first leaf that is not published, or else the first event that the log has not met. A counted row that the log has met and that may
 * still grow is not late.
 */
export const selectSealingState = ({ build }: Builder) =>
  build
    .select({
      log: sql<SealingState['log']>`l.number`.as('log'),
      stopped: sql<SealingState['stopped']>`l.stopped`.as('stopped'),
      stopped_at: sql<SealingState['stopped_at']>`l.stopped_at`.as('stopped_at'),
      oldest: sql<SealingState['oldest']>`coalesce(
        (select case f.kind when 'settled' then a.settled_at when 'counted' then a.closed_at else a.occurred_at end
          from trail_leaves as f cross join audit_events as a on a.seq = f.seq
          where f.log = l.number and f.idx >= l.published_size order by f.idx limit 1),
        (select n.occurred_at from audit_events as n where n.seq > coalesce(l.through_seq, 0) order by n.seq limit 1))`.as(
        'oldest',
      ),
    })
    .from(sql`(select 1) left join (select * from trail_logs order by number desc limit 1) as l`);
