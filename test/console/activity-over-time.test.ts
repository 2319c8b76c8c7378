import { describe, expect, it } from 'vitest';
import {
  askedRange,
  barsOf,
  barsWithin,
  ceilingOf,
  drawnRange,
  spanOf,
  stepOf,
} from '../../console/views/activity/buckets.ts';
import { chunksOf, joined, merged, rowsByDay } from '../../console/views/activity/timeline.ts';
import type { AuditEvent } from '../../package/client/types.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 28, 12, 30);

/** The range that is drawn where this one is asked for. */
const drawn = (fromMs: number | null, toMs: number | null) => drawnRange(askedRange(fromMs, toMs, NOW), NOW);

describe('the range of the bars', () => {
  it('is the last thirty days where none is asked for', () => {
    expect(
      barsOf(drawn(null, null), {}).map(({ fromMs }) => new Date(fromMs).toISOString().slice(0, 10)),
    ).toMatchObject({
      0: '2026-10-30',
      29: '2026-11-28',
      length: 30,
    });
  });

  it.each<[string, number | null, number | null, 'hour' | 'day', number]>([
    ['a day is by the hour', NOW - DAY, null, 'hour', 25],
    ['three days are by the hour', NOW - 3 * DAY, NOW, 'hour', 73],
    ['more is by the day', NOW - 4 * DAY, NOW, 'day', 5],
    ['a year shows the newest 180 days', NOW - 365 * DAY, null, 'day', 180],
    ['an hour is shown with a day around it', NOW - 30 * HOUR, NOW - 29 * HOUR, 'hour', 24],
    ['the last hour is shown with the day before it', NOW - HOUR, NOW + 9 * DAY, 'hour', 25],
    ['what begins in the future is the last day', NOW + DAY, null, 'hour', 25],
    ['an end alone has thirty days before it', null, NOW - 100 * DAY, 'day', 30],
  ])('%s', (_name, fromMs, toMs, step, length) => {
    const range = drawn(fromMs, toMs);
    expect([stepOf(range), barsOf(range, {}).length]).toEqual([step, length]);
  });

  it('begins and ends with whole bars, and holds all that is asked for', () => {
    const asked = askedRange(NOW - 30 * HOUR, NOW - 29 * HOUR, NOW);
    const range = drawnRange(asked, NOW);
    expect([range.fromMs % HOUR, range.toMs % HOUR]).toEqual([0, 0]);
    expect(barsWithin(barsOf(range, {}), asked).map(({ fromMs }) => fromMs)).toEqual([
      Date.UTC(2026, 10, 27, 6),
      Date.UTC(2026, 10, 27, 7),
    ]);
  });

  it('never needs more keys than a count gives', () => {
    for (let hours = 1; hours < 400 * 24; hours += 7) {
      const range = drawn(NOW - hours * HOUR, NOW);
      expect(barsOf(range, {}).length).toBeLessThanOrEqual(200);
      expect(range.toMs).toBeGreaterThanOrEqual(NOW);
    }
  });
});

describe('the bars', () => {
  const range = { fromMs: Date.UTC(2026, 10, 28, 10), toMs: Date.UTC(2026, 10, 28, 13) };
  const bars = barsOf(range, {
    success: [
      { key: '2026-11-28T12:00:00Z', count: 40 },
      { key: '2026-11-28T10:00:00Z', count: 2 },
    ],
    failure: [{ key: '2026-11-28T12:00:00Z', count: 3 }],
  });

  it('have what each hour counts of each status, and nothing where there is none', () => {
    expect(bars.map(({ counts, total }) => [counts.success, counts.failure, counts.attempted, total])).toEqual([
      [2, 0, 0, 2],
      [0, 0, 0, 0],
      [40, 3, 0, 43],
    ]);
    expect(bars[0]?.fromMs).toBe(Date.UTC(2026, 10, 28, 10));
  });

  it('read the keys of days', () => {
    const days = barsOf(drawn(NOW - 5 * DAY, NOW), { attempted: [{ key: '2026-11-27', count: 1 }] });
    expect(days.map(({ counts }) => counts.attempted)).toEqual([0, 0, 0, 0, 1, 0]);
  });

  it('stand under an axis that ends with a round number', () => {
    expect([ceilingOf([]), ceilingOf(bars)]).toEqual([1, 50]);
    const one = (total: number) => [
      { fromMs: 0, toMs: 1, counts: { success: total, failure: 0, attempted: 0 }, total },
    ];
    expect([1, 2, 3, 7, 10, 11, 999].map((total) => ceilingOf(one(total)))).toEqual([1, 2, 5, 10, 10, 20, 1000]);
  });

  it('give a range from one to another, in either direction', () => {
    const whole = { fromMs: Date.UTC(2026, 10, 28, 10), toMs: Date.UTC(2026, 10, 28, 13) };
    expect([spanOf(bars, 0, 2), spanOf(bars, 2, 0), spanOf(bars, 0, 3)]).toEqual([whole, whole, null]);
  });
});

