import * as z from 'zod';
import type { AuditClient } from './audit-client.ts';
import { AuditError } from './audit-error.ts';

const WRITE_CHARS = 64 * 1024;

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
  const out = buffered(write);
  let count = 0;
  let cursor: string | null = null;
  for (let isFirst = true; ; isFirst = false) {
    const body = await client.export({ ...parameters, format, ...(cursor !== null && { cursor }) });
    let last: string | null = null;
    let events = 0;
    try {
      for await (const line of linesOf(body)) {
        // Only what is not the last line is an event.
        const isHead = format === 'csv' && events === 0 && last?.startsWith('seq,') === true;
        if (last !== null && (isFirst || !isHead)) await out.add(last + lineEnd);
        if (last !== null && !isHead) events += 1;
        last = line;
      }
    } catch (error) {
      if (!(error instanceof BrokenOff)) throw error;
      last = null;
    }
    count += events;
    const trailer = trailerOf(last, format);
    // A cursor that stands still would never end.
    const isWhole = trailer?.count === events && (trailer.complete || ![null, cursor].includes(trailer.next));
    if (trailer === null || !isWhole) {
      await out.flush();
      throw new AuditError(
        `The export was cut off after ${count} events. What was written has no closing line and is not whole: run this again.`,
      );
    }
    if (trailer.complete) {
      const closing = JSON.stringify({ complete: true, count, next: null });
      await out.add((format === 'csv' ? '# ' : '') + closing + lineEnd);
      await out.flush();
      return count;
    }
    cursor = trailer.next;
  }
}

/** Fewer and larger writes. */
function buffered(write: (text: string) => Promise<void>) {
  let held = '';
  const flush = async (): Promise<void> => {
    const text = held;
    held = '';
    if (text !== '') await write(text);
  };
  const add = async (text: string): Promise<void> => {
    held += text;
    if (held.length >= WRITE_CHARS) await flush();
  };
  return { add, flush };
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
