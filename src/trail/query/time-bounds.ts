import { and, sql, type SQL } from 'drizzle-orm';
import { AUDIT_SPAN_SIZES, AUDIT_SPANS_MAX_COUNT } from '../../config/limits.ts';
import { auditEvents, auditTimeSpans } from '../../db/schema.ts';
import type { EventFilter } from './filter.ts';
import type { Direction, Position } from './params.ts';

/** Conditions on `seq`, with the common table expressions that they refer to. */
export interface SeqBounds {
  readonly expressions: readonly SQL[];
  readonly conditions: readonly SQL[];
}

const [LEAF_SIZE, NEXT_SIZE] = AUDIT_SPAN_SIZES;
/** How many spans make one of the next size. */
const FANOUT = NEXT_SIZE / LEAF_SIZE;
const SIZES = sql.raw(`'${JSON.stringify(AUDIT_SPAN_SIZES)}'`);
const LEAF = sql.raw(String(LEAF_SIZE));
const SPANS = sql.raw(String(FANOUT));

/**
 * The part of the trail that a page may come from: it lies behind the page's position and, where times are asked for, between the
 * first and the last span of events that may hold one of them.
 *
 * Clocks jump, so times do not rise with `seq`, and no index on time gives rows in the order of `seq`. The spans of
 * `drizzle/0005_time_spans.sql` tell which stretches of the trail cannot hold a time, however the clocks ran: no row outside these
 * bounds matches. A row within them may still not match, so each is checked. A few dozen spans are read for each end, at any size
 * of the trail.
 */
export function seqBounds(filter: Pick<EventFilter, 'fromMs' | 'toMs'>, { direction, seq }: Position): SeqBounds {
  const after = direction === 'asc' ? seq : null;
  const before = direction === 'desc' ? seq : null;
  if (filter.fromMs === null && filter.toMs === null) {
    return {
      expressions: [],
      conditions: [
        ...(after === null ? [] : [sql`${auditEvents.seq} > ${after}`]),
        ...(before === null ? [] : [sql`${auditEvents.seq} < ${before}`]),
      ],
    };
  }
  return {
    expressions: [
      askedFor(filter, after ?? 0, before ?? Number.MAX_SAFE_INTEGER),
      // The part of the trail that spans cover. The rest is shorter than a span and is checked event by event.
      sql`covered(seq) as materialized (select coalesce((select last_seq from ${auditTimeSpans}
        where size = ${LEAF} order by last_seq desc limit 1), 0))`,
      search('forwards', 'asc'),
      search('backwards', 'desc'),
      sql`bounds(after, before) as materialized (select
        (select coalesce(min(first_seq) filter (where size = ${LEAF}), max(first_seq)) - 1 from forwards),
        (select coalesce(max(last_seq) filter (where size = ${LEAF}), min(last_seq)) + 1 from backwards))`,
    ],
    conditions: [
      sql`${auditEvents.seq} > (select max(bounds.after, asked.after) from bounds cross join asked)`,
      sql`${auditEvents.seq} < (select min(bounds.before, asked.before) from bounds cross join asked)`,
    ],
  };
}

/** The values asked for, by name, so that each is bound one time however often the search needs it. */
const askedFor = ({ fromMs, toMs }: Pick<EventFilter, 'fromMs' | 'toMs'>, after: number, before: number): SQL => {
  const integer = (value: number): SQL => sql`cast(${value} as integer)`;
  const [from, to] = [fromMs ?? Number.MIN_SAFE_INTEGER, toMs ?? Number.MAX_SAFE_INTEGER];
  return sql`asked(from_at, to_at, after, before) as materialized
    (select ${integer(from)}, ${integer(to)}, ${integer(after)}, ${integer(before)})`;
};

/**
 * Searches for the first spans, in one direction, that may hold a time asked for. The queue of the recursion is sorted, so each
 * larger span is followed by the smaller ones that it is made of. A page begins at the first span of the smallest size. If the
 * search ends before it reaches one, the part of the trail before the last span that it looked at is still excluded. SQLite uses
 * one lower bound in a lookup, so each lookup here has a single one.
 */
function search(name: 'forwards' | 'backwards', direction: Direction): SQL {
  const self = sql.raw(name);
  const spanRow = sql`select span.last_seq - span.size + 1, span.last_seq, span.size`;
  const mayHold = sql`span.latest_at >= from_at and span.earliest_at < to_at and span.last_seq - span.size + 1 < asked.before`;
  // Where the full spans of the next larger size end: up to there, those are looked at instead of spans of this size.
  const within = sql`covered.seq / (${SPANS} * sizes.value) * ${SPANS} * sizes.value`;
  const isAskedFor = and(
    sql`seq > max(covered.seq, asked.after) and seq < asked.before`,
    sql`occurred_at >= from_at and occurred_at < to_at`,
  );
  return sql`${self}(first_seq, last_seq, size) as (
      select covered.seq + 1, ${Number.MAX_SAFE_INTEGER - 1}, ${LEAF} from covered cross join asked
      where exists (select 1 from ${auditEvents} where ${isAskedFor})
      union all
      ${spanRow} from covered cross join asked cross join json_each(${SIZES}) as sizes cross join ${auditTimeSpans} as span
      on span.size = sizes.value and span.last_seq > max(asked.after, ${within}) where ${mayHold}
      union all
      ${spanRow} from ${self} as whole cross join asked cross join ${auditTimeSpans} as span
      on span.size = whole.size / ${SPANS} and span.last_seq > max(asked.after, whole.first_seq - 1)
        and span.last_seq <= whole.last_seq
      where ${mayHold}
      order by ${direction === 'asc' ? sql`1 asc` : sql`2 desc`}, 3 desc limit ${AUDIT_SPANS_MAX_COUNT}
    )`;
}
