import { CountersignError, isRecord } from './failure.ts';
import type { AuditEvent } from './types.ts';

/** Asks for one answer of an export, from a cursor on. */
export type AskPart = (cursor: string | null) => Promise<ReadableStream<Uint8Array>>;

/** An export that sends nothing for so long is taken for cut. */
const STALL_TIMEOUT_MS = 60_000;

/**
 * All lines of an export, one for each event, however many answers of the service that takes.
 *
 * @throws CountersignError `client_export_cut` if an answer breaks off or does not hold what its last line says.
 */
export async function* exportLines(ask: AskPart): AsyncGenerator<string, void, undefined> {
  let count = 0;
  let cursor: string | null = null;
  for (;;) {
    let last: string | null = null;
    let events = 0;
    try {
      const body: ReadableStream<Uint8Array> = await ask(cursor);
      for await (const line of linesOf(body)) {
        if (last !== null) {
          yield last;
          events += 1;
        }
        last = line;
      }
    } catch (error) {
      if (!(error instanceof BrokenOff)) throw error;
      last = null;
    }
    count += events;
    const end: Trailer | null = last === null ? null : trailerOf(last);
    // With a cursor that stands still the export would never end.
    const isWhole = end?.count === events && (end.complete || ![null, cursor].includes(end.next));
    if (end === null || !isWhole) {
      const message = `The export was cut off after ${count} events. What was given is not whole: run it again.`;
      throw new CountersignError({ code: 'client_export_cut', message, events: count });
    }
    if (end.complete) return;
    cursor = end.next;
  }
}

/** All events of an export. */
export async function* exportEvents(ask: AskPart): AsyncGenerator<AuditEvent, void, undefined> {
  for await (const line of exportLines(ask)) {
    const event: AuditEvent = JSON.parse(line);
    yield event;
  }
}

interface Trailer {
  readonly complete: boolean;
  readonly count: number;
  readonly next: string | null;
}

/** The last line of an answer, which an answer that broke off does not have. */
function trailerOf(line: string): Trailer | null {
  let end: unknown;
  try {
    end = JSON.parse(line);
  } catch {
    return null;
  }
  if (!isRecord(end) || Object.keys(end).length !== 3) return null;
  const { complete, count, next } = end;
  const isRight =
    typeof complete === 'boolean' && typeof count === 'number' && (next === null || typeof next === 'string');
  return isRight ? { complete, count, next } : null;
}

/** The connection broke. */
class BrokenOff extends Error {}

/** Reads lines, without their ends. A last line that has no end did not arrive whole, and throws. */
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await nextOf(reader);
      if (done) break;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
    }
  } finally {
    // A reader that has seen enough leaves an answer that still comes.
    await reader.cancel().catch(() => {});
  }
  if (rest !== '') throw new BrokenOff();
}

async function nextOf(reader: ReadableStreamDefaultReader<Uint8Array>) {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const stalled = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new BrokenOff()), STALL_TIMEOUT_MS);
  });
  try {
    return await Promise.race([reader.read(), stalled]);
  } catch {
    throw new BrokenOff();
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}
