import * as z from 'zod';
import { UserError } from '../../local/errors.ts';
import { EXPORT_ENCODINGS } from '../../src/trail/query/format.ts';
import type { AuditClient } from './client.ts';

const WRITE_CHARS = 64 * 1024;

const Trailer = z.strictObject({ complete: z.boolean(), count: z.int(), next: z.string().nullable() });

const nullableText = z.string().nullable();

/** An event as the API gives it, with everything that a line of CSV shows. */
const WireEvent = z.object({
  id: z.string(),
  seq: z.int(),
  occurred_at: z.string(),
  settled_at: nullableText,
  action: z.string(),
  status: z.string(),
  count: z.int(),
  last_at: z.string(),
  actor: z.object({ type: z.string(), issuer: nullableText, subject: nullableText, label: nullableText }),
  workspace_uuid: nullableText,
  token_id: nullableText,
  token_name: nullableText,
  request_id: nullableText,
  ip: nullableText,
  user_agent: nullableText,
  upstream_status: z.int().nullable(),
  error_code: nullableText,
  detail: z.record(z.string(), z.unknown()),
});

type Format = 'ndjson' | 'csv';

/**
 * Exports all matching events as one file, however many answers of the service that takes. It asks the service for NDJSON
 * even if the file is to be CSV: only NDJSON says on its last line that the answer is whole.
 *
 * @param write takes text, and settles when there is room for more.
 * @returns how many events were written.
 * @throws UserError if an answer breaks off or does not hold what its last line says. What was written is then not whole.
 */
export async function exportAll(
  client: AuditClient,
  parameters: Readonly<Record<string, string>>,
  format: Format,
  write: (text: string) => Promise<void>,
): Promise<number> {
  const out = buffered(write);
  const encode = format === 'csv' ? (line: string) => csvOf(line, client.url) : (line: string) => `${line}\n`;
  if (format === 'csv') await out.add(EXPORT_ENCODINGS.csv.head);
  let count = 0;
  let cursor: string | null = null;
  for (;;) {
    const body = await client.export({ ...parameters, format: 'ndjson', ...(cursor !== null && { cursor }) });
    const { events, trailer } = await copyPart(body, async (line) => await out.add(encode(line)));
    count += events;
    // With a cursor that stands still the export would never end.
    const isWhole = trailer?.count === events && (trailer.complete || ![null, cursor].includes(trailer.next));
    if (trailer === null || !isWhole) {
      await out.flush();
      throw new UserError(
        `The export was cut off after ${count} events. What was written is not whole: run this again.`,
      );
    }
    if (trailer.complete) {
      if (format === 'ndjson') await out.add(`${JSON.stringify({ complete: true, count, next: null })}\n`);
      await out.flush();
      return count;
    }
    cursor = trailer.next;
  }
}

/** Copies the events of one answer: all lines but the last, which is the trailer. An answer that broke off has no trailer. */
async function copyPart(body: ReadableStream<Uint8Array>, copy: (line: string) => Promise<void>) {
  let last: string | null = null;
  let events = 0;
  try {
    for await (const line of linesOf(body)) {
      if (last !== null) {
        await copy(last);
        events += 1;
      }
      last = line;
    }
  } catch (error) {
    if (!(error instanceof BrokenOff)) throw error;
    last = null;
  }
  return { events, trailer: last === null ? null : (Trailer.safeParse(jsonOf(last)).data ?? null) };
}

/** Writes a line of NDJSON as a line of CSV. */
function csvOf(line: string, url: string): string {
  const event = WireEvent.safeParse(jsonOf(line));
  if (event.success) return EXPORT_ENCODINGS.csv.event(event.data);
  throw new UserError(
    `${url} does not answer as Countersign does: an event lacks what a line of CSV shows. Try --export ndjson.`,
  );
}

/** Collects text into fewer and larger writes. */
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

/** Reads lines, without their ends. A last line that has no end did not arrive whole, and throws. */
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

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return null;
  }
}
