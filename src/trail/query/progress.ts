import { and, eq, gt, lt, sql } from 'drizzle-orm';
import { AUDIT_COUNTING_SLACK_MS, AUDIT_REREAD_MAX_ROWS, AUDIT_UNFINISHED_MS } from '../../config/limits.ts';
import type { Database } from '../../db/database.ts';
import { auditEvents, type AuditEventRow } from '../../db/schema.ts';
import { mayComeToMatch } from './conditions.ts';
import type { EventFilter } from './event-filter.ts';
import type { Scan } from './select-events.ts';

const MINUTE_MS = 60_000;

/** Where the trail ends, and where it is still unfinished as far as a filter goes; null: nowhere. */
export interface Ends {
  readonly newest_seq: number | null;
  readonly open_seq: number | null;
}

/**
 * The query for the end of the trail and for its first open attempt behind `afterSeq` that is younger than
 * AUDIT_UNFINISHED_MS and is, or may yet be, among the rows asked for. One from further in the future is of a clock that ran
 * ahead: it would hide what is behind it until that time has come.
 */
export function selectEnds({ build }: Database, filter: EventFilter, afterSeq: number, nowMs: number) {
  // The index that holds only open attempts, whatever else could be looked up: there are hardly any.
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
      // Named, since rows come from D1 by name.
      .select({
        newest_seq: sql<number | null>`(${newest})`.as('newest_seq'),
        open_seq: sql<number | null>`(${open})`.as('open_seq'),
      })
      .from(sql`(select 1)`)
  );
}

/** A page for a follower: what will stay true, where to go on, and whether there is more to be had at once. */
export interface Progress {
  readonly events: readonly AuditEventRow[];
  readonly nextSeq: number;
  readonly hasMore: boolean;
}

/**
 * Ends an ascending page before the first row that can still change: what a follower has read stays true.
 *
 * The position moves behind the last event shown. It moves over rows that are not shown only if they are many: a
 * follower that waits asks the same thing again then, which is counted in one row instead of written down each time.
 *
 * @param nowMs milliseconds since the epoch; null: the unfinished end is wanted too.
 */
export function progressOf({ events, reachedSeq }: Scan, ends: Ends, afterSeq: number, nowMs: number | null): Progress {
  const counting = nowMs === null ? undefined : events.find((row) => canStillGrow(row, nowMs));
  const endSeq = Math.min(counting?.seq ?? Infinity, (nowMs === null ? null : ends.open_seq) ?? Infinity);
  const shown = events.filter(({ seq }) => seq < endSeq);
  const isCut = (reachedSeq ?? Infinity) >= endSeq && endSeq !== Infinity;
  const lastSeq = shown.at(-1)?.seq ?? afterSeq;
  const examinedSeq = Math.max(lastSeq, isCut ? endSeq - 1 : (reachedSeq ?? ends.newest_seq ?? 0));
  const hasMore = reachedSeq !== null && !isCut;
  return {
    events: shown,
    nextSeq: hasMore || examinedSeq - lastSeq > AUDIT_REREAD_MAX_ROWS ? examinedSeq : lastSeq,
    hasMore,
  };
}

/** A read is counted while its minute lasts, by the clock of whoever counts it; one of a clock that ran ahead is not waited for. */
function canStillGrow({ read_key, occurred_at }: AuditEventRow, nowMs: number): boolean {
  const endOfMinute = (Math.floor(occurred_at / MINUTE_MS) + 1) * MINUTE_MS;
  const isOfNow = occurred_at < nowMs + AUDIT_UNFINISHED_MS && nowMs < endOfMinute + AUDIT_COUNTING_SLACK_MS;
  return read_key !== null && isOfNow;
}
