import type { AuditEvent } from '../../../package/client/types.ts';

// The events that are shown, as pages of older ones and polls of newer ones come in.

/** Some of the events of a question, the newest first. */
export interface Known {
  readonly events: readonly AuditEvent[];
  /** Where older ones begin; null: there are none. */
  readonly cursor: string | null;
}
export const NOTHING: Known = { events: [], cursor: null };

/** Adds events to others, the newest first. An event that comes again replaces what was known of it: an attempt is settled, a count grows. */
export function merged(known: readonly AuditEvent[], more: readonly AuditEvent[]): readonly AuditEvent[] {
  if (more.length === 0) return known;
  const byId = new Map(known.map((event) => [event.id, event]));
  const isSame = more.every((event) => {
    const before = byId.get(event.id);
    return before !== undefined && before.status === event.status && before.count === event.count;
  });
  if (isSame) return known;
  for (const event of more) byId.set(event.id, event);
  return [...byId.values()].toSorted((one, other) => other.seq - one.seq);
}

/**
 * What is known once the newest page came in again. A page that does not reach down to what is known begins the list anew, so that none is
 * left out; so does one that comes where nothing is known, as after a failure.
 */
export function joined(known: Known, newest: Known): Known {
  const [top, oldest] = [known.events[0], newest.events.at(-1)];
  const isGap = newest.cursor !== null && oldest !== undefined && top !== undefined && oldest.seq > top.seq;
  if (top === undefined || isGap) return newest;
  return { events: merged(known.events, newest.events), cursor: known.cursor };
}

/** A row of the list: a day, or an event of it. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly day: string }
  | { readonly kind: 'event'; readonly key: string; readonly event: AuditEvent };

/**
 * The events under the days on which they were, the newest first.
 *
 * @param dayOf names the day of a time, in the viewer's own zone.
 */
export function rowsByDay(events: readonly AuditEvent[], dayOf: (at: string) => string): readonly Row[] {
  const rows: Row[] = [];
  let day: string | null = null;
  for (const event of events) {
    const own = dayOf(event.occurred_at);
    if (own !== day) rows.push({ kind: 'day', key: `day ${event.id}`, day: own });
    day = own;
    rows.push({ kind: 'event', key: event.id, event });
  }
  return rows;
}

/** Rows in a piece of the list that is drawn or left out as a whole. */
const CHUNK_ROWS = 50;

export interface Chunk {
  readonly key: number;
  readonly rows: readonly Row[];
}

/**
 * The rows in pieces. They are numbered from an event that stays where it is, so that newer events on top and older ones below leave the
 * pieces between as they are.
 *
 * @param anchorId the event at which a piece begins. Null, or none of these: the first.
 */
export function chunksOf(rows: readonly Row[], anchorId: string | null): readonly Chunk[] {
  const anchor = Math.max(
    0,
    rows.findIndex(({ key }) => key === anchorId),
  );
  const chunks = new Map<number, Row[]>();
  for (const [index, row] of rows.entries()) {
    const key = Math.floor((index - anchor) / CHUNK_ROWS);
    const chunk = chunks.get(key);
    if (chunk === undefined) chunks.set(key, [row]);
    else chunk.push(row);
  }
  return [...chunks].map(([key, own]) => ({ key, rows: own }));
}
