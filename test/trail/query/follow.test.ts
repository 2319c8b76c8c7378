import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_COUNTING_SLACK_MS, AUDIT_REREAD_MAX_ROWS, AUDIT_UNFINISHED_MS } from '../../../src/config/limits.ts';
import { createDatabase } from '../../../src/db/database.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { type EventFilter, NO_FILTER } from '../../../src/trail/query/filter.ts';
import { type Ends, NO_ENDS, progressOf, selectEnds } from '../../../src/trail/query/follow.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { insertRows, OPEN } from './trail.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const database = createDatabase(env.DB, workerRuntime);
const [TOO_OLD, TOO_EARLY, FIRST, SECOND, SETTLED] = [1, 2, 3, 4, 5];

beforeAll(async () => {
  const open = { ...OPEN, occurred_at: NOW_MS, token_id: 'first' } as const;
  await insertRows([
    { ...open, occurred_at: NOW_MS - AUDIT_UNFINISHED_MS },
    { ...open, occurred_at: NOW_MS + AUDIT_UNFINISHED_MS },
    { ...open, occurred_at: NOW_MS - AUDIT_UNFINISHED_MS + 1 },
    { ...open, occurred_at: NOW_MS + AUDIT_UNFINISHED_MS - 1, token_id: 'second' },
    { occurred_at: NOW_MS },
  ]);
});

describe('the first open attempt that is waited for', () => {
  it.each<[string, Partial<EventFilter>, number, number | null]>([
    ['is neither too old nor of a clock that ran ahead', {}, 0, FIRST],
    ['lies behind those', {}, TOO_OLD, FIRST],
    ['lies behind the last of those', {}, TOO_EARLY, FIRST],
    ['lies behind where the page begins', {}, FIRST, SECOND],
    ['is not there, where the page begins at the last', {}, SECOND, null],
    ['is one that may come to match', { tokenId: 'second' }, 0, SECOND],
    ['is not there, where none may come to match', { tokenId: 'third' }, 0, null],
  ])('%s', async (_name, filter, afterSeq, openSeq) => {
    const query = selectEnds(database, { ...NO_FILTER, ...filter }, afterSeq, NOW_MS);
    const read = await database.batch({ trace: newTrace() }, [query]);
    expect(read.ok && read.value[0]).toEqual([{ newest_seq: SETTLED, open_seq: openSeq }]);
  });
});

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else is looked at
const row = (seq: number, values: Partial<AuditEventRow> = {}) =>
  ({ seq, occurred_at: NOW_MS, read_key: null, ...values }) as AuditEventRow;
/** Where a page goes on that begins after 50: which events it shows, where the next one begins, and whether that can be had at once. */
const goesOn = (
  events: readonly AuditEventRow[],
  reachedSeq: number | null,
  ends: Partial<Ends>,
  nowMs: number | null,
) => {
  const progress = progressOf({ events, reachedSeq }, { ...NO_ENDS, ...ends }, 50, nowMs);
  return [progress.events.map(({ seq }) => seq), progress.nextSeq, progress.hasMore];
};
const GROWING = { read_key: 'k' };

describe('a page for a follower goes on', () => {
  const FEW = 50 + AUDIT_REREAD_MAX_ROWS;
  it.each<[string, Parameters<typeof goesOn>, ReturnType<typeof goesOn>]>([
    ['where it began, at the end of an empty trail', [[], null, {}, NOW_MS], [[], 50, false]],
    [
      'where it began, behind a few rows that it does not show',
      [[], null, { newest_seq: FEW }, NOW_MS],
      [[], 50, false],
    ],
    ['at the end of the trail behind many', [[], null, { newest_seq: FEW + 1 }, NOW_MS], [[], FEW + 1, false]],
    ['behind its last event', [[row(60), row(70)], null, { newest_seq: 71 }, NOW_MS], [[60, 70], 70, false]],
    ['where a full page ends', [[row(60)], 70, { newest_seq: 99 }, NOW_MS], [[60], 70, true]],
    ['before an open attempt', [[row(60), row(61), row(62)], 62, { open_seq: 61 }, NOW_MS], [[60], 60, false]],
    ['before an open attempt that ends it', [[row(60), row(61)], 61, { open_seq: 61 }, NOW_MS], [[60], 60, false]],
    ['at once, where the open attempt is behind it', [[row(60)], 60, { open_seq: 61 }, NOW_MS], [[60], 60, true]],
    [
      'before an open attempt behind a few',
      [[], null, { newest_seq: 999, open_seq: FEW + 1 }, NOW_MS],
      [[], 50, false],
    ],
    [
      'before an open attempt behind many',
      [[], null, { newest_seq: 999, open_seq: FEW + 2 }, NOW_MS],
      [[], FEW + 1, false],
    ],
    [
      'before a counted row',
      [[row(60), row(61, GROWING), row(62)], null, { newest_seq: 62 }, NOW_MS],
      [[60], 60, false],
    ],
    [
      'before whatever comes first, a counted row',
      [[row(60), row(61, GROWING), row(62), row(63)], null, { newest_seq: 63, open_seq: 63 }, NOW_MS],
      [[60], 60, false],
    ],
    [
      'before whatever comes first, an open attempt',
      [[row(60), row(61), row(62), row(63, GROWING)], null, { newest_seq: 63, open_seq: 62 }, NOW_MS],
      [[60, 61], 61, false],
    ],
    [
      'behind all of them, where the end that can still change is wanted too',
      [[row(60), row(61, GROWING), row(62)], null, { newest_seq: 62, open_seq: 60 }, null],
      [[60, 61, 62], 62, false],
    ],
  ])('%s', (_name, page, expected) => {
    expect(goesOn(...page)).toEqual(expected);
  });

  const BEFORE = { ...GROWING, occurred_at: NOW_MS - 1 };
  const LATE_MS = NOW_MS + AUDIT_COUNTING_SLACK_MS;
  it.each<[string, Partial<AuditEventRow>, number, boolean]>([
    ['of this minute', GROWING, NOW_MS, true],
    ['of the minute before, as long as a late read of it may be counted', BEFORE, LATE_MS - 1, true],
    ['of the minute before, for no longer than that', BEFORE, LATE_MS, false],
    ['of a clock that runs ahead', { ...GROWING, occurred_at: NOW_MS + AUDIT_UNFINISHED_MS - 1 }, NOW_MS, true],
    ['of a clock that ran far ahead', { ...GROWING, occurred_at: NOW_MS + AUDIT_UNFINISHED_MS }, NOW_MS, false],
    ['that does not count', {}, NOW_MS, false],
  ])('before a row, where it may still grow: one %s', (_name, values, nowMs, isWaitedFor) => {
    expect(goesOn([row(60, values)], null, { newest_seq: 60 }, nowMs)[0]).toEqual(isWaitedFor ? [] : [60]);
  });
});
