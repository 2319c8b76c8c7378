import type { DatabaseFailure } from '../db/database.ts';
import type { AuditEventRow } from '../db/schema.ts';
import type { Result } from '../result.ts';
import { encodeCursor } from './cursor.ts';
import type { ExportEncoding, ExportTrailer } from './export-format.ts';
import { presentEvent } from './wire.ts';

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

/**
 * An export, a page at a time: the next one is read when the one before it is taken, so what it holds in memory does
 * not depend on how much there is to send, nor on how slowly it is taken.
 *
 * It ends with its trailer. If D1 fails on the way it ends with an error and has none: what was cut off must not look
 * whole, also where whatever stands between ends a broken answer as if it were over.
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
    const events = page.events.map((row) => encoding.event(presentEvent(row))).join('');
    if (page.hasMore && count < limits.rows && pages < limits.pages) return { text: events, last: null };
    const trailer: ExportTrailer = {
      complete: !page.hasMore,
      count,
      next: page.hasMore ? encodeCursor(page.nextSeq) : null,
    };
    return { text: events + encoding.trailer(trailer), last: page.hasMore ? 'limit' : 'complete' };
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
