import type { DatabaseFailure } from '../../db/database.ts';
import type { AuditEventRow } from '../../db/schema.ts';
import { ok, type Result } from '../../kit/result.ts';
import { byteLength } from '../../kit/caps.ts';
import { encodeCursor } from '../../http/cursor.ts';
import type { ExportEncoding, ExportTrailer } from './export-format.ts';
import { presentEvent } from './present.ts';

/** Events in the order of `seq`, and where to go on if there is more. */
export interface ExportPage {
  readonly events: readonly AuditEventRow[];
  readonly nextSeq: number;
  readonly hasMore: boolean;
}

/** How an export ended: `failed` if D1 did, `cancelled` if its reader went away. */
export type ExportEnd = 'complete' | 'limit' | 'failed' | 'cancelled';

export interface ExportSource {
  readonly first: ExportPage;
  readonly readPage: (afterSeq: number, limitRows: number) => Promise<Result<ExportPage, DatabaseFailure>>;
  readonly encoding: ExportEncoding;
  readonly limits: { readonly rows: number; readonly pageRows: number; readonly pages: number };
  /** Called once, with how many events were taken from the source. */
  readonly onEnd: (end: ExportEnd, count: number) => void;
}

/** An export that may leave. */
export interface OpenedExport {
  readonly body: ReadableStream<Uint8Array>;
  /** What is known of it before its first byte; null where its last line says so. */
  readonly known: { readonly bytes: number; readonly next: string | null } | null;
}

/**
 * Opens an export. One in a format that has no last line is read twice, so that its length and where to go on are known before
 * its first byte: a runtime or a proxy may end a broken answer as if it were over, but not one that said how long it is.
 */
export async function openExport(source: ExportSource): Promise<Result<OpenedExport, DatabaseFailure>> {
  if (source.encoding.trailer !== null) return ok({ body: exportStream(source), known: null });
  const known = await measureExport(source);
  if (!known.ok) {
    source.onEnd('failed', 0);
    return known;
  }
  const body = exportStream(source).pipeThrough(new FixedLengthStream(known.value.bytes));
  return ok({ body, known: known.value });
}

/** Reads an export to its end, and keeps none of it. */
async function measureExport({ first, readPage, encoding, limits }: ExportSource) {
  let page = first;
  let count = page.events.length;
  let bytes = byteLength(encoding.head + textOf(page, encoding));
  for (let pages = 1; endOf(page, count, pages, limits) === null; pages += 1) {
    // One after the other: a page begins where the one before it ends.
    const read = await readPage(page.nextSeq, Math.min(limits.pageRows, limits.rows - count));
    if (!read.ok) return read;
    page = read.value;
    count += page.events.length;
    bytes += byteLength(textOf(page, encoding));
  }
  return ok({ bytes, next: page.hasMore ? encodeCursor(page.nextSeq) : null });
}

const textOf = ({ events }: ExportPage, encoding: ExportEncoding): string =>
  events.map((row) => encoding.event(presentEvent(row))).join('');

/** How an answer ends with this page, counted from 1; null: it does not. */
const endOf = (page: ExportPage, count: number, pages: number, limits: ExportSource['limits']) => {
  if (!page.hasMore) return 'complete';
  return count < limits.rows && pages < limits.pages ? null : 'limit';
};

/**
 * An export, a page at a time: the next one is read when the one before it is taken, so what it holds in memory does
 * not depend on how much there is to send, nor on how slowly it is taken.
 *
 * It ends with its trailer, if its format has one. If D1 fails on the way it ends with an error and has none.
 */
export function exportStream(source: ExportSource): ReadableStream<Uint8Array> {
  const { encoding, limits, readPage } = source;
  const encoder = new TextEncoder();
  let page = source.first;
  let pages = 1;
  let count = 0;
  let ended = false;

  const end = (how: ExportEnd): void => {
    if (!ended) source.onEnd(how, count);
    ended = true;
  };

  /** What the page adds to the answer; the trailer too if it is the last one. */
  const take = (): { text: string; last: 'complete' | 'limit' | null } => {
    count += page.events.length;
    const last = endOf(page, count, pages, limits);
    const events = textOf(page, encoding);
    if (last === null || encoding.trailer === null) return { text: events, last };
    const trailer: ExportTrailer = {
      complete: last === 'complete',
      count,
      next: last === 'complete' ? null : encodeCursor(page.nextSeq),
    };
    return { text: events + encoding.trailer(trailer), last };
  };

  /** True once something was sent: a page may be empty and still not be the last. */
  const send = (controller: ReadableStreamDefaultController<Uint8Array>, before = ''): boolean => {
    const { text, last } = take();
    if (before + text !== '') controller.enqueue(encoder.encode(before + text));
    if (last !== null) {
      controller.close();
      end(last);
    }
    return text !== '';
  };

  return new ReadableStream<Uint8Array>({
    start: (controller) => void send(controller, encoding.head),
    pull: async (controller) => {
      do {
        // One after the other: a page begins where the one before it ends.
        const read = await readPage(page.nextSeq, Math.min(limits.pageRows, limits.rows - count));
        if (ended) return;
        if (!read.ok) {
          controller.error(new Error('The trail could not be read to its end.'));
          end('failed');
          return;
        }
        page = read.value;
        pages += 1;
      } while (!send(controller));
    },
    cancel: () => end('cancelled'),
  });
}
