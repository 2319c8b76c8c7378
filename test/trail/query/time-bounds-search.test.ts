import { env } from 'cloudflare:workers';
import { and, sql, type SQL } from 'drizzle-orm';
import { beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_SPAN_SIZES, AUDIT_SPANS_MAX_COUNT } from '../../../src/config/limits.ts';
import { createDatabase } from '../../../src/db/database.ts';
import { auditEvents } from '../../../src/db/schema.ts';
import type { Position } from '../../../src/trail/query/params.ts';
import { seqBounds } from '../../../src/trail/query/time-bounds.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { insertTimes } from './trail.ts';

// Which part of the trail a page may come from, and what is looked at to find that out. A search that looks at more than it needs
// still gives the right events, until it has looked at all that it may.

const { build } = createDatabase(env.DB, workerRuntime);

const [LEAF_SIZE] = AUDIT_SPAN_SIZES;
/** Full spans of three sizes: one of 1,024 events, two of 128 and three of 16. */
const COVERED = 1_024 + 2 * 128 + 3 * LEAF_SIZE;
/** Some more, which no span covers yet. */
const ROWS = COVERED + 7;
/** The clock is right, so a span's earliest time is that of its first event, and its latest that of its last. */
const timeOf = (seq: number): number => seq * 10;

beforeAll(async () => {
  const seqs = await insertTimes(Array.from({ length: ROWS }, (_item, row) => timeOf(row + 1)));
  if (seqs[0] !== 1 || seqs.at(-1) !== ROWS) throw new Error('The trail begins with these events.');
});

interface Times {
  readonly fromMs: number | null;
  readonly toMs: number | null;
}
/** The times of some events, and of no others. */
const of = (first: number, last = first): Times => ({ fromMs: timeOf(first), toMs: timeOf(last) + 1 });

type Span = readonly [first: number, last: number, size: number];

/** The part of the trail within the bounds, by its first and its last event, and the spans that each search looked at. */
interface Answer {
  readonly first: number | null;
  readonly last: number | null;
  readonly forwards: readonly Span[];
  readonly backwards: readonly Span[];
}

async function search(times: Times, positions: readonly Position[]): Promise<readonly Answer[]> {
  const queries = positions.map((position) => {
    const { expressions, conditions } = seqBounds(times, position);
    const within = sql`from ${auditEvents} where ${sql.join([...conditions], sql` and `)}`;
    const lookedAt = (name: string): SQL =>
      sql`(select json_group_array(json_array(first_seq, last_seq, size)) from ${sql.raw(name)})`;
    const answer = sql`select json_object('first', (select min(seq) ${within}), 'last', (select max(seq) ${within}),
      'forwards', ${lookedAt('forwards')}, 'backwards', ${lookedAt('backwards')}) as answer`;
    const query = build
      .select({ answer: sql<string>`answer` })
      .from(sql`(with recursive ${sql.join([...expressions], sql`, `)} ${answer})`)
      .toSQL();
    return env.DB.prepare(query.sql).bind(...query.params);
  });
  const results = await env.DB.batch<{ answer: string }>(queries);
  return results.map(({ results: [row] }) => JSON.parse(row!.answer) as Answer);
}

/** Whether a span reaches behind the position and may hold a time asked for. Of what no span covers each event is looked at. */
function holds([first, last]: Span, { fromMs, toMs }: Times, { direction, seq }: Position): boolean {
  const reaches = (from: number, to: number): boolean =>
    (seq === null || (direction === 'asc' ? to > seq : from < seq)) &&
    timeOf(to) >= (fromMs ?? -Infinity) &&
    timeOf(from) < (toMs ?? Infinity);
  if (last <= COVERED) return reaches(first, last);
  return Array.from({ length: ROWS - COVERED }, (_item, index) => first + index).some((one) => reaches(one, one));
}

/** The spans of the trail, with what no span covers as one more of the smallest. */
const SPANS: readonly Span[] = [
  ...AUDIT_SPAN_SIZES.flatMap((size) =>
    Array.from({ length: Math.floor(COVERED / size) }, (_item, index): Span => {
      return [index * size + 1, (index + 1) * size, size];
    }),
  ),
  [COVERED + 1, Infinity, LEAF_SIZE],
];

/**
 * From the first to the last of the smallest spans that hold such an event, as far as they lie behind the position. If only larger
 * ones may hold one, the smallest of them.
 */
