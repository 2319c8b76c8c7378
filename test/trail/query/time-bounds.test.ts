import { env } from 'cloudflare:workers';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type EventFilter, NO_FILTER } from '../../../src/trail/query/filter.ts';
import type { Direction } from '../../../src/trail/query/params.ts';
import { readScan, selectEvents } from '../../../src/trail/query/page.ts';
import { AUDIT_SPAN_SIZES } from '../../../src/config/limits.ts';
import { createDatabase } from '../../../src/db/database.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { insertTimes } from './trail.ts';

const database = createDatabase(env.DB, workerRuntime);
const SECOND_MS = 1_000;
const HOUR_MS = 3_600 * SECOND_MS;
const YEAR_MS = 365 * 24 * HOUR_MS;
const BEGIN_MS = Date.UTC(2026, 0, 1);

/** The ways in which clocks may run: seconds after the trail's beginning, by the number of the row. */
const CLOCKS: readonly (readonly [name: string, rows: number, secondOf: (row: number) => number])[] = [
  ['is right', 200, (row) => row],
  ['ran a day ahead and was put right', 300, (row) => (row < 100 ? row + 86_400 : row)],
  ['ran a day ahead for a while', 400, (row) => (row > 150 && row < 200 ? row + 86_400 : row)],
  ['ran ten years ahead for one row', 300, (row) => (row === 40 ? 315_360_000 : row)],
  ['fell behind and was put right', 300, (row) => (row > 90 && row < 200 ? row - 50_000 : row)],
  ['stood still', 200, () => 7],
  ['runs backwards', 300, (row) => 300 - row],
  ['is one of two that differ by two hours', 400, (row) => (row % 2 === 0 ? row : row + 7_200)],
  ['creeps back less than a minute at a time', 200, (row) => (row < 100 ? row : 200 - row * 50)],
  ['caught up with its own past', 500, (row) => (row < 100 ? row + 250 : row)],
  ['was before 1970', 100, (row) => row - 2_000_000_000],
  ['is random', 600, (row) => (row * 7_919) % 100_003],
  ['stopped overnight', 700, (row) => row + Math.floor(row / 100) * 50_000],
];
/** The most rows that a page reads, however the clocks ran. */
const PAGE_MAX_ROWS = 5_000;
const ROWS = CLOCKS.reduce((sum, [, rows]) => sum + rows, 0);

interface Row {
  readonly seq: number;
  readonly occurred_at: number;
}
let trail: Row[] = [];
/** One trail of all clocks: each writes behind the others, and the times of all are equally good. */
beforeAll(async () => {
  for (const [, rows, secondOf] of CLOCKS) {
    await insertTimes(Array.from({ length: rows }, (_item, row) => BEGIN_MS + secondOf(row) * SECOND_MS));
  }
  trail = (await env.DB.prepare('select seq, occurred_at from audit_events order by seq').all<Row>()).results;
});

interface Page {
  readonly seqs: readonly number[];
  readonly reachedSeq: number | null;
  readonly rowsRead: number;
}

async function readPage(
  filter: EventFilter,
  direction: Direction,
  seq: number | null,
  limitRows: number,
): Promise<Page> {
  const { sql, params } = selectEvents(database, filter, { direction, seq }, limitRows).toSQL();
  const { results, meta } = await env.DB.prepare(sql)
    .bind(...params)
    .all();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the rows of that query
  const scan = readScan(results as unknown as Parameters<typeof readScan>[0], limitRows);
  return { seqs: scan.events.map((event) => event.seq), reachedSeq: scan.reachedSeq, rowsRead: meta.rows_read };
}

/** All pages of a filter, from a position on. */
async function readPages(
  filter: EventFilter,
  direction: Direction,
  from: number | null,
  limitRows: number,
  maxRowsRead = PAGE_MAX_ROWS,
) {
  const seqs: number[] = [];
  let pages = 0;
  for (let seq: number | null = from; ; pages += 1) {
    const page = await readPage(filter, direction, seq, limitRows);
    expect(page.rowsRead).toBeLessThanOrEqual(maxRowsRead);
    seqs.push(...page.seqs);
    if (page.reachedSeq === null) return { seqs, pages: pages + 1 };
    expect(direction === 'asc' ? page.reachedSeq > (seq ?? 0) : page.reachedSeq < (seq ?? Infinity)).toBe(true);
    seq = page.reachedSeq;
  }
}

