import { and, sql, type SQL } from 'drizzle-orm';
import { AUDIT_SPAN_SIZES, AUDIT_SPANS_MAX_COUNT } from '../../config/limits.ts';
import { auditEvents, auditTimeSpans } from '../../db/schema.ts';
import type { EventFilter, Order, Position } from './params.ts';

/** Conditions on `seq`, and the common table expressions that they refer to. */
export interface SeqBounds {
  readonly expressions: readonly SQL[];
  readonly conditions: readonly SQL[];
}

const [LEAF_SIZE, NEXT_SIZE] = AUDIT_SPAN_SIZES;
/** Spans that make one of the next size. */
const FANOUT = NEXT_SIZE / LEAF_SIZE;
const SIZES = sql.raw(`'${JSON.stringify(AUDIT_SPAN_SIZES)}'`);
const LEAF = sql.raw(String(LEAF_SIZE));
const SPANS = sql.raw(String(FANOUT));

/**
 * The part of the trail that a page may come from: behind its position and, where times are asked for, from the first span of
 * events that may hold one of them to the last.
 *
 * Clocks jump, so the order of times is not that of `seq`, and no index on time gives rows in the order of `seq`. The spans of
 * `drizzle/0005_time_spans.sql` say which stretches of the trail cannot hold a time, whatever their order: what lies outside
 * these bounds does not match. What lies within them may not match either, and is looked at. A few dozen spans are read for
 * each end, at any size of the trail.
 */
export function seqBounds(filter: Pick<EventFilter, 'fromMs' | 'toMs'>, { order, seq }: Position): SeqBounds {
  const after = order === 'asc' ? seq : null;
  const before = order === 'desc' ? seq : null;
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
      // What spans cover. The rest, shorter than a span, is looked at event by event.
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

/** What is asked for, by name: each value is bound once, however often the search needs it. */
const askedFor = ({ fromMs, toMs }: Pick<EventFilter, 'fromMs' | 'toMs'>, after: number, before: number): SQL => {
  const integer = (value: number): SQL => sql`cast(${value} as integer)`;
  const [from, to] = [fromMs ?? Number.MIN_SAFE_INTEGER, toMs ?? Number.MAX_SAFE_INTEGER];
  return sql`asked(from_at, to_at, after, before) as materialized
    (select ${integer(from)}, ${integer(to)}, ${integer(after)}, ${integer(before)})`;
};

/**
 * The first spans that may hold what is asked for: each of the larger ones is followed by what it is made of, since the queue
 * of this recursion is sorted. The first of the smallest size among them is where a page begins; if there is none, what lies
 * before the last of them is excluded all the same. SQLite takes one lower bound for a lookup, so each has a single one.
 */
function search(name: 'forwards' | 'backwards', order: Order): SQL {
  const self = sql.raw(name);
  const found = sql`select span.last_seq - span.size + 1, span.last_seq, span.size`;
  const mayHold = sql`span.latest_at >= from_at and span.earliest_at < to_at and span.last_seq - span.size + 1 < asked.before`;
  // The end of the spans of a size whose next larger span is full too, and is looked at instead.
  const within = sql`covered.seq / (${SPANS} * sizes.value) * ${SPANS} * sizes.value`;
  const isAskedFor = and(
    sql`seq > max(covered.seq, asked.after) and seq < asked.before`,
    sql`occurred_at >= from_at and occurred_at < to_at`,
  );
  return sql`${self}(first_seq, last_seq, size) as (
      select covered.seq + 1, ${Number.MAX_SAFE_INTEGER - 1}, ${LEAF} from covered cross join asked
      where exists (select 1 from ${auditEvents} where ${isAskedFor})
      union all
      ${found} from covered cross join asked cross join json_each(${SIZES}) as sizes cross join ${auditTimeSpans} as span
      on span.size = sizes.value and span.last_seq > max(asked.after, ${within}) where ${mayHold}
      union all
      ${found} from ${self} as whole cross join asked cross join ${auditTimeSpans} as span
      on span.size = whole.size / ${SPANS} and span.last_seq > max(asked.after, whole.first_seq - 1)
        and span.last_seq <= whole.last_seq
      where ${mayHold}
      order by ${order === 'asc' ? sql`1 asc` : sql`2 desc`}, 3 desc limit ${AUDIT_SPANS_MAX_COUNT}
    )`;
}
