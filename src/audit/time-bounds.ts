import { sql, type SQL } from 'drizzle-orm';
import { AUDIT_DISORDER_MS, AUDIT_TIME_STEP_MS, AUDIT_TIME_STEP_ROWS } from '../config/limits.ts';
import { auditEvents } from '../db/schema.ts';
import type { EventFilter, Position } from './event-filter.ts';

/** Conditions on `seq`, and the common table expressions that they refer to. */
export interface SeqBounds {
  readonly expressions: SQL | undefined;
  readonly conditions: readonly SQL[];
}

/**
 * The part of the trail that a page may come from: behind its position, and near the times that are asked for.
 *
 * There is no index on time. `seq` is dense and nearly in the order of time, so the place of a time is searched for in
 * the primary key itself: a handful of rows at any size of the trail.
 */
export function seqBounds({ fromMs, toMs }: Pick<EventFilter, 'fromMs' | 'toMs'>, { order, seq }: Position): SeqBounds {
  const after = order === 'asc' ? seq : null;
  const before = order === 'desc' ? seq : null;
  if (fromMs === null && toMs === null) {
    return {
      expressions: undefined,
      conditions: [
        ...(after === null ? [] : [sql`${auditEvents.seq} > ${after}`]),
        ...(before === null ? [] : [sql`${auditEvents.seq} < ${before}`]),
      ],
    };
  }
  const edges = [...(fromMs === null ? [] : [fromEdge(fromMs)]), ...(toMs === null ? [] : [toEdge(toMs)])];
  return {
    expressions: search(edges, after, before),
    conditions: [
      sql`${auditEvents.seq} > (select after from bounds)`,
      ...(toMs === null && before === null ? [] : [sql`${auditEvents.seq} < (select before from bounds)`]),
    ],
  };
}

interface Edge {
  readonly name: 'from' | 'to';
  /** A row before this time has only rows before `from` in front of it; one that is not, only rows after `to` behind. */
  readonly targetMs: number;
  /** Between these the search is near enough. */
  readonly nearMs: readonly [number, number];
}

const fromEdge = (fromMs: number): Edge => {
  const targetMs = fromMs - AUDIT_DISORDER_MS;
  return { name: 'from', targetMs, nearMs: [targetMs - AUDIT_TIME_STEP_MS, targetMs] };
};

const toEdge = (toMs: number): Edge => {
  const targetMs = toMs + AUDIT_DISORDER_MS;
  return { name: 'to', targetMs, nearMs: [targetMs, targetMs + AUDIT_TIME_STEP_MS] };
};

/**
 * Narrows `low` and `high` to a target's place: `low` is always a row before it, `high` one that is not. It looks
 * where the times of both suggest the place to be, and every other time in the middle, so that no distribution of times makes it slow.
 */
function search(edges: readonly Edge[], after: number | null, before: number | null): SQL {
  const begin = edges.map(
    ({ name, targetMs, nearMs: [nearest, farthest] }) =>
      sql`select ${name}, ${targetMs}, ${nearest}, ${farthest}, first_seq, first_at, last_seq + 1, last_at, 0 from ends`,
  );
  const isBefore = sql`probe.occurred_at < target`;
  const share = sql`((near_begin + near_end) / 2.0 - low_at) / max(high_at - low_at, 1)`;
  const guess = sql`iif(step % 2 = 1, (high - low) / 2, cast((high - low) * ${share} as integer))`;
  const firstSeq = sql`cast(${after ?? 0} as integer)`;
  return sql`with recursive ends(first_seq, first_at, last_seq, last_at) as (
      select ${firstSeq}, (select occurred_at from ${auditEvents} where seq = max(${firstSeq}, 1)), seq, occurred_at
      from ${auditEvents} where seq < ${before ?? Number.MAX_SAFE_INTEGER} order by seq desc limit 1
    ),
    search(edge, target, near_begin, near_end, low, low_at, high, high_at, step) as (
      ${sql.join(begin, sql` union all `)}
      union all
      select edge, target, near_begin, near_end,
        iif(${isBefore}, probe.seq, low), iif(${isBefore}, probe.occurred_at, low_at),
        iif(${isBefore}, high, probe.seq), iif(${isBefore}, high_at, probe.occurred_at), step + 1
      from search cross join ${auditEvents} as probe
      on probe.seq = max(low + 1, min(high - 1, low + ${guess}))
      where high - low > ${AUDIT_TIME_STEP_ROWS}
        and iif(edge = 'from', low_at < near_begin, high_at > near_end)
    ),
    bounds(after, before) as materialized (
      select max(${after ?? 0}, coalesce(max(low) filter (where edge = 'from'), 0)),
        min(${before ?? Number.MAX_SAFE_INTEGER},
          coalesce(min(high) filter (where edge = 'to'), ${Number.MAX_SAFE_INTEGER}))
      from search
    )`;
}
