import { describe, expect, it } from 'vitest';
import { encodeCursor } from '../../src/audit/cursor.ts';
import { EXPORT_ENCODINGS, type ExportFormat } from '../../src/audit/export-format.ts';
import { exportStream, type ExportPage } from '../../src/audit/export-stream.ts';
import { err, ok } from '../../src/result.ts';
import { auditRow } from './audit-row.ts';

const PAGE_ROWS = 10;

interface Scripted {
  readonly rows: number;
  readonly format?: ExportFormat;
  /** Rows of one answer. */
  readonly limitRows?: number;
  readonly limitPages?: number;
  /** The page, counted from 1, that D1 does not give. */
  readonly failsAt?: number;
  /** Pages on which nothing matched. */
  readonly empty?: readonly number[];
}

/** An export of a trail of so many rows. */
function exported({ rows, format = 'ndjson', limitRows = 1000, limitPages = 1000, failsAt, empty = [] }: Scripted) {
  const reads: { readonly afterSeq: number; readonly limitRows: number }[] = [];
  const ends: [string, number][] = [];
  const pageAfter = (afterSeq: number, limit: number): ExportPage => {
    const nextSeq = Math.min(rows, afterSeq + limit);
    const seqs = Array.from({ length: nextSeq - afterSeq }, (_item, index) => afterSeq + 1 + index);
    const events = empty.includes(reads.length + 1) ? [] : seqs.map((seq) => auditRow({ seq }));
    return { events, nextSeq, hasMore: nextSeq < rows };
  };
  const stream = exportStream({
    first: pageAfter(0, Math.min(PAGE_ROWS, limitRows)),
    readPage: async (afterSeq, limit) => {
      reads.push({ afterSeq, limitRows: limit });
      return await Promise.resolve(reads.length + 1 === failsAt ? err('unanswered') : ok(pageAfter(afterSeq, limit)));
    },
    encoding: EXPORT_ENCODINGS[format],
    limits: { rows: limitRows, pageRows: PAGE_ROWS, pages: limitPages },
    onEnd: (end, count) => ends.push([end, count]),
  });
  return { stream, reads, ends };
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
    const { stream, reads, ends } = exported(scripted);
    expect(await linesOf(stream)).toEqual([...upTo(trailer.count), trailer]);
    // The first page was there.
    expect(reads).toHaveLength(Math.max(0, Math.ceil(trailer.count / PAGE_ROWS) - 1));
    expect(ends).toEqual([[trailer.complete ? 'complete' : 'limit', trailer.count]]);
  });
});

describe('an export that is cut has no end', () => {
  it.each([2, 3])('when D1 fails at page %i', async (failsAt) => {
    const { stream, ends } = exported({ rows: 35, failsAt });
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
    const { stream, reads } = exported({ rows: 1000, limitRows: 1000 });
    const reader = stream.getReader();
    for (let taken = 1; taken <= 20; taken += 1) {
      await reader.read();
      // Whatever can happen by itself has happened by then.
      for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
      expect(reads.length).toBeLessThanOrEqual(taken);
    }
    await reader.cancel();
  });

  it('stops reading when its reader goes away', async () => {
    const { stream, reads, ends } = exported({ rows: 1000, limitRows: 1000 });
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel();
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    expect(reads.length).toBeLessThanOrEqual(1);
    expect(ends.map(([end]) => end)).toEqual(['cancelled']);
  });

  it('goes on over pages on which nothing matched', async () => {
    const { stream } = exported({ rows: 50, empty: [1, 2, 4] });
    const lines = await linesOf(stream);
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toEqual({ complete: true, count: 20, next: null });
  });
});

it('CSV begins with its columns and ends with its trailer as a comment', async () => {
  const lines = (await new Response(exported({ rows: 2, format: 'csv' }).stream).text()).split('\r\n');
  expect(lines).toEqual([
    'seq,id,occurred_at,settled_at,action,status,count,last_at,actor_type,actor_issuer,actor_subject,actor_label,workspace_uuid,token_id,token_name,request_id,ip,user_agent,upstream_status,error_code,detail',
    expect.stringMatching(/^1,/),
    expect.stringMatching(/^2,/),
    '# {"complete":true,"count":2,"next":null}',
    '',
  ]);
});