describe('the list', () => {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only these fields are read
  const event = (seq: number, about: Partial<AuditEvent> = {}) =>
    ({ id: `e${seq}`, seq, status: 'success', count: 1, occurred_at: '2026-11-28T12:00:00Z', ...about }) as AuditEvent;

  it('takes in newer and older events, the newest first, and each once', () => {
    const known = [event(5), event(4)];
    expect(merged(known, [event(6), event(5)]).map(({ seq }) => seq)).toEqual([6, 5, 4]);
    expect(merged(known, [event(3)]).map(({ seq }) => seq)).toEqual([5, 4, 3]);
  });

  it('follows an attempt to its end, and a count as it grows', () => {
    const known = [event(5, { status: 'attempted' }), event(4)];
    expect(merged(known, [event(5, { status: 'failure' }), event(4, { count: 9 })])).toMatchObject([
      { status: 'failure' },
      { count: 9 },
    ]);
  });

  it('is the very same where nothing is new', () => {
    const known = [event(5), event(4)];
    expect(merged(known, [event(5)])).toBe(known);
    expect(merged(known, [])).toBe(known);
  });

  it.each<[string, readonly number[], readonly number[], string | null, readonly number[], string | null]>([
    ['takes in a newest page that reaches down to what is known', [5, 4], [9, 5], 'new', [9, 5, 4], 'old'],
    ['begins anew where a newest page leaves a gap', [5, 4], [9, 8], 'new', [9, 8], 'new'],
    ['takes in a newest page below which there is nothing', [5, 4], [9, 8], null, [9, 8, 5, 4], 'old'],
    ['stays where the newest page is empty', [5, 4], [], 'new', [5, 4], 'old'],
    ['begins with the newest page', [], [9], 'new', [9], 'new'],
  ])('%s', (_name, known, newest, cursor, seqs, after) => {
    const list = joined(
      { events: known.map((seq) => event(seq)), cursor: 'old' },
      { events: newest.map((seq) => event(seq)), cursor },
    );
    expect([list.events.map(({ seq }) => seq), list.cursor]).toEqual([seqs, after]);
  });

  it('has a line for each day', () => {
    const events = [
      event(3, { occurred_at: '2026-11-28T00:00:00Z' }),
      event(2, { occurred_at: '2026-11-27T23:59:00Z' }),
      event(1, { occurred_at: '2026-11-27T01:00:00Z' }),
    ];
    const rows = rowsByDay(events, (at) => at.slice(0, 10));
    expect(rows.map(({ kind, key }) => [kind, key])).toEqual([
      ['day', 'day e3'],
      ['event', 'e3'],
      ['day', 'day e2'],
      ['event', 'e2'],
      ['event', 'e1'],
    ]);
  });

  it('is divided into pieces that stay as they are while events come in on top and below', () => {
    const rows = (from: number, to: number) =>
      rowsByDay(
        Array.from({ length: from - to }, (_, index) => event(from - index)),
        () => 'one day',
      ).slice(1);
    const before = chunksOf(rows(200, 80), 'e200');
    const after = chunksOf(rows(260, 20), 'e200');
    expect(before.map(({ key, rows: own }) => [key, own.length])).toEqual([
      [0, 50],
      [1, 50],
      [2, 20],
    ]);
    expect(after.map(({ key, rows: own }) => [key, own.length])).toEqual([
      [-2, 10],
      [-1, 50],
      [0, 50],
      [1, 50],
      [2, 50],
      [3, 30],
    ]);
    expect(after[2]).toEqual(before[0]);
    expect(chunksOf(rows(3, 0), null)).toMatchObject([{ key: 0, rows: { length: 3 } }]);
  });
});