function expectedOf(times: Times, position: Position): Pick<Answer, 'first' | 'last'> {
  const spans = SPANS.filter((span) => holds(span, times, position));
  const smallest = spans.filter(([, , size]) => size === LEAF_SIZE);
  const [from, to] =
    smallest.length > 0
      ? [Math.min(...smallest.map(([first]) => first)), Math.max(...smallest.map(([, last]) => last))]
      : [Math.max(...spans.map(([first]) => first)), Math.min(...spans.map(([, last]) => last))];
  const { direction, seq } = position;
  const first = Math.max(from, seq !== null && direction === 'asc' ? seq + 1 : 1);
  const last = Math.min(to, seq !== null && direction === 'desc' ? seq - 1 : ROWS);
  return spans.length > 0 && first <= last ? { first, last } : { first: null, last: null };
}

const PLACES = [null, 1, 16, 17, 128, 500, 1_024, 1_025, 1_200, 1_280, COVERED, COVERED + 4, ROWS];
const POSITIONS: readonly Position[] = (['asc', 'desc'] as const).flatMap((direction) =>
  PLACES.map((seq) => ({ direction, seq })),
);

describe('a page comes from the spans that may hold the times asked for, behind its position', () => {
  it.each<[string, Times]>([
    ['the first event', of(1)],
    ['the last event of the first span', of(16)],
    ['the first event of the second span', of(17)],
    ['events of two spans', of(16, 17)],
    ['the last event of a larger span', of(128)],
    ['the last event of the largest span', of(1_024)],
    ['events of many spans', of(100, 900)],
    ['the last event of a span of each size', of(1_280)],
    ['events behind the largest span', of(1_025, 1_270)],
    ['the last event that a span covers', of(COVERED)],
    ['the first event that no span covers', of(COVERED + 1)],
    ['an event within those that no span covers', of(COVERED + 4)],
    ['the last event', of(ROWS)],
    ['events from the middle to the end', of(700, ROWS)],
    ['every time from one on', { fromMs: timeOf(1_200), toMs: null }],
    ['every time before one', { fromMs: null, toMs: timeOf(129) }],
    ['every time before that of the first event that no span covers', { fromMs: null, toMs: timeOf(COVERED + 1) }],
    ['times before those of all events', { fromMs: null, toMs: timeOf(1) }],
    ['times after those of all events', { fromMs: timeOf(ROWS) + 1, toMs: null }],
    ['a time between those of two spans', { fromMs: timeOf(16) + 1, toMs: timeOf(17) }],
  ])('%s', async (_name, times) => {
    const answers = await search(times, POSITIONS);
    for (const [index, position] of POSITIONS.entries()) {
      const { first, last, forwards, backwards } = answers[index]!;
      expect({ ...position, first, last }).toEqual({ ...position, ...expectedOf(times, position) });
      for (const spans of [forwards, backwards]) {
        expect(spans.filter((span) => !holds(span, times, position))).toEqual([]);
        expect(new Set(spans.map(String)).size).toBe(spans.length);
        expect(spans.length).toBeLessThanOrEqual(AUDIT_SPANS_MAX_COUNT);
      }
    }
  });
});

it.each<[string, Times, number | null, number, number]>([
  ['no time and no position', { fromMs: null, toMs: null }, null, 0, 0],
  ['no time, from a position on', { fromMs: null, toMs: null }, 7, 0, 1],
  ['the time at which events begin', { fromMs: 1, toMs: null }, null, 5, 2],
  ['the time at which events end', { fromMs: null, toMs: 1 }, null, 5, 2],
])('spans are searched where times are asked for: %s', (_name, times, seq, expressions, conditions) => {
  for (const direction of ['asc', 'desc'] as const) {
    const bounds = seqBounds(times, { direction, seq });
    expect([bounds.expressions.length, bounds.conditions.length]).toEqual([expressions, conditions]);
  }
});

it.each<[Position['direction'], number, number]>([
  ['asc', 8, ROWS],
  ['desc', 1, 6],
])('without times, a page comes from all that lies behind its position: %s', async (direction, first, last) => {
  const { conditions } = seqBounds({ fromMs: null, toMs: null }, { direction, seq: 7 });
  const query = build
    .select({ first: sql`min(seq)`.as('first'), last: sql`max(seq)`.as('last') })
    .from(auditEvents)
    .where(and(...conditions))
    .toSQL();
  expect(
    await env.DB.prepare(query.sql)
      .bind(...query.params)
      .first(),
  ).toEqual({ first, last });
});
