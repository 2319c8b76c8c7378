import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../../src/db/database.ts';
import { readCounts, selectCounts } from '../../src/trail/query/counts.ts';
import { type EventFilter, NO_FILTER } from '../../src/trail/query/filter.ts';
import { readScan, selectEvents } from '../../src/trail/query/page.ts';
import type { Direction } from '../../src/trail/query/params.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { insertTimes } from './query/trail.ts';

// A trail with gaps, as a log leaves them that follows a rolled back one.

const database = createDatabase(env.DB, workerRuntime);
const BEGIN_MS = Date.UTC(2026, 0, 1);

const newestSeq = async (): Promise<number> =>
  (await env.DB.prepare('select coalesce(max(seq), 0) as seq from audit_events').first<number>('seq')) ?? 0;

const INSERT = `insert into audit_events (seq, id, occurred_at, settled_at, action, status, actor_type, detail, outcome)
  values (?, ?, ?, 1, 'service_account_token.get', 'success', 'user', '{}', '{}')`;
const insertAt = (seq: number, atMs: number): D1PreparedStatement =>
  env.DB.prepare(INSERT).bind(seq, crypto.randomUUID(), atMs);
const insertGap = (from: number, to: number): D1PreparedStatement =>
  env.DB.prepare('insert into trail_gaps values (?, ?, 2)').bind(from, to);

interface Row {
  readonly seq: number;
  readonly occurred_at: number;
}
let trail: readonly Row[] = [];

/** How many events come, and how many numbers are left out behind them: none, some of a span, its end, whole ones, many thousands. */
const BLOCKS: readonly (readonly [events: number, gap: number])[] = [
  [37, 63],
  [20, 3],
  [40, 16],
  [32, 100],
  [128 - 76, 1],
  [150, 9_000],
  [1, 1],
  [1, 14],
  [300, 40_000],
  [90, 0],
];

beforeAll(async () => {
  let atMs = BEGIN_MS;
  for (const [events, gap] of BLOCKS) {
    // A clock that jumps back and forth at each gap.
    atMs += events % 2 === 0 ? 400_000 : -200_000;
    await insertTimes(Array.from({ length: events }, (_item, row) => atMs + row * 1_000));
    const newest = await newestSeq();
    if (gap === 0) continue;
    await env.DB.batch([insertGap(newest + 1, newest + gap), insertAt(newest + gap + 1, atMs)]);
  }
  trail = (await env.DB.prepare('select seq, occurred_at from audit_events order by seq').all<Row>()).results;
});

async function pageBy(
  filter: EventFilter,
  direction: Direction,
): Promise<{ seqs: readonly number[]; rowsRead: number }> {
  const { sql, params } = selectEvents(database, filter, { direction, seq: null }, 1_000).toSQL();
  const { results, meta } = await env.DB.prepare(sql)
    .bind(...params)
    .all();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the rows of that query
  const scan = readScan(results as unknown as Parameters<typeof readScan>[0], 1_000);
  return { seqs: scan.events.map(({ seq }) => seq), rowsRead: meta.rows_read };
}

describe('a search by times finds each event of them once', () => {
  it.each(['asc', 'desc'] as const)('in %sending order, whatever gaps lie between', async (direction) => {
    for (const at of trail.filter((_row, index) => index % 61 === 0)) {
      const filter = { ...NO_FILTER, fromMs: at.occurred_at - 20_000, toMs: at.occurred_at + 20_000 };
      const expected = trail.filter((row) => row.occurred_at >= filter.fromMs && row.occurred_at < filter.toMs);
      const { seqs } = await pageBy(filter, direction);
      expect(seqs.toSorted((one, other) => one - other)).toEqual(expected.map(({ seq }) => seq));
    }
  });

  it('and counts it once', async () => {
    const [first, last] = [trail[100], trail[500]];
    const filter = { ...NO_FILTER, fromMs: first!.occurred_at, toMs: last!.occurred_at };
    const expected = trail.filter((row) => row.occurred_at >= filter.fromMs && row.occurred_at < filter.toMs).length;
    const { sql, params } = selectCounts(database, filter, 'action').toSQL();
    const { results } = await env.DB.prepare(sql)
      .bind(...params)
      .all();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the rows of that query
    const { counts } = readCounts(results as unknown as Parameters<typeof readCounts>[0], 'action');
    expect(counts).toEqual([{ key: 'service_account_token.get', count: expected }]);
  });

  it('without reading what lies behind a gap event by event', async () => {
    const { rowsRead } = await pageBy(
      { ...NO_FILTER, fromMs: BEGIN_MS - 3_600_000, toMs: BEGIN_MS - 3_000_000 },
      'asc',
    );
    expect(rowsRead).toBeLessThan(120);
  });
});