const expectedOf = ({ fromMs, toMs }: EventFilter, direction: Direction, from: number | null): number[] => {
  const found = trail
    .filter(({ seq }) => from === null || (direction === 'asc' ? seq > from : seq < from))
    .filter(({ occurred_at: at }) => at >= (fromMs ?? -Infinity) && at < (toMs ?? Infinity))
    .map(({ seq }) => seq);
  return direction === 'asc' ? found : found.toReversed();
};

const times = (fromMs: number | null, toMs: number | null): EventFilter => ({ ...NO_FILTER, fromMs, toMs });

describe('no event is missed, and none is shown twice', () => {
  it.each(CLOCKS)('by a clock that %s', async (_name, rows, secondOf) => {
    const ownTimes = Array.from({ length: rows }, (_item, row) => BEGIN_MS + secondOf(row) * SECOND_MS);
    for (const at of [0, 0.4, 0.99].map((share) => ownTimes[Math.floor(share * rows)] ?? 0)) {
      const windows = [times(at, at + 30 * SECOND_MS), times(at - 600 * SECOND_MS, at + 1)];
      for (const filter of windows) {
        for (const direction of ['asc', 'desc'] as const) {
          const { seqs } = await readPages(filter, direction, null, 1_000);
          expect(seqs).toEqual(expectedOf(filter, direction, null));
        }
      }
    }
  });

  it('by any window, from any place, in either direction', async () => {
    const known = fc.nat().map((index) => (trail[index % trail.length]?.occurred_at ?? 0) + (index % 3) - 1);
    const edge = fc.option(fc.oneof(known, fc.integer({ min: BEGIN_MS - HOUR_MS, max: BEGIN_MS + 30 * HOUR_MS })), {
      nil: null,
    });
    await fc.assert(
      fc.asyncProperty(
        edge,
        edge,
        fc.constantFrom<Direction>('asc', 'desc'),
        fc.option(fc.integer({ min: 0, max: ROWS + 2 }), { nil: null }),
        fc.integer({ min: 50, max: 1_000 }),
        async (fromMs, toMs, direction, from, limitRows) => {
          const filter = times(fromMs, toMs);
          const { seqs } = await readPages(filter, direction, from, limitRows);
          expect(seqs).toEqual(expectedOf(filter, direction, from));
        },
      ),
      { numRuns: 25 },
    );
  }, 60_000);
});

describe('a page begins where its times are', () => {
  it('also behind a stretch of other times, without a page for it', async () => {
    const [first] = await insertTimes([BEGIN_MS + 50 * HOUR_MS]);
    await insertTimes(Array.from({ length: 5_000 }, (_item, row) => BEGIN_MS + row * SECOND_MS));
    const [last] = await insertTimes([BEGIN_MS + 50 * HOUR_MS]);
    await insertTimes(Array.from({ length: 100 }, (_item, row) => BEGIN_MS + row * SECOND_MS));
    trail = (await env.DB.prepare('select seq, occurred_at from audit_events order by seq').all<Row>()).results;
    const window = times(BEGIN_MS + 50 * HOUR_MS, BEGIN_MS + 51 * HOUR_MS);
    for (const direction of ['asc', 'desc'] as const) {
      const { seqs, pages } = await readPages(window, direction, null, 50);
      expect(seqs).toEqual(expectedOf(window, direction, null));
      expect(seqs).toEqual(expect.arrayContaining([first, last]));
      expect(pages).toBeLessThanOrEqual(3);
    }
  });

  it('also where many spans may hold them and none does', async () => {
    const newest = (await env.DB.prepare('select max(seq) as seq from audit_events').first<number>('seq')) ?? 0;
    // Each of the smallest spans has one time, and each larger span has two, with the window between them.
    const apart = (rows: number, from: number): number[] =>
      Array.from({ length: rows }, (_item, row) => {
        const span = Math.floor((from + row) / AUDIT_SPAN_SIZES[0]);
        return BEGIN_MS + (span % 2 === 0 ? 30 : 40) * YEAR_MS;
      });
    await insertTimes(apart(4_000, newest));
    const [sought] = await insertTimes([BEGIN_MS + 35 * YEAR_MS]);
    await insertTimes(apart(4_000, newest + 4_001));
    trail = (await env.DB.prepare('select seq, occurred_at from audit_events order by seq').all<Row>()).results;
    const window = times(BEGIN_MS + 34 * YEAR_MS, BEGIN_MS + 36 * YEAR_MS);
    for (const direction of ['asc', 'desc'] as const) {
      expect((await readPages(window, direction, null, 50)).seqs).toEqual([sought]);
    }
  });

  it('and reads little where no event has such a time', async () => {
    const page = await readPage(times(BEGIN_MS + 20 * YEAR_MS, BEGIN_MS + 21 * YEAR_MS), 'asc', null, 50);
    expect(page.seqs).toEqual([]);
    expect(page.rowsRead).toBeLessThan(400);
  });
});

