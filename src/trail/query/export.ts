import { AUDIT_EXPORT_MAX_PAGES, AUDIT_EXPORT_MAX_ROWS, AUDIT_EXPORT_PAGE_ROWS } from '../../config/limits.ts';
import type { RowsOf } from '../../db/database.ts';
import type { Failure } from '../../failures.ts';
import type { Caller } from '../../policy/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { actorOf } from '../actor.ts';
import type { EventSubject } from '../events.ts';
import { EXPORT_ENCODINGS } from './export-format.ts';
import type { AuditExport } from './export-params.ts';
import { openExport, type ExportEnd, type ExportPage, type OpenedExport } from './export-stream.ts';
import { successOutcome } from '../outcomes.ts';
import { progressOf, selectEnds, type Ends } from './progress.ts';
import { filterDetail } from './query-detail.ts';
import type { Trail } from './query.ts';
import { readScan, selectEvents } from './select-events.ts';

const LIMITS = { rows: AUDIT_EXPORT_MAX_ROWS, pageRows: AUDIT_EXPORT_PAGE_ROWS, pages: AUDIT_EXPORT_MAX_PAGES };

/**
 * Begins an export of the trail, in the order of `seq`, up to where the trail ended when it was asked for. Its first page,
 * that end, and the row of the export come from one batch, so no byte leaves that is not in the trail: `audit_unavailable`
 * if D1 does not take it. The other pages are read while the answer is being sent; those of a format that has no last line also
 * before.
 */
export async function exportTrail(
  { database, recorder, runtime }: Trail,
  context: RequestContext,
  caller: Caller,
  query: AuditExport,
): Promise<Result<OpenedExport, Failure>> {
  const { filter, latest } = query;
  const nowMs = runtime.now();
  const beginSeq = query.afterSeq ?? 0;
  const select = (afterSeq: number, limitRows: number) =>
    selectEvents(database, filter, { order: 'asc', seq: afterSeq }, limitRows);

  const alongside = [select(beginSeq, LIMITS.pageRows), selectEnds(database, filter, beginSeq, nowMs)] as const;
  // Not counted together with others like it: what took so much out of here has a row of its own.
  const recorded = await recorder.record(context, describeExport(caller, query), successOutcome(null), alongside);
  if (!recorded.ok) return recorded;

  const [firstRows, [ends = EMPTY]] = recorded.value.rows;
  const pageOf = (rows: RowsOf<ReturnType<typeof select>>, afterSeq: number, limitRows: number): ExportPage =>
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

const EMPTY: Ends = { newest_seq: null, open_seq: null };

/** Rows that came after the export began are not part of it: it would otherwise run after a trail that grows. */
function upTo({ newest_seq }: Ends, { events, nextSeq, hasMore }: ExportPage): ExportPage {
  const lastSeq = newest_seq ?? 0;
  return { events: events.filter(({ seq }) => seq <= lastSeq), nextSeq, hasMore: hasMore && nextSeq < lastSeq };
}

/** What the export is in the trail. */
const describeExport = (caller: Caller, { format, filter, afterSeq, latest }: AuditExport): EventSubject => ({
  action: 'audit.export',
  actor: actorOf(caller),
  workspaceUuid: filter.workspaceUuid,
  tokenId: filter.tokenId,
  tokenName: null,
  detail: {
    format,
    ...filterDetail(filter),
    ...(afterSeq !== null && { after_seq: afterSeq }),
    ...(latest && { latest }),
  },
});
