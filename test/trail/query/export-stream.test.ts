import { describe, expect, it } from 'vitest';
import { encodeCursor } from '../../../src/http/query.ts';
import { EXPORT_ENCODINGS, type ExportFormat } from '../../../src/trail/query/format.ts';
import { openExport } from '../../../src/trail/query/export.ts';
import type { Progress } from '../../../src/trail/query/follow.ts';
import type { DatabaseFailure } from '../../../src/db/database.ts';
import { err, ok, type Result } from '../../../src/kit/result.ts';
import { auditRow } from '../audit-row.ts';

const PAGE_ROWS = 10;

interface Scripted {
  readonly rows: number;
  readonly format?: ExportFormat;
  /** The most rows of one answer. */
  readonly limitRows?: number;
  readonly limitPages?: number;
  /** The number of the page that D1 does not give, counted from 1. */
  readonly failsAt?: number;
  /** Pages on which nothing matched. */
  readonly empty?: readonly number[];
}

/** Opens an export of a trail of so many rows. */
async function exported({
  rows,
  format = 'ndjson',
  limitRows = 1000,
  limitPages = 1000,
  failsAt,
  empty = [],
}: Scripted) {
  const reads: { readonly afterSeq: number; readonly limitRows: number }[] = [];
  const ends: [string, number][] = [];
  const pageAfter = (afterSeq: number, limit: number): Progress => {
    const nextSeq = Math.min(rows, afterSeq + limit);
    const seqs = Array.from({ length: nextSeq - afterSeq }, (_item, index) => afterSeq + 1 + index);
    const events = empty.includes(afterSeq / PAGE_ROWS + 1) ? [] : seqs.map((seq) => auditRow({ seq }));
    return { events, nextSeq, hasMore: nextSeq < rows };
  };
  const opened = await openExport({
    first: pageAfter(0, Math.min(PAGE_ROWS, limitRows)),
    readPage: async (afterSeq, limit) => {
      reads.push({ afterSeq, limitRows: limit });
      return await Promise.resolve(reads.length + 1 === failsAt ? err('unanswered') : ok(pageAfter(afterSeq, limit)));
    },
    encoding: EXPORT_ENCODINGS[format],
    limits: { rows: limitRows, pageRows: PAGE_ROWS, pages: limitPages },
    onEnd: (end, count) => ends.push([end, count]),
  });
  return { opened, reads, ends, ...(opened.ok ? { stream: opened.value.body, known: opened.value.known } : NOTHING) };
}

const NOTHING = { stream: new ReadableStream<Uint8Array>(), known: null };

/** Reads what arrives of an export, and whether it broke. */
async function received(stream: ReadableStream<Uint8Array>): Promise<{ text: string; broke: boolean }> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    return { text, broke: false };
  } catch {
    return { text, broke: true };
  }
}

const linesOf = async (stream: ReadableStream<Uint8Array>): Promise<unknown[]> =>
  (await new Response(stream).text())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

const upTo = (length: number) => Array.from({ length }, (_item, index) => expect.objectContaining({ seq: index + 1 }));

describe('the end of an export says what it is', () => {
  it.each([
    ['an empty trail', { rows: 0 }, { complete: true, count: 0, next: null }],
    ['one page', { rows: 7 }, { complete: true, count: 7, next: null }],
    ['pages that fit exactly', { rows: 20 }, { complete: true, count: 20, next: null }],
    ['a last page that is not full', { rows: 25 }, { complete: true, count: 25, next: null }],
    ['as many rows as an answer has', { rows: 30, limitRows: 30 }, { complete: true, count: 30, next: null }],
    ['one more', { rows: 31, limitRows: 30 }, { complete: false, count: 30, next: encodeCursor(30) }],
    [
      'an answer that ends within a page',
      { rows: 99, limitRows: 25 },
      { complete: false, count: 25, next: encodeCursor(25) },
    ],
    [
      'as many pages as an answer reads',
      { rows: 99, limitPages: 3 },
      { complete: false, count: 30, next: encodeCursor(30) },
    ],
  ])('%s', async (_name, scripted, trailer) => {
    const { stream, reads, ends } = await exported(scripted);
    expect(await linesOf(stream)).toEqual([...upTo(trailer.count), trailer]);
    // The first page was read before.
    expect(reads).toHaveLength(Math.max(0, Math.ceil(trailer.count / PAGE_ROWS) - 1));
    expect(ends).toEqual([[trailer.complete ? 'complete' : 'limit', trailer.count]]);
  });
});

describe('an export that is cut has no end', () => {
  it.each([2, 3])('when D1 fails at page %i', async (failsAt) => {
    const { stream, ends } = await exported({ rows: 35, failsAt });
    const reader = stream.getReader();
    const got: string[] = [];
    const readToEnd = async (): Promise<void> => {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        got.push(new TextDecoder().decode(part.value));
      }
    };
    await expect(readToEnd()).rejects.toThrow('The trail could not be read to its end.');
    expect(got.join('').trimEnd().split('\n')).toHaveLength((failsAt - 1) * PAGE_ROWS);
    expect(got.join('')).not.toContain('complete');
    expect(ends).toEqual([['failed', (failsAt - 1) * PAGE_ROWS]]);
  });
});

