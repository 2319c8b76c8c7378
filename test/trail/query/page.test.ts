import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { AUDIT_COUNTING_SLACK_MS, AUDIT_REREAD_MAX_ROWS, AUDIT_UNFINISHED_MS } from '../../../src/config/limits.ts';
import { createDatabase, type Query } from '../../../src/db/database.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { encodeCursor } from '../../../src/http/query.ts';
import { err, ok } from '../../../src/kit/result.ts';
import { MINUTE_MS } from '../../../src/kit/time.ts';
import type { EventSubject } from '../../../src/trail/event.ts';
import { countEvents } from '../../../src/trail/query/counts.ts';
import { NO_FILTER } from '../../../src/trail/query/filter.ts';
import { type Ends, NO_ENDS, progressOf } from '../../../src/trail/query/follow.ts';
import { pageOf, queryTrail, readScan, type ScannedRow, type Trail } from '../../../src/trail/query/page.ts';
import type { AuditQuery } from '../../../src/trail/query/params.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { callerWith, role } from '../../policy/builders.ts';
import { requestContext } from '../../support/request-context.ts';

// What the rows of the trail make of a page, and what is said of it in the trail: apart from D1.

const NOW = 1_000 * MINUTE_MS + 30_000;
const row = (seq: number, values: Partial<ScannedRow> = {}): ScannedRow =>
  ({
    seq,
    id: `event-${seq}`,
    is_end: 0,
    occurred_at: 0,
    settled_at: null,
    read_key: null,
    detail: '{}',
    ...values,
  }) as ScannedRow;
const seqs = (rows: readonly Pick<AuditEventRow, 'seq'>[]) => rows.map(({ seq }) => seq);

describe('what was looked at', () => {
  it.each([
    ['more rows than were asked for', [row(1), row(2), row(3)], [1, 2], 2],
    ['as many, and nothing after them', [row(1), row(2)], [1, 2], null],
    ['as many, and others that do not match', [row(1), row(2), row(9, { is_end: 1 })], [1, 2], 9],
    ['fewer, and others that do not match', [row(1), row(9, { is_end: 1 })], [1], 9],
    ['nothing', [], [], null],
  ])('is %s', (_case, rows, shown, reachedSeq) => {
    const scan = readScan(rows, 2);
    expect([seqs(scan.events), scan.reachedSeq]).toEqual([shown, reachedSeq]);
  });
});

describe('a follower', () => {
  const ends = (newest_seq: number | null, open_seq: number | null = null): Ends => ({ newest_seq, open_seq });
  const FAR = AUDIT_REREAD_MAX_ROWS;

  it.each<[string, number[], number | null, Ends, number[], number, boolean]>([
    ['stays behind the last event, where few others follow', [3, 5], null, ends(9), [3, 5], 5, false],
    ['goes on at once where there is more', [3, 5], 7, ends(99), [3, 5], 7, true],
    ['stays where it was, where nothing is there', [], null, NO_ENDS, [], 2, false],
    ['stays where it was, as long as few others follow', [], null, ends(2 + FAR), [], 2, false],
    ['goes past others that are many', [], null, ends(3 + FAR), [], 3 + FAR, false],
    ['ends before the first row that is open', [3, 5, 6], 7, ends(9, 5), [3], 3, false],
    ['ends before one that it has just reached', [3], 5, ends(9, 5), [3], 3, false],
    ['goes on where what is open is further on', [3, 5], 7, ends(99, 50), [3, 5], 7, true],
    ['goes past others up to what is open', [], null, ends(99 + FAR, 4 + FAR), [], 3 + FAR, false],
    ['waits before what is open, where few others are between', [], null, ends(99 + FAR, 3 + FAR), [], 2, false],
  ])('%s', (_case, events, reachedSeq, end, shown, nextSeq, hasMore) => {
    const scan = { events: events.map((seq) => row(seq)), reachedSeq };
    const progress = progressOf(scan, end, 2, NOW);
    expect({ ...progress, events: seqs(progress.events) }).toEqual({ events: shown, nextSeq, hasMore });
  });

  const counted = { read_key: 'k', occurred_at: NOW - 20_000 };
  const minuteEnd = 1_001 * MINUTE_MS;
  it.each<[string, Partial<AuditEventRow>, number, number[]]>([
    ['ends before a row that is counted in this minute', counted, NOW, [3]],
    ['takes one that has a row of its own', { ...counted, read_key: null }, NOW, [3, 5]],
    ['ends before it until its minute is over everywhere', counted, minuteEnd + AUDIT_COUNTING_SLACK_MS - 1, [3]],
    ['takes it from then on', counted, minuteEnd + AUDIT_COUNTING_SLACK_MS, [3, 5]],
    ['waits for a clock that is a little ahead', { ...counted, occurred_at: NOW + AUDIT_UNFINISHED_MS - 1 }, NOW, [3]],
    ['waits for none that is far ahead', { ...counted, occurred_at: NOW + AUDIT_UNFINISHED_MS }, NOW, [3, 5]],
  ])('%s', (_case, values, nowMs, shown) => {
    const scan = { events: [row(3), row(5, values)], reachedSeq: null };
    expect(seqs(progressOf(scan, ends(5), 2, nowMs).events)).toEqual(shown);
  });

  it('takes what can still change where it wants that', () => {
    const scan = { events: [row(3), row(5, { ...counted, occurred_at: Date.now() })], reachedSeq: 5 };
    const progress = progressOf(scan, ends(9, 3), 2, null);
    expect([seqs(progress.events), progress.hasMore]).toEqual([[3, 5], true]);
  });
});

