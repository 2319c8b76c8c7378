import { isObject, parseJson } from '../../../src/kit/json.ts';
import { TILE_WIDTH, tileWidth } from '../../../src/tlog/tiles.ts';
import { readEntries, type Source } from '../source.ts';
import type { Chain, Gap } from './chain.ts';
import { differenceOf, shown } from './difference.ts';
import { COLUMNS, digestOf, type Event, eventOf, isFact, openEvent, parseEntry, sealedEvent } from './entries.ts';
import type { Difference, Findings } from './findings.ts';
import { RECORDED_COLUMNS } from './sealed-events.ts';

// The export, row by row, against what the logs say of each event.

/** How long an event may be without its seal: two minutes until a counted row is closed, some runs of the cron, and clocks that differ. */
export const SEALING_MAX_MS = 10 * 60 * 1000;
/** How long an attempt may be open: reconciliation gives up after 24 hours, and two more are for its queue. */
const OPEN_MAX_MS = 26 * 60 * 60 * 1000;

/** What the rows come to. */
export interface Rows {
  readonly count: number;
  readonly lastSeq: number;
  /** Events that no entry seals yet, and the time of the oldest of them; null: there are none. */
  readonly unsealed: number;
  readonly oldestUnsealed: string | null;
  /** The time of the newest event, which is that of the highest number: a clock may have run ahead before it. */
  readonly newest: string;
}

export interface Reading {
  readonly chain: Chain;
  /** The auditor's clock, in milliseconds since the epoch. */
  readonly nowMs: number;
  /** Whether the export has all rows. Otherwise it ends before the first one that may still change. */
  readonly isLatest: boolean;
  readonly progress: (rows: number) => void;
}

/** The first event of a kind of fault, and how many there are. */
interface Tally {
  readonly seq: number;
  readonly id: string | null;
  readonly event: Event | null;
  count: number;
}

