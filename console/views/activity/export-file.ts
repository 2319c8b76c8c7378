import type { Client } from '../../../package/client/client.ts';
import type { AuditFilter } from '../../../package/client/requests.ts';

// An export as one file, however many answers of the service it takes. It is whole, or it is none.

export type ExportFormat = 'ndjson' | 'csv';

/** A browser holds all of a file before it saves it. What is larger belongs to the command, which writes as it reads. */
export const EXPORT_MAX_BYTES = 50 * 1024 * 1024;
/** Lines are put together before they become a part of the file, so that there are not a hundred thousand parts. */
const PART_CHARS = 256 * 1024;

/** The export is larger than a browser should hold. */
export class ExportTooLarge extends Error {}
/** The export ended before it was whole. */
export class ExportCut extends Error {}

export interface Progress {
  readonly events: number | null;
  readonly bytes: number;
}

type ReadTrail = Pick<Client['audit'], 'exportLines' | 'exportResponse'>;

/**
 * Reads an export to its end.
 *
 * @throws ExportTooLarge, ExportCut; CountersignError as the client does, which checks the last line of NDJSON.
 */
export async function readExport(
  audit: ReadTrail,
  filter: AuditFilter,
  format: ExportFormat,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Blob> {
  return format === 'ndjson'
    ? await readLines(audit, filter, signal, onProgress)
    : await readCsv(audit, filter, signal, onProgress);
}

async function readLines(
  audit: ReadTrail,
  filter: AuditFilter,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Blob> {
  const parts: Blob[] = [];
  let [text, events, bytes] = ['', 0, 0];
  const flush = (): void => {
    const part = new Blob([text]);
    parts.push(part);
    bytes += part.size;
    text = '';
    onProgress({ events, bytes });
    if (bytes > EXPORT_MAX_BYTES) throw new ExportTooLarge();
  };
  for await (const line of audit.exportLines(filter, { signal })) {
    text += `${line}\n`;
    events += 1;
    if (text.length >= PART_CHARS) flush();
  }
  // The last line says that the file is whole, as in an answer of the service.
  text += `${JSON.stringify({ complete: true, count: events, next: null })}\n`;
  flush();
  return new Blob(parts, { type: 'application/x-ndjson' });
}

async function readCsv(
  audit: ReadTrail,
  filter: AuditFilter,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  let cursor: string | null = null;
  for (;;) {
    const response: Response = await audit.exportResponse(
      { ...filter, ...(cursor !== null && { cursor }), format: 'csv' },
      { signal },
    );
    const isFirst = cursor === null;
    const next = nextCursor(response.headers.get('Link'));
    // A cursor that stands still would export for ever.
    if (next !== null && next === cursor) throw new ExportCut();
    const received = await readWhole(response, (chunk) => {
      bytes += chunk.byteLength;
      onProgress({ events: null, bytes });
      if (bytes > EXPORT_MAX_BYTES) throw new ExportTooLarge();
    });
    parts.push(...(isFirst ? received : withoutTitles(received)));
    if (next === null) return new Blob(parts, { type: 'text/csv' });
    cursor = next;
  }
}

/** All chunks of an answer. What is shorter than its `Content-Length` was cut off. */
async function readWhole(
  { body, headers }: Response,
  onChunk: (chunk: Uint8Array) => void,
): Promise<readonly Uint8Array<ArrayBuffer>[]> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let received = 0;
  const reader = body?.getReader();
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done || value === undefined) break;
      onChunk(value);
      received += value.byteLength;
      chunks.push(value);
    }
  } finally {
    await reader?.cancel().catch(() => {});
  }
  const said = headers.get('Content-Length');
  // Of a compressed answer it counts other bytes, and the browser checks those itself.
  const isSaid = said !== null && !headers.has('Content-Encoding');
  if (isSaid && Number(said) !== received) throw new ExportCut();
  return chunks;
}

const NEWLINE = 0x0a;

/** Each answer begins with the line of titles, which a file has once. No title holds a line break. */
function withoutTitles(chunks: readonly Uint8Array<ArrayBuffer>[]): readonly Uint8Array<ArrayBuffer>[] {
  const index = chunks.findIndex((chunk) => chunk.includes(NEWLINE));
  const first = chunks[index];
  return first === undefined ? [] : [first.subarray(first.indexOf(NEWLINE) + 1), ...chunks.slice(index + 1)];
}

/** The cursor of `Link: <…?cursor=…>; rel="next"`. */
function nextCursor(link: string | null): string | null {
  const target = /<([^>]*)>\s*;\s*rel="next"/.exec(link ?? '')?.[1];
  return target === undefined ? null : new URL(target, 'http://service.invalid').searchParams.get('cursor');
}