describe('a page', () => {
  const asked = (direction: 'asc' | 'desc', latest = false, seq: number | null = null) => ({
    position: { direction, seq },
    limitRows: 2,
    latest,
  });
  const present = (event: AuditEventRow) => ({ shown: event.seq }) as never;

  it.each([
    ['with more behind it', [row(9), row(8), row(7)], encodeCursor(8), true],
    ['that is the last', [row(9), row(8)], null, false],
  ])('of the newest events, %s', (_case, rows, nextCursor, hasMore) => {
    const page = pageOf(rows, NO_ENDS, asked('desc'), NOW, present);
    expect(page).toEqual({ events: [{ shown: 9 }, { shown: 8 }], nextCursor, hasMore });
  });

  it('of the oldest events always has a next one', () => {
    expect(pageOf([], NO_ENDS, asked('asc'), NOW, present)).toEqual({
      events: [],
      nextCursor: encodeCursor(0),
      hasMore: false,
    });
  });

  it.each([
    [false, [{ shown: 1 }]],
    [true, [{ shown: 1 }, { shown: 2 }]],
  ])('of the oldest events ends before what can still change, unless that is wanted: %s', (latest, events) => {
    const page = pageOf([row(1), row(2)], { newest_seq: 2, open_seq: 2 }, asked('asc', latest), NOW, present);
    expect(page.events).toEqual(events);
  });
});

describe('a query, and a count', () => {
  const CALLER = callerWith(role());
  const CONTEXT = requestContext();
  const recorded: { readonly subject: EventSubject; readonly sql: readonly string[] }[] = [];
  const trail = (isTaken: boolean) =>
    ({
      database: createDatabase(env.DB, workerRuntime),
      runtime: workerRuntime,
      recorder: {
        recordRead: async (_context: unknown, subject: EventSubject, queries: readonly Query[]) => {
          recorded.push({ subject, sql: queries.map((query) => query.toSQL().sql) });
          const rows = queries.map(() => []);
          return await Promise.resolve(isTaken ? ok({ eventId: 'e', rows }) : err({ kind: 'audit_unavailable' }));
        },
      },
    }) as unknown as Trail;
  const asking = (direction: 'asc' | 'desc', changes: Partial<AuditQuery> = {}): AuditQuery => ({
    filter: NO_FILTER,
    position: { direction, seq: null },
    limitRows: 2,
    latest: false,
    ...changes,
  });
  const last = () => recorded.at(-1);

  it.each(['asc', 'desc'] as const)('that is not recorded is not answered: %s', async (direction) => {
    const unavailable = err({ kind: 'audit_unavailable' });
    expect(await queryTrail(trail(false), CONTEXT, CALLER, asking(direction))).toEqual(unavailable);
    expect(await countEvents(trail(false), CONTEXT, CALLER, { by: 'day', filter: NO_FILTER })).toEqual(unavailable);
  });

  it.each([
    ['desc', 1],
    ['asc', 2],
  ] as const)('asks for the ends of the trail only where it follows: %s', async (direction, count) => {
    await queryTrail(trail(true), CONTEXT, CALLER, asking(direction));
    expect(last()?.sql).toHaveLength(count);
  });

  it('says in the trail where it looked and for what', async () => {
    const filter = { ...NO_FILTER, workspaceUuid: 'w-1', tokenId: 'tok-1', ip: '203.0.113.9' };
    const about = { workspaceUuid: 'w-1', tokenId: 'tok-1' };
    await queryTrail(trail(true), CONTEXT, CALLER, asking('desc', { filter }));
    expect(last()?.subject).toMatchObject({ action: 'audit.query', ...about });
    expect(last()?.subject.detail).toEqual({ ip: '203.0.113.9', limit: 2 });
    await queryTrail(trail(true), CONTEXT, CALLER, asking('asc', { filter, latest: true }));
    expect(last()?.subject.detail).toEqual({ ip: '203.0.113.9', order: 'asc', limit: 2, latest: true });
    await countEvents(trail(true), CONTEXT, CALLER, { by: 'day', filter });
    expect(last()?.subject).toMatchObject({ action: 'audit.count', ...about });
    expect(last()?.subject.detail).toEqual({ by: 'day', ip: '203.0.113.9' });
  });

  it.each<[string, Partial<AuditQuery> & { readonly direction: 'asc' | 'desc' }, boolean]>([
    ['a follower’s', { direction: 'asc', position: { direction: 'asc', seq: 5 } }, true],
    ['one that begins', { direction: 'asc' }, false],
    ['one of the newest events', { direction: 'desc', position: { direction: 'desc', seq: 5 } }, false],
    [
      'a follower’s that asks for queries',
      { direction: 'asc', position: { direction: 'asc', seq: 5 }, filter: { ...NO_FILTER, actions: ['audit.query'] } },
      false,
    ],
  ])('is not shown to its own caller, or is: %s', async (_case, { direction, ...changes }, isHidden) => {
    await queryTrail(trail(true), CONTEXT, CALLER, asking(direction, changes));
    expect(last()?.sql[0]?.includes(`= 'audit.query'`)).toBe(isHidden);
  });
});
