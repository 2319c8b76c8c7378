import { createHash } from 'node:crypto';
import { canonicalJson } from '../../../src/kit/digest.ts';
import { isObject, parseJson } from '../../../src/kit/json.ts';
import { FACT_KINDS, type FactKind, LOG_LEAF_KINDS } from '../../../src/vocabulary.ts';

// What the entries of a log say, and what an event must look like by them. The entries are written by `src/trail/log/facts.ts`; this
// reader has a version of its own, so that both do not err together.

const VERSION = 1;

/** A fact about an event. */
export interface FactEntry {
  readonly fact: FactKind;
  readonly seq: number;
  readonly id: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A fact about the log itself. */
export interface LogEntry {
  readonly fact: 'resumed' | 'handover';
  readonly body: Readonly<Record<string, unknown>>;
}

/** An entry that this program does not understand, and why. */
export interface StrangeEntry {
  readonly fact: null;
  readonly why: string;
}

export type Entry = FactEntry | LogEntry | StrangeEntry;

export const isFact = (entry: Entry): entry is FactEntry => FACT_KINDS.some((kind) => kind === entry.fact);

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads an entry. It never throws: a newer service may write others. */
export function parseEntry(bytes: Uint8Array): Entry {
  const strange = (why: string): StrangeEntry => ({ fact: null, why });
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return strange('it is no text');
  }
  const body = parseJson(text);
  if (!isObject(body)) return strange('it is no JSON object');
  if (body['v'] !== VERSION) return strange(`its version is ${String(body['v']).slice(0, 20)}`);
  const fact = LOG_LEAF_KINDS.find((kind) => kind === body['fact']);
  if (fact === undefined) return strange('its kind of fact is a new one');
  if (fact === 'resumed' || fact === 'handover') return { fact, body };
  const { seq, id } = body;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1 || typeof id !== 'string') {
    return strange('it names no event');
  }
  return { fact, seq, id, body };
}

/** The columns of an event that facts cover, by their names on the wire. */
export const COLUMNS = [
  'id',
  'seq',
  'occurred_at',
  'settled_at',
  'action',
  'status',
  'count',
  'last_at',
  'actor',
  'workspace_uuid',
  'token_id',
  'token_name',
  'request_id',
  'ip',
  'user_agent',
  'upstream_status',
  'error_code',
  'detail',
] as const;
export type Event = Readonly<Record<(typeof COLUMNS)[number], unknown>>;

/** The columns of an event on the wire. A newer service may have more of them, which no fact of this version covers. */
export function eventOf(wire: Readonly<Record<string, unknown>>): Event {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it has the columns and no others
  return Object.fromEntries(COLUMNS.map((column) => [column, wire[column] ?? null])) as Event;
}

/** What an attempt is on the wire as long as nothing has become of it. */
const OPEN = { settled_at: null, status: 'attempted', upstream_status: null, error_code: null, outcome: {} };

/**
 * The event that these facts give. A `recorded` fact alone gives an open attempt, of which no fact covers the `token_id`.
 *
 * @param body of the facts of one event, merged.
 */
export function sealedEvent(body: Readonly<Record<string, unknown>>): Event {
  const { detail, outcome } = body;
  return eventOf({
    count: 1,
    last_at: body['occurred_at'],
    ...body,
    detail: { ...(isObject(detail) && detail), ...(isObject(outcome) && outcome) },
  });
}

/** The event of an attempt that is recorded and not settled. */
export const openEvent = (body: Readonly<Record<string, unknown>>): Event => sealedEvent({ ...OPEN, ...body });

export const DIGEST_BYTES = 16;

/** What events are compared by: 128 bits, which nobody finds a second event for. */
export const digestOf = (event: Event): Uint8Array =>
  createHash('sha256')
    .update(
      JSON.stringify(COLUMNS.map((column) => (isObject(event[column]) ? canonicalJson(event[column]) : event[column]))),
    )
    .digest()
    .subarray(0, DIGEST_BYTES);

/** The latest time that the entry tells, as RFC 3339 in UTC; empty: it tells none. */
export function latestTime(entry: FactEntry | LogEntry): string {
  let latest = '';
  for (const name of ['occurred_at', 'settled_at', 'last_at', 'at']) {
    const time = entry.body[name];
    if (typeof time === 'string' && time > latest) latest = time;
  }
  return latest;
}