export async function judgeRows(
  source: Source,
  { chain, nowMs, isLatest, progress }: Reading,
  findings: Findings,
): Promise<Rows> {
  const { events, gaps, last, isWhole } = chain;
  const highest = events.highest();
  const sealedAtMs = Math.min(Date.parse(last) || 0, nowMs);
  /** What is older than this has its seal. */
  const horizon = new Date(Math.max(0, sealedAtMs - SEALING_MAX_MS)).toISOString();
  const tallies = new Map<Tallied, Tally>();
  const settled = new Set<number>();
  let [count, since, lastSeq, unsealed, newest] = [0, 0, 0, 0, ''];
  let oldestUnsealed: string | null = null;
  let isComplete: boolean | null = null;

  const tally = (kind: Tallied, seq: number, event: Event | null = null): void => {
    const known = tallies.get(kind);
    if (known !== undefined) known.count += 1;
    else tallies.set(kind, { seq, id: event === null ? null : shown(event.id).slice(1, -1), event, count: 1 });
  };
  const gapAt = (seq: number): Gap | undefined => gaps.find(({ from, to }) => from <= seq && seq <= to);
  const isInGap = (seq: number): boolean => gapAt(seq) !== undefined;
  const missing = (seq: number): void => {
    if (events.has(seq)) tally('row_dropped', seq);
    else if (!isInGap(seq)) tally('not_dense', seq);
  };

  const judgeOpen = (seq: number, event: Event): void => {
    const body = events.openFact(seq)?.body ?? {};
    const isOpen = event.status === 'attempted';
    // No fact covers the id of the token before the attempt is settled.
    const sealed = isOpen ? { ...openEvent(body), token_id: event.token_id } : openEvent(body);
    if (differenceOf(sealed, event, isOpen ? COLUMNS : RECORDED_COLUMNS) !== null) tally('row_changed', seq, event);
    else if (!isOpen && lacksOf(sealed, event) !== null) tally('row_changed', seq, event);
    if (isOpen) return;
    settled.add(seq);
    if (timeOf(event.settled_at) < horizon) tally('settlement_not_sealed', seq, event);
  };

  const judgeUnsealed = (seq: number, event: Event): void => {
    const time = timeOf(event.last_at);
    const isOverdue = seq <= highest && (event.status === 'attempted' || time < horizon);
    if (isOverdue) {
      tally('row_not_sealed', seq, event);
      return;
    }
    unsealed += 1;
    if (oldestUnsealed === null || time < oldestUnsealed) oldestUnsealed = time;
  };

  const judgeRow = (wire: Readonly<Record<string, unknown>>): void => {
    const event = eventOf(wire);
    const { seq } = event;
    if (typeof seq !== 'number' || !Number.isSafeInteger(seq)) {
      findings.add('row_malformed', `Row ${count} of the export has no seq.`);
      return;
    }
    if (seq < 1) {
      const id = shown(event.id).slice(1, -1);
      const message = `Row ${count} of the export (${id}) has the number ${seq}, and events are counted from 1: it was put in.`;
      findings.add('row_not_sealed', message, { seq, id });
      return;
    }
    if (seq <= lastSeq) {
      tally('row_repeated', seq, event);
      return;
    }
    for (let at = lastSeq + 1; at < seq; at += 1) {
      missing(at);
      if (at <= highest) continue;
      // Nothing is sealed from here on. A forged number must not make this run for ever, so it takes a gap, or all that is missing, as one.
      at = Math.min(gapAt(at)?.to ?? seq, seq - 1);
    }
    lastSeq = seq;
    newest = timeOf(event.last_at);
    if (events.isOpen(seq)) judgeOpen(seq, event);
    else if (events.has(seq)) {
      if (!events.matches(seq, digestOf(event))) tally('row_changed', seq, event);
    } else if (isInGap(seq)) tally('row_in_gap', seq, event);
    else judgeUnsealed(seq, event);
  };

  for await (const line of source.events()) {
    if (line === '') continue;
    const value = parseJson(line);
    if (isObject(value) && 'complete' in value && !('seq' in value)) {
      isComplete = value['complete'] === true;
      if (value['count'] !== since) tally('export_cut', lastSeq + 1);
      since = 0;
      continue;
    }
    isComplete = null;
    if (!isObject(value)) {
      tally('export_cut', lastSeq + 1);
      continue;
    }
    count += 1;
    since += 1;
    if (count % 1000 === 0) progress(count);
    judgeRow(value);
  }
  if (isComplete !== true && !tallies.has('export_cut')) tally('export_cut', lastSeq + 1);
  if (!tallies.has('export_cut')) judgeEnd();
  for (const { seq, id, body } of events.open()) {
    const isLate = sealedAtMs - Date.parse(String(body['occurred_at'])) > OPEN_MAX_MS;
    if (!isLate || settled.has(seq)) continue;
    const message = `Event ${seq} (${shown(id).slice(1, -1)}) was recorded at ${shown(body['occurred_at'])} and never settled: what became of it is not in the log.`;
    findings.add('never_settled', message, { seq, id, judgement: isWhole ? 'wrong' : 'unknown' });
  }
  for (const [kind, first] of tallies) await report(source, { kind, first, chain, lastSeq, isWhole }, findings);
  return { count, lastSeq, unsealed, oldestUnsealed, newest };

  /** Sealed events behind the last row. */
  function judgeEnd(): void {
    const first = lastSeq + 1;
    if (first > highest) return;
    const mayBeHeld = !isLatest && !isInGap(first) && (!events.has(first) || events.isOpen(first));
    if (mayBeHeld) tally('export_held', first);
    else for (let seq = first; seq <= highest; seq += 1) missing(seq);
  }
}

/** The member of `detail` that an attempt was recorded with and that the settled row lacks; null: it lacks none. */
function lacksOf(sealed: Event, exported: Event): Difference | null {
  const [one, other] = [sealed.detail, exported.detail];
  const name = isObject(one) ? Object.keys(one).find((member) => !isObject(other) || !(member in other)) : undefined;
  if (name === undefined || !isObject(one)) return null;
  return { field: `detail.${shown(name).slice(1, -1)}`, sealed: shown(one[name]), exported: 'nothing' };
}

const timeOf = (value: unknown): string => (typeof value === 'string' ? value : '');

type Tallied =
  | 'row_changed'
  | 'row_dropped'
  | 'not_dense'
  | 'row_repeated'
  | 'row_in_gap'
  | 'row_not_sealed'
  | 'settlement_not_sealed'
  | 'export_cut'
  | 'export_held';

interface Reported {
  readonly kind: Tallied;
  readonly first: Tally;
  readonly chain: Chain;
  readonly lastSeq: number;
  readonly isWhole: boolean;
}

