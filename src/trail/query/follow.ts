import { and, eq, gt, lt, sql } from 'drizzle-orm';
import { AUDIT_COUNTING_SLACK_MS, AUDIT_REREAD_MAX_ROWS, AUDIT_UNFINISHED_MS } from '../../config/limits.ts';
import type { Database } from '../../db/database.ts';
import { type AuditEventRow, auditEvents } from '../../db/schema.ts';
import { minuteEndMs } from '../../kit/time.ts';
import type { Scan } from './page.ts';
import type { EventFilter } from './filter.ts';
import { mayComeToMatch } from './plan.ts';

// Where the part of the trail ends that no longer changes. A follower reads up to there, in pages and exports, so that what it has
// read stays true.

/** Where the trail ends, and the first row for a filter that may still change. Null: there is none. */
export interface Ends {
  readonly newest_seq: number | null;
  readonly open_seq: number | null;
}

/** The ends of an empty trail. */
export const NO_ENDS: Ends = { newest_seq: null, open_seq: null };

/**
 * The query for the end of the trail, and for the first open attempt after `afterSeq` that is, or may yet be, among the rows of a
 * filter. An attempt older than AUDIT_UNFINISHED_MS is not waited for, and one from further than that in the future was recorded
 * by a clock that ran ahead: it would hide what is behind it until that time has come.
 */
export function selectEnds({ build }: Database, filter: EventFilter, afterSeq: number, nowMs: number) {
  // There are hardly any open attempts, so the index that holds only those is used, whatever else could be looked up.
  const open = sql`select min(${auditEvents.seq}) from ${auditEvents} indexed by audit_events_open where ${and(
    eq(auditEvents.status, sql`'attempted'`),
    gt(auditEvents.occurred_at, nowMs - AUDIT_UNFINISHED_MS),
    lt(auditEvents.occurred_at, nowMs + AUDIT_UNFINISHED_MS),
    gt(auditEvents.seq, afterSeq),
    mayComeToMatch(filter),
  )}`;
  const newest = sql`select max(${auditEvents.seq}) from ${auditEvents}`;
  return (
    build
      // D1 gives rows by the names of their columns, so each column has one.
      .select({
        newest_seq: sql<number | null>`(${newest})`.as('newest_seq'),
        open_seq: sql<number | null>`(${open})`.as('open_seq'),
      })
      .from(sql`(select 1)`)
  );
}

/** A page for a follower. */
export interface Progress {
  /** The events that will stay as they are. */
  readonly events: readonly AuditEventRow[];
  /** The next page begins after this `seq`. */
  readonly nextSeq: number;
  /** Whether the next page can be had at once. */
  readonly hasMore: boolean;
}

/**
 * Ends an ascending page before the first row that can still change.
 *
 * The position moves behind the last event shown. It moves over rows that are not shown only if they are many: a follower that
 * waits then asks the same question again, and its questions are counted in one row instead of written down each time.
 *
 * @param nowMs milliseconds since the epoch. Null: the end that can still change is wanted too.
 */
export function progressOf({ events, reachedSeq }: Scan, ends: Ends, afterSeq: number, nowMs: number | null): Progress {
  const counting = nowMs === null ? undefined : events.find((row) => canStillGrow(row, nowMs));
  const endSeq = Math.min(counting?.seq ?? Infinity, (nowMs === null ? null : ends.open_seq) ?? Infinity);
  const shown = events.filter(({ seq }) => seq < endSeq);
  const isCut = (reachedSeq ?? Infinity) >= endSeq && endSeq !== Infinity;
  const lastSeq = shown.at(-1)?.seq ?? afterSeq;
  const examinedSeq = isCut ? endSeq - 1 : (reachedSeq ?? ends.newest_seq ?? 0);
  const hasMore = reachedSeq !== null && !isCut;
  return {
    events: shown,
    nextSeq: hasMore || examinedSeq - lastSeq > AUDIT_REREAD_MAX_ROWS ? examinedSeq : lastSeq,
    hasMore,
  };
}

/** A counted row grows until its minute ends, by the clock of whoever counts. A row of a clock that ran ahead is not waited for. */
function canStillGrow({ read_key, occurred_at }: AuditEventRow, nowMs: number): boolean {
  const isOfNow =
    occurred_at < nowMs + AUDIT_UNFINISHED_MS && nowMs < minuteEndMs(occurred_at) + AUDIT_COUNTING_SLACK_MS;
  return read_key !== null && isOfNow;
}