interface Span {
  readonly size: number;
  readonly last_seq: number;
  readonly earliest_at: number;
  readonly latest_at: number;
}
const spans = async (): Promise<Span[]> =>
  (await env.DB.prepare('select * from audit_time_spans order by size, last_seq').all<Span>()).results;

/** What the spans of a trail are. */
const spansOf = (rows: readonly Row[]): Span[] =>
  AUDIT_SPAN_SIZES.flatMap((size) =>
    Array.from({ length: Math.floor(rows.length / size) }, (_item, index) => {
      const ats = rows.slice(index * size, (index + 1) * size).map(({ occurred_at: at }) => at);
      return { size, last_seq: (index + 1) * size, earliest_at: Math.min(...ats), latest_at: Math.max(...ats) };
    }),
  );

describe('the spans of the trail', () => {
  it('are what its events say', async () => {
    expect(new Set((await spans()).map(({ size }) => size)).size).toBeGreaterThan(3);
    expect(await spans()).toEqual(spansOf(trail));
  });

  it('are made by the migration for the events that were there before, and go on with the next', async () => {
    const migration = env.TEST_MIGRATIONS.find(({ name }) => name.endsWith('_time_spans.sql'));
    // Later migrations have made these two anew.
    const names = ['audit_events_time_spans', 'audit_time_spans_insert_guard'];
    const current = await env.DB.prepare('select sql from sqlite_master where name in (?, ?)')
      .bind(...names)
      .all<{ sql: string }>();
    await env.DB.batch(
      [
        'drop trigger audit_events_time_spans',
        'drop table audit_time_spans',
        ...migration!.queries,
        ...names.map((name) => `drop trigger ${name}`),
        ...current.results.map(({ sql }) => sql),
      ].map((query) => env.DB.prepare(query)),
    );
    expect(await spans()).toEqual(spansOf(trail));
    await insertTimes(Array.from({ length: 300 }, (_item, row) => BEGIN_MS - row));
    trail = (await env.DB.prepare('select seq, occurred_at from audit_events order by seq').all<Row>()).results;
    expect(await spans()).toEqual(spansOf(trail));
  });

  it('lose nothing where they are missing: what they do not cover is looked at', async () => {
    await env.DB.batch(
      [
        'drop trigger audit_time_spans_delete_guard',
        'delete from audit_time_spans where last_seq > 1024',
        `create trigger audit_time_spans_delete_guard before delete on audit_time_spans begin select raise(abort, 'x'); end`,
      ].map((query) => env.DB.prepare(query)),
    );
    await insertTimes(Array.from({ length: 40 }, (_item, row) => BEGIN_MS + row));
    trail = (await env.DB.prepare('select seq, occurred_at from audit_events order by seq').all<Row>()).results;
    // No span is made behind the gap.
    expect((await spans()).every((span) => span.last_seq <= 1_024)).toBe(true);
    const window = times(BEGIN_MS + 10 * SECOND_MS, BEGIN_MS + 20 * SECOND_MS);
    expect((await readPages(window, 'asc', null, 200, Infinity)).seqs).toEqual(expectedOf(window, 'asc', null));
  });
});
