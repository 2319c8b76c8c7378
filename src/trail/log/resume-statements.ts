import { and, eq, sql, type SQL } from 'drizzle-orm';
import { RESUME_EVENTS_BETWEEN_MAX_COUNT } from '../../config/trail-limits.ts';
import type { Database } from '../../db/database.ts';
import { trailGaps, trailLeaves, trailLogs, type TrailLogRow, trailPending } from '../../db/schema.ts';
import { selectedRow } from '../../db/sql.ts';
import type { FirstLeaves, ResumedLog } from './resume-plan.ts';
import { PASSED_SEQ } from './statements.ts';

// The statements of the batch that ends a log and begins the next one.

/** Whether a leaf is in the part of its log that was published: what a log has beyond that is void once it is stopped for good. */
export const isKept = (leaf: string): SQL =>
  sql`${sql.identifier(leaf)}.idx < (select l.published_size from trail_logs as l where l.number = ${sql.identifier(leaf)}.log)`;

/** Whether the log is as it was read, and the trail has grown by no more than there are first leaves for. */
export function isUnchanged(row: TrailLogRow, { gap, number }: ResumedLog, newestSeq: number): SQL {
  const log = sql`exists (select 1 from trail_logs as l where l.number = ${row.number} and l.size = ${row.size}
    and l.published_size = ${row.published_size} and l.stopped is ${row.stopped} and l.key is ${row.key}
    and l.number = (select max(m.number) from trail_logs as m)) and ${number} > ${row.number}`;
  if (gap === null) return log;
  const last = Math.min(newestSeq + RESUME_EVENTS_BETWEEN_MAX_COUNT, gap.to) - 1;
  return sql`${log} and (select coalesce(max(e.seq), 0) from audit_events as e) between ${newestSeq} and ${last}`;
}

export const insertGap = ({ build }: Database, number: number, to: number, condition: SQL) =>
  build.insert(trailGaps).select(
    sql`select ${selectedRow(trailGaps, {
      from_seq: sql`(select coalesce(max(e.seq), 0) + 1 from audit_events as e)`,
      to_seq: to,
      log: number,
    })} where ${condition}`,
  );

export const endOld = ({ build }: Database, row: TrailLogRow, nowMs: number, condition: SQL) =>
  build
    .update(trailLogs)
    .set({ stopped: 'resumed', stopped_at: sql`coalesce(${trailLogs.stopped_at}, ${nowMs})` })
    .where(and(eq(trailLogs.number, row.number), condition));

/**
 * Whatever only the void part of the old log has sealed waits to be sealed anew: an event whose beginning is in a part that counts waits
 * to be settled, and any other for its leaf. Once the new log is there, nothing is added: the batch may be sent again after the cron has
 * sealed what waited.
 */
export const awaitLost = ({ build }: Database, row: TrailLogRow, condition: SQL) =>
  build.insert(trailPending).select(
    sql`select lost.seq, iif(exists (select 1 from trail_leaves as r where r.seq = lost.seq and r.kind = 'recorded' and ${isKept('r')}), 'settlement', 'leaf')
      from trail_leaves as lost where lost.log = ${row.number} and lost.idx >= ${row.published_size} and lost.seq is not null
      and ${condition} and not exists (select 1 from trail_logs as l where l.number > ${row.number}) group by lost.seq
      on conflict (seq) do update set awaits = excluded.awaits`,
  );

const chosen = (list: readonly string[], { firstFrom }: FirstLeaves, number: number): SQL =>
  sql`json_extract(${JSON.stringify(list)}, '$[' || cast(coalesce((select g.from_seq from trail_gaps as g where g.log = ${number}), ${firstFrom}) - ${firstFrom} as integer) || ']')`;

export const insertLog = (
  { build }: Database,
  row: TrailLogRow,
  plan: ResumedLog,
  entries: FirstLeaves,
  condition: SQL,
) =>
  build.insert(trailLogs).select(
    sql`select ${selectedRow(trailLogs, {
      number: plan.number,
      origin: plan.origin,
      begun_at: plan.begunAtMs,
      size: 1,
      edge: sql`json_array(${chosen(entries.hashes, entries, plan.number)})`,
      // Somebody may have raised it: the new log passes over nothing.
      through_seq: sql`min(${row.through_seq}, ${PASSED_SEQ})`,
      published_size: 0,
      key: plan.key,
    })} where ${condition} and not exists (select 1 from trail_logs as l where l.number = ${plan.number})`,
  );

export const insertLeaf = ({ build }: Database, plan: ResumedLog, entries: FirstLeaves, condition: SQL) =>
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
