import { EXPORT_ENCODINGS } from '../../src/trail/query/format.ts';
import { openExport } from '../../src/trail/query/export.ts';
import { err, ok } from '../../src/kit/result.ts';
import { auditRow } from '../trail/audit-row.ts';

const PAGE_ROWS = 50;
const ROWS = 200;

/**
 * A Worker that exports rows of its own, for what is seen of an export on the wire: `?format=csv&fails=5` fails at the fifth
 * page that it reads.
 */
export default {
  async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url);
    let reads = 0;
    const pageAfter = (afterSeq: number) => ({
      events: Array.from({ length: PAGE_ROWS }, (_item, index) => auditRow({ seq: afterSeq + index + 1 })),
      nextSeq: afterSeq + PAGE_ROWS,
      hasMore: afterSeq + PAGE_ROWS < ROWS,
    });
    const opened = await openExport({
      first: pageAfter(0),
      readPage: async (afterSeq) => {
        reads += 1;
        return await Promise.resolve(
          reads === Number(searchParams.get('fails')) ? err('unanswered') : ok(pageAfter(afterSeq)),
        );
      },
      encoding: EXPORT_ENCODINGS[searchParams.get('format') === 'csv' ? 'csv' : 'ndjson'],
      limits: { rows: 1_000, pageRows: PAGE_ROWS, pages: 100 },
      onEnd: () => {},
    });
    const headers = { 'Content-Type': 'text/csv', 'Cache-Control': 'no-store, no-transform' };
    return opened.ok ? new Response(opened.value.body, { headers }) : new Response(null, { status: 503 });
  },
};