describe('an export is read no faster than it is taken', () => {
  it('is one page ahead of its reader and no more', async () => {
    const { stream, reads } = await exported({ rows: 1000, limitRows: 1000 });
    const reader = stream.getReader();
    for (let taken = 1; taken <= 20; taken += 1) {
      await reader.read();
      // By then everything has happened that happens without a reader.
      for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
      expect(reads.length).toBeLessThanOrEqual(taken);
    }
    await reader.cancel();
  });

  it('stops reading when its reader goes away', async () => {
    const { stream, reads, ends } = await exported({ rows: 1000, limitRows: 1000 });
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel();
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    expect(reads.length).toBeLessThanOrEqual(1);
    expect(ends.map(([end]) => end)).toEqual(['cancelled']);
  });

  it.each<[string, Result<Progress, DatabaseFailure>]>([
    ['a page', ok({ events: [auditRow({ seq: 2 })], nextSeq: 2, hasMore: true })],
    ['a page on which nothing matched', ok({ events: [], nextSeq: 2, hasMore: true })],
    ['the last page', ok({ events: [auditRow({ seq: 2 })], nextSeq: 2, hasMore: false })],
    ['a failure', err('unanswered')],
  ])('drops what comes after its reader went away: %s', async (_what, late) => {
    const answer = Promise.withResolvers<typeof late>();
    const begun = Promise.withResolvers<void>();
    const asked: number[] = [];
    const ends: [string, number][] = [];
    const opened = await openExport({
      first: { events: [auditRow({ seq: 1 })], nextSeq: 1, hasMore: true },
      readPage: async (afterSeq) => {
        asked.push(afterSeq);
        begun.resolve();
        return asked.length === 1 ? await answer.promise : err('unanswered');
      },
      encoding: EXPORT_ENCODINGS.ndjson,
      limits: { rows: 1000, pageRows: 1, pages: 1000 },
      onEnd: (end, count) => ends.push([end, count]),
    });
    const reader = (opened.ok ? opened.value.body : NOTHING.stream).getReader();
    await reader.read();
    const next = reader.read();
    await begun.promise;
    await reader.cancel();
    answer.resolve(late);
    expect((await next).done).toBe(true);
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    expect({ asked, ends }).toEqual({ asked: [1], ends: [['cancelled', 1]] });
  });

  it('goes on over pages on which nothing matched', async () => {
    const { stream } = await exported({ rows: 50, empty: [1, 2, 4] });
    const lines = await linesOf(stream);
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toEqual({ complete: true, count: 20, next: null });
  });
});

describe('an export in CSV', () => {
  const lines = (text: string) => text.split('\r\n').slice(0, -1);

  it.each<[string, Scripted, number, string | null]>([
    ['an empty trail', { rows: 0 }, 0, null],
    ['one page', { rows: 7 }, 7, null],
    ['pages that fit exactly', { rows: 20 }, 20, null],
    ['a last page that is not full', { rows: 25 }, 25, null],
    ['as many rows as an answer has', { rows: 30, limitRows: 30 }, 30, null],
    ['one more', { rows: 31, limitRows: 30 }, 30, encodeCursor(30)],
    ['an answer that ends within a page', { rows: 99, limitRows: 25 }, 25, encodeCursor(25)],
    ['as many pages as an answer reads', { rows: 99, limitPages: 3 }, 30, encodeCursor(30)],
    ['pages on which nothing matched', { rows: 50, empty: [1, 2, 4] }, 20, null],
    ['nothing in as many pages as an answer reads', { rows: 99, limitPages: 2, empty: [1, 2] }, 0, encodeCursor(20)],
  ])('is records alone, and its length and what follows are known before: %s', async (_name, scripted, count, next) => {
    const { stream, known, ends } = await exported({ ...scripted, format: 'csv' });
    const { text, broke } = await received(stream);
    expect(broke).toBe(false);
    const [titles, ...records] = lines(text);
    expect(titles).toBe(
      'seq,id,occurred_at,settled_at,action,status,count,last_at,actor_type,actor_issuer,actor_subject,actor_label,workspace_uuid,token_id,token_name,request_id,ip,user_agent,upstream_status,error_code,detail',
    );
    expect(records).toHaveLength(count);
    expect(records.every((record) => /^\d+,/.test(record))).toBe(true);
    expect(known).toEqual({ bytes: new TextEncoder().encode(text).length, next });
    expect(ends).toEqual([[next === null ? 'complete' : 'limit', count]]);
  });

  it('does not begin where D1 fails before its length is known', async () => {
    const { opened, ends } = await exported({ rows: 35, format: 'csv', failsAt: 3 });
    expect(opened).toEqual(err('unanswered'));
    expect(ends).toEqual([['failed', 0]]);
  });

  it.each([5, 6])('breaks, short of its length, where D1 fails later: read %i', async (failsAt) => {
    // Four pages are read for its length, and the first is not read again.
    const { stream, known, ends } = await exported({ rows: 35, format: 'csv', failsAt });
    const { text, broke } = await received(stream);
    expect(broke).toBe(true);
    expect(new TextEncoder().encode(text).length).toBeLessThan(known?.bytes ?? 0);
    expect(ends).toEqual([['failed', (failsAt - 4) * PAGE_ROWS]]);
  });

  it.each([
    ['longer', 'settled since'],
    ['shorter', ''],
  ])('breaks where what is read again is %s', async (_how, token) => {
    let reads = 0;
    const page = (from: number, name: string): Progress => ({
      events: [auditRow({ seq: from, token_name: name }), auditRow({ seq: from + 1 })],
      nextSeq: from + 1,
      hasMore: from < 5,
    });
    const opened = await openExport({
      first: page(1, 'then'),
      readPage: async (afterSeq) => await Promise.resolve(ok(page(afterSeq + 1, (reads += 1) > 2 ? token : 'then'))),
      encoding: EXPORT_ENCODINGS.csv,
      limits: { rows: 100, pageRows: 2, pages: 100 },
      onEnd: () => {},
    });
    expect(await received(opened.ok ? opened.value.body : NOTHING.stream)).toMatchObject({ broke: true });
  });
});
