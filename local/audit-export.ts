import * as z from 'zod';
import type { AuditClient } from './audit-client.ts';
import { AuditError } from './audit-error.ts';

const Trailer = z.strictObject({ complete: z.boolean(), count: z.int(), next: z.string().nullable() });

/**
 * Exports all that matches, answer after answer, as one file with one trailer.
 *
 * @param write takes text; settles when there is room for more.
 * @returns how many events were written.
 * @throws AuditError if an answer breaks off or does not hold what its trailer says: what was written then has no trailer.
 */
export async function exportAll(
  client: AuditClient,
  parameters: Readonly<Record<string, string>>,
  format: 'ndjson' | 'csv',
  write: (text: string) => Promise<void>,
): Promise<number> {
  const lineEnd = format === 'csv' ? '\r\n' : '\n';
  let count = 0;
  let cursor: string | null = null;
  for (let part = 1; ; part += 1) {
    const body = await client.export({ ...parameters, format, ...(cursor !== null && { cursor }) });
    let lines = 0;
    let last: string | null = null;
    const cut = (): AuditError =>
      new AuditError(
        `The export was cut off after ${count + lines} events. What was written has no closing line and is not whole: run this again.`,
      );
    try {
      for await (const line of linesOf(body)) {
        // What turns out to be the last line is not written here.
        if (last !== null) {
          const isHead = format === 'csv' && lines === 0 && last.startsWith('seq,');
          // oxfmt-ignore
          if (!isHead || part === 1) await write(last + lineEnd);
          if (!isHead) lines += 1;
        }
        last = line;
      }
    } catch (error) {
      if (error instanceof BrokenOff) throw cut();
      throw error;
    }
    const trailer = trailerOf(last, format);
    if (trailer === null || trailer.count !== lines) throw cut();
    count += lines;
    if (trailer.complete) {
      const closing = JSON.stringify({ complete: true, count, next: null });
      await write((format === 'csv' ? '# ' : '') + closing + lineEnd);
      return count;
    }
    // One that stands still would never end.
    if (trailer.next === null || trailer.next === cursor) throw cut();
    cursor = trailer.next;
  }
}

/** The connection broke. */
class BrokenOff extends Error {}

/** Lines without their ends; a last one that has none did not arrive whole. */
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = '';
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new BrokenOff();
    });
    if (done) break;
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
  }
  if (rest !== '') throw new BrokenOff();
}

function trailerOf(line: string | null, format: 'ndjson' | 'csv'): z.infer<typeof Trailer> | null {
  if (line === null || (format === 'csv' && !line.startsWith('# '))) return null;
  try {
    return Trailer.parse(JSON.parse(format === 'csv' ? line.slice(2) : line));
  } catch {
    return null;
  }
}
