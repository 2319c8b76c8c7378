import type { Client } from '../../../package/client/client.ts';
import { CountersignError } from '../../../package/client/failure.ts';
import type { AuditFilter } from '../../../package/client/requests.ts';

// An export as one file, however many answers of the service it takes. It is whole, or it is none.

export type ExportFormat = 'ndjson' | 'csv';

/** A browser holds all of a file before it saves it. What is larger belongs to the command, which writes as it reads. */
export const EXPORT_MAX_BYTES = 50 * 1024 * 1024;
/** Progress is told after so many characters, and not for each of a hundred thousand lines. */
const TOLD_EACH_CHARS = 256 * 1024;

type ReadTrail = Pick<Client['audit'], 'exportLines' | 'exportResponse'>;

/**
 * Reads an export to its end.
 *
 * @param onProgress takes how much is read, in characters.
 * @throws CountersignError `client_export_cut` if it is not whole or larger than a browser should hold, and others as the client does.
 */
export async function readExport(
  audit: ReadTrail,
  filter: AuditFilter,
  format: ExportFormat,
  signal: AbortSignal,
  onProgress: (chars: number) => void,
): Promise<Blob> {
  const texts: string[] = [];
  let [chars, told] = [0, 0];
  for await (const text of format === 'csv' ? csvOf(audit, filter, signal) : ndjsonOf(audit, filter, signal)) {
    texts.push(text);
    chars += text.length;
    if (chars > EXPORT_MAX_BYTES) throw failed(TOO_LARGE);
    if (chars - told < TOLD_EACH_CHARS) continue;
    told = chars;
    onProgress(chars);
  }
  return new Blob(texts, { type: format === 'csv' ? 'text/csv' : 'application/x-ndjson' });
}

/** The lines, which the client checks. The last one says that the file is whole, as in an answer of the service. */
async function* ndjsonOf(audit: ReadTrail, filter: AuditFilter, signal: AbortSignal): AsyncGenerator<string> {
  let count = 0;
  for await (const line of audit.exportLines(filter, { signal })) {
    count += 1;
    yield `${line}\n`;
  }
  yield `${JSON.stringify({ complete: true, count, next: null })}\n`;
}

async function* csvOf(audit: ReadTrail, filter: AuditFilter, signal: AbortSignal): AsyncGenerator<string> {
  let cursor: string | undefined;
  for (;;) {
    const answer: Response = await audit.exportResponse({ ...filter, cursor, format: 'csv' }, { signal });
    const text = await wholeTextOf(answer);
    // Each answer begins with the line of titles, which a file has once. No title holds a line break.
    yield cursor === undefined ? text : text.slice(text.indexOf('\n') + 1);
    const next = nextCursor(answer.headers.get('Link'));
    if (next === null) return;
    // A cursor that stands still would export for ever.
    if (next === cursor) throw failed(CUT);
    cursor = next;
  }
}

/** The text of an answer. What is shorter than its `Content-Length` was cut off. */
async function wholeTextOf(answer: Response): Promise<string> {
  // Of a compressed answer it counts other bytes, and the browser checks those itself.
  const length = answer.headers.has('Content-Encoding') ? null : answer.headers.get('Content-Length');
  if (Number(length) > EXPORT_MAX_BYTES) throw failed(TOO_LARGE);
  const text = await answer.text().catch(() => null);
  if (text === null || (length !== null && new Blob([text]).size !== Number(length))) throw failed(CUT);
  return text;
}

const CUT = 'The export broke off, so nothing was saved. Try it again.';
const TOO_LARGE =
  'The export is larger than 50 MB, so nothing was saved. Narrow the filter, or use the command: countersign audit --export csv --out FILE writes any size.';

const failed = (message: string): CountersignError =>
  new CountersignError({ code: 'client_export_cut', message, events: 0 });

/** The cursor of `Link: <…?cursor=…>; rel="next"`. */
const nextCursor = (link: string | null): string | null => {
  const target = /<([^>]*)>\s*;\s*rel="next"/.exec(link ?? '')?.[1];
  return target === undefined ? null : new URL(target, 'http://service.invalid').searchParams.get('cursor');
};
