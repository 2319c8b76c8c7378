import { AUDIT_EXPORT_MAX_PAGES, AUDIT_EXPORT_MAX_ROWS, AUDIT_EXPORT_PAGE_ROWS } from '../../config/limits.ts';
import type { DatabaseFailure, RowsOf } from '../../db/database.ts';
import type { RecordFailure } from '../../failures.ts';
import { encodeCursor } from '../../http/query.ts';
import { byteLength } from '../../kit/bytes.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import { actorOf, type EventSubject, eventSubject, successOutcome } from '../event.ts';
import { EXPORT_ENCODINGS, type ExportEncoding, type ExportTrailer, presentEvent } from './format.ts';
import { type Ends, NO_ENDS, type Progress, progressOf, selectEnds } from './follow.ts';
import { readScan, selectEvents, type Trail } from './page.ts';
import { filterDetail } from './filter.ts';
import type { AuditExport } from './params.ts';

const LIMITS = { rows: AUDIT_EXPORT_MAX_ROWS, pageRows: AUDIT_EXPORT_PAGE_ROWS, pages: AUDIT_EXPORT_MAX_PAGES };

/** No event of this service has a number below 1. A row that somebody has put in there is shown as any other, so that it is found. */
const BELOW_ALL_SEQS = Number.MIN_SAFE_INTEGER;

/**
 * Begins an export of the trail, in the order of `seq`, up to where the trail ends when it is asked for. Its first page, that end,
 * and the row of the export come from one batch, so no byte leaves before the export is in the trail. The other pages are read
 * while the answer is being sent. Those of a format without a last line are also read before, for their length.
 *
 * Fails with `audit_unavailable`, or as `Recorder.record` does.
 */
export async function exportTrail(
  { database, recorder, runtime }: Trail,
  context: RequestContext,
  caller: Caller,
  query: AuditExport,
): Promise<Result<OpenedExport, RecordFailure>> {
  const { filter, latest } = query;
  const nowMs = runtime.now();
  const beginSeq = query.afterSeq ?? 0;
  const select = (afterSeq: number, limitRows: number) =>
    selectEvents(database, filter, { direction: 'asc', seq: afterSeq }, limitRows);

  const alongside = [
    select(query.afterSeq ?? BELOW_ALL_SEQS, LIMITS.pageRows),
    selectEnds(database, filter, beginSeq, nowMs),
  ] as const;
  // Exports are not counted together: each takes a lot out of here, so each has a row of its own.
  const recorded = await recorder.record(context, describeExport(caller, query), successOutcome(null), alongside);
  if (!recorded.ok) return recorded;

  const [firstRows, [ends = NO_ENDS]] = recorded.value.rows;
  const pageOf = (rows: RowsOf<ReturnType<typeof select>>, afterSeq: number, limitRows: number): Progress =>
    upTo(ends, progressOf(readScan(rows, limitRows), ends, afterSeq, latest ? null : nowMs));

  const onEnd = (end: ExportEnd, count: number): void =>
    runtime.log({
      level: end === 'failed' ? 'error' : 'info',
      event: 'export',
      request_id: context.requestId,
      event_id: recorded.value.eventId,
      end,
      events: count,
      duration_ms: runtime.now() - nowMs,
      d1_ms: context.trace.d1Ms,
      d1_trips: context.trace.d1Trips,
    });

  const opened = await openExport({
    first: pageOf(firstRows, beginSeq, LIMITS.pageRows),
    readPage: async (afterSeq, limitRows) => {
      const page = select(afterSeq, limitRows);
      const read = await database.batch(context, [page]);
      return read.ok ? ok(pageOf(read.value[0], afterSeq, limitRows)) : read;
    },
    encoding: EXPORT_ENCODINGS[query.format],
    limits: LIMITS,
    onEnd,
  });
  return opened.ok ? opened : err({ kind: 'audit_unavailable' });
}

/** Leaves out rows that came after the export began: it would otherwise run after a trail that grows. */
function upTo({ newest_seq }: Ends, { events, nextSeq, hasMore }: Progress): Progress {
  const lastSeq = newest_seq ?? 0;
  return { events: events.filter(({ seq }) => seq <= lastSeq), nextSeq, hasMore: hasMore && nextSeq < lastSeq };
}

/** What the export is in the trail. */
const describeExport = (caller: Caller, { format, filter, afterSeq, latest }: AuditExport): EventSubject =>
  eventSubject('audit.export', actorOf(caller), {
    workspaceUuid: filter.workspaceUuid,
    tokenId: filter.tokenId,
    detail: {
      format,
      ...filterDetail(filter),
      ...(afterSeq !== null && { after_seq: afterSeq }),
      ...(latest && { latest }),
    },
  });

/** How an export ended. `failed`: D1 did not answer. `cancelled`: its reader went away. */
type ExportEnd = 'complete' | 'limit' | 'failed' | 'cancelled';

interface ExportSource {
  readonly first: Progress;
  readonly readPage: (afterSeq: number, limitRows: number) => Promise<Result<Progress, DatabaseFailure>>;
  readonly encoding: ExportEncoding;
  readonly limits: { readonly rows: number; readonly pageRows: number; readonly pages: number };
  /** Is called one time, with the number of events that were taken from the source. */
  readonly onEnd: (end: ExportEnd, count: number) => void;
}

/** An export that may leave. */
export interface OpenedExport {
  readonly body: ReadableStream<Uint8Array>;
  /** Its length and the cursor of the next export, known before its first byte. Null: its last line tells where it ended. */
  readonly known: { readonly bytes: number; readonly next: string | null } | null;
}

/**
 * Opens an export. In a format without a last line it is read twice, so that its length and the cursor to go on with are known
 * before its first byte: a runtime or a proxy may end a broken answer as if it were complete, but not one that said its length.
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

/** Reads an export to its end, to learn its length and where the next one begins. Keeps none of it. */
async function measureExport({ first, readPage, encoding, limits }: ExportSource) {
  let page = first;
  let count = page.events.length;
  let bytes = byteLength(encoding.head + textOf(page, encoding));
  for (let pages = 1; endOf(page, count, pages, limits) === null; pages += 1) {
    // One at a time: a page begins where the one before it ends.
    const read = await readPage(page.nextSeq, Math.min(limits.pageRows, limits.rows - count));
    if (!read.ok) return read;
    page = read.value;
    count += page.events.length;
    bytes += byteLength(textOf(page, encoding));
  }
  return ok({ bytes, next: page.hasMore ? encodeCursor(page.nextSeq) : null });
}

const textOf = ({ events }: Progress, encoding: ExportEncoding): string =>
  events.map((row) => encoding.event(presentEvent(row))).join('');

/** Why an answer ends with this page, of which it is the `pages`-th. Null: it does not end. */
const endOf = (page: Progress, count: number, pages: number, limits: ExportSource['limits']) => {
  if (!page.hasMore) return 'complete';
  return count < limits.rows && pages < limits.pages ? null : 'limit';
};

/**
 * Sends an export a page at a time. The next page is read when the one before it is taken, so the memory that it needs depends
 * neither on how much there is to send nor on how slowly it is taken.
 *
 * The export ends with its trailer, if its format has one. If D1 fails on the way, it ends with an error and without a trailer.
 */
function exportStream(source: ExportSource): ReadableStream<Uint8Array> {
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

  /** Gives the text that the page adds to the answer, with the trailer if it is the last page. */
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

  /** Says whether the page had any text: a page may be empty and still not be the last. */
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
        // One at a time: a page begins where the one before it ends.
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