it('spans go on behind each gap, up to less than one span before the end', async () => {
  const covered = await env.DB.prepare('select max(last_seq) as seq from audit_time_spans where size = 16').first(
    'seq',
  );
  expect((await newestSeq()) - Number(covered)).toBeLessThan(16);
});

it('each span tells the earliest and the latest time of its events, and each of those before its end has its span', async () => {
  const { results } =
    await env.DB.prepare(`select s.size, s.last_seq, s.earliest_at, s.latest_at, min(e.occurred_at) as earliest,
      max(e.occurred_at) as latest from audit_time_spans as s left join audit_events as e on e.seq > s.last_seq - s.size and e.seq <= s.last_seq
      group by s.size, s.last_seq`).all<Record<string, number | null>>();
  for (const { earliest_at, latest_at, earliest, latest } of results) {
    // The last span of a gap holds no event, and no search asks for its times.
    expect([earliest_at, latest_at]).toEqual([earliest ?? 2 ** 53 - 1, latest ?? 1 - 2 ** 53]);
  }
  const { results: missing } =
    await env.DB.prepare(`select distinct size.value as size, (e.seq + size.value - 1) / size.value * size.value as last_seq
      from audit_events as e, json_each('[16,128,1024,8192]') as size
      where (e.seq + size.value - 1) / size.value * size.value <= (select max(seq) from audit_events)
      and not exists (select 1 from audit_time_spans as s where s.size = size.value and s.last_seq = (e.seq + size.value - 1) / size.value * size.value)`).all();
  expect(missing).toEqual([]);
});

describe('a number that is left out', () => {
  const refused = async (...statements: readonly D1PreparedStatement[]): Promise<string> =>
    await env.DB.batch([...statements]).then(
      () => 'taken',
      (error: unknown) => String(error),
    );

  it.each<[string, (newest: number) => readonly D1PreparedStatement[], RegExp]>([
    ['without a gap', (newest) => [insertAt(newest + 2, 1)], /the seq is given by the database/],
    [
      'is not the end of the gap',
      (newest) => [insertGap(newest + 1, newest + 9), insertAt(newest + 5, 1)],
      /given by the/,
    ],
    ['is more than the gap', (newest) => [insertGap(newest + 1, newest + 9), insertAt(newest + 11, 1)], /given by the/],
    [
      'is the first of the gap',
      (newest) => [insertGap(newest + 1, newest + 9), insertAt(newest + 1, 1)],
      /is in a gap/,
    ],
    ['is of a gap before', () => [insertAt(40, 1)], /given by the database/],
    [
      'is of a gap that begins within the trail',
      (newest) => [insertGap(newest, newest + 9)],
      /begins after the last event/,
    ],
    ['is of a gap that begins later', (newest) => [insertGap(newest + 2, newest + 9)], /begins after the last event/],
    [
      'is of a gap that ends before it begins',
      (newest) => [insertGap(newest + 1, newest)],
      /begins after the last event/,
    ],
    ['is of a gap that grows', () => [env.DB.prepare('update trail_gaps set to_seq = to_seq + 1')], /nothing changes/],
    ['is of a gap that goes', () => [env.DB.prepare('delete from trail_gaps')], /nothing is deleted/],
  ])('is refused where it %s', async (_name, statements, message) => {
    const before = await newestSeq();
    expect(await refused(...statements(before))).toMatch(message);
    expect(await newestSeq()).toBe(before);
  });
});