/** Says what is the matter with the first event of a kind of fault, and reads what was sealed of it once more. */
async function report(
  source: Source,
  { kind, first, chain, lastSeq, isWhole }: Reported,
  findings: Findings,
): Promise<void> {
  const { seq, event, count } = first;
  const sealed = kind === 'row_changed' || kind === 'row_dropped' ? await sealedOf(source, chain, seq) : null;
  const id = first.id ?? (typeof sealed?.event.id === 'string' ? sealed.event.id : null);
  const named = id === null ? `Event ${seq}` : `Event ${seq} (${id})`;
  const where = sealed === null ? '' : ` (entry ${sealed.index} of log ${sealed.log})`;
  const more = count > 1 ? ` And ${count - 1} more.` : '';
  // Where entries are not there, or are not understood, an event without a leaf may have one.
  const judgement = isWhole ? 'wrong' : 'unknown';
  switch (kind) {
    case 'row_changed': {
      const difference = sealed === null || event === null ? null : differenceBetween(sealed, event);
      const what =
        difference === null
          ? ''
          : `: ${difference.field} was sealed as ${difference.sealed}${where}, and the export has ${difference.exported}`;
      findings.add(kind, `${named} was changed after its seal${what}.${more}`, { seq, id, difference }, count);
      break;
    }
    case 'row_dropped': {
      const action = sealed === null ? '' : `, ${shown(sealed.event.action)} at ${shown(sealed.event.occurred_at)},`;
      const why =
        seq > lastSeq
          ? ` The export ends with event ${lastSeq}: the newest events were deleted after their seal, or the export is older than the checkpoint.`
          : ' It was deleted after its seal.';
      findings.add(
        kind,
        `${named}${action} is sealed${where} and is not in the export.${why}${more}`,
        { seq, id },
        count,
      );
      break;
    }
    case 'not_dense':
      findings.add(
        kind,
        `Event ${seq} is not there: the numbers of events have no gap but those that a log names, and none names this one. It was deleted, or the export has a filter.${more}`,
        { seq, judgement: seq <= chain.events.highest() ? judgement : 'wrong' },
        count,
      );
      break;
    case 'row_repeated':
      findings.add(
        kind,
        `${named} is in the export behind event ${lastSeq} or twice: a row was put in.${more}`,
        { seq, id },
        count,
      );
      break;
    case 'row_in_gap':
      findings.add(
        kind,
        `${named} has a number that no event has, as a log says: it was put in.${more}`,
        { seq, id },
        count,
      );
      break;
    case 'row_not_sealed':
      findings.add(
        kind,
        `${named} is not sealed, and events up to ${chain.events.highest()} are: it was put in after they were sealed.${more}`,
        { seq, id, judgement },
        count,
      );
      break;
    case 'settlement_not_sealed':
      findings.add(
        kind,
        `${named} was settled at ${shown(event?.settled_at)}, and that is not sealed: somebody else has settled it.${more}`,
        { seq, id, judgement },
        count,
      );
      break;
    case 'export_cut':
      findings.add(
        kind,
        `The export is cut off: it ends with event ${lastSeq} and lacks its last line, or does not hold as many rows as that says. Export it again.`,
        { seq },
      );
      break;
    case 'export_held':
      findings.add(
        kind,
        `The export ends before event ${seq}, which could still change when it was made, and the log seals events up to ${chain.events.highest()}. Export with --latest, which gives all rows.`,
        { seq, judgement: 'unknown' },
      );
      break;
  }
}

interface Sealed {
  readonly event: Event;
  readonly isOpen: boolean;
  readonly log: number;
  readonly index: number;
}

/** What the log says of an event, read once more; null: it cannot be read again. */
async function sealedOf(source: Source, { events, logs }: Chain, seq: number): Promise<Sealed | null> {
  let body: Readonly<Record<string, unknown>> = {};
  const places = events.placesOf(seq);
  for (const { log, index } of places) {
    const bundle = Math.floor(index / TILE_WIDTH);
    const size = logs.find(({ number }) => number === log)?.checkpoint.size ?? 0;
    // oxlint-disable-next-line no-await-in-loop -- there are two at the most
    const entries = await readEntries(source, log, { index: bundle, width: tileWidth('entries', bundle, size) });
    const bytes = entries?.[index % TILE_WIDTH];
    const entry = bytes === undefined ? null : parseEntry(bytes);
    if (entry === null || !isFact(entry)) return null;
    body = { ...body, ...entry.body };
  }
  const last = places.at(-1);
  if (last === undefined) return null;
  const isOpen = events.isOpen(seq);
  return { event: isOpen ? openEvent(body) : sealedEvent(body), isOpen, ...last };
}

function differenceBetween({ event: sealed, isOpen }: Sealed, exported: Event): Difference | null {
  if (!isOpen) return differenceOf(sealed, exported);
  if (exported.status === 'attempted') return differenceOf({ ...sealed, token_id: exported.token_id }, exported);
  return differenceOf(sealed, exported, RECORDED_COLUMNS) ?? lacksOf(sealed, exported);
}
