import { DIGEST_BYTES, digestOf, type FactEntry, openEvent, sealedEvent } from './entries.ts';
import { differenceOf } from './difference.ts';

// What the logs say of each event. A log of a hundred million entries has to fit into memory, so an event takes 29 bytes, and only
// attempts that are still open are kept whole.

/** Events of a trail that this program can hold. */
const MAX_SEQ = 200_000_000;
const FIRST_EVENTS = 1 << 16;

/** What there is of an event. */
const NONE = 0;
const OPEN = 1;
const WHOLE = 2;

/** Where an entry stands. */
export interface Place {
  readonly log: number;
  readonly index: number;
}

export function createSealedEvents() {
  let states = new Uint8Array(FIRST_EVENTS);
  let digests = new Uint8Array(FIRST_EVENTS * DIGEST_BYTES);
  /** The number of the log and the index of the last fact, and the index of the first one of an attempt. */
  let logs = new Uint16Array(FIRST_EVENTS);
  let indexes = new Uint32Array(FIRST_EVENTS);
  let firstIndexes = new Uint32Array(FIRST_EVENTS);
  let firstLogs = new Uint16Array(FIRST_EVENTS);
  const open = new Map<number, FactEntry>();
  let highest = 0;

  const makeRoom = (seq: number): void => {
    if (seq < states.length) return;
    const length = Math.max(seq + 1, states.length * 2);
    const larger = <T extends Uint8Array | Uint16Array | Uint32Array>(old: T, made: T): T => {
      made.set(old);
      return made;
    };
    states = larger(states, new Uint8Array(length));
    digests = larger(digests, new Uint8Array(length * DIGEST_BYTES));
    logs = larger(logs, new Uint16Array(length));
    indexes = larger(indexes, new Uint32Array(length));
    firstIndexes = larger(firstIndexes, new Uint32Array(length));
    firstLogs = larger(firstLogs, new Uint16Array(length));
  };

  const close = (seq: number, body: Readonly<Record<string, unknown>>): void => {
    states[seq] = WHOLE;
    digests.set(digestOf(sealedEvent(body)), seq * DIGEST_BYTES);
    open.delete(seq);
  };

  /** Why the fact cannot follow what the logs have said of its event before; null: it can, and is taken in. */
  const add = (entry: FactEntry, { log, index }: Place): string | null => {
    const { seq, fact, body } = entry;
    if (seq > MAX_SEQ) return `its seq is beyond ${MAX_SEQ}, which this program does not hold`;
    makeRoom(seq);
    const before = open.get(seq);
    if (states[seq] === WHOLE) return 'the log has said before what became of this event';
    if (fact === 'recorded') {
      if (before !== undefined) return 'the log has recorded this event before';
      states[seq] = OPEN;
      open.set(seq, entry);
      [firstLogs[seq], firstIndexes[seq]] = [log, index];
    } else if (fact === 'settled') {
      if (before === undefined) return 'it settles an event that the log has not recorded';
      if (before.id !== entry.id) return 'it settles an event of another id';
      close(seq, { ...before.body, ...body });
    } else {
      // A log that follows another one seals an attempt as a whole if its settlement was in the void part of that one.
      const changed = before === undefined ? null : recordedDifference(before, entry);
      if (changed !== null) return `it contradicts what the log has recorded of this event: ${changed}`;
      close(seq, body);
      [firstLogs[seq], firstIndexes[seq]] = [log, index];
    }
    [logs[seq], indexes[seq]] = [log, index];
    highest = Math.max(highest, seq);
    return null;
  };

  return {
    add,
    /** The highest number of an event that has a leaf. */
    highest: (): number => highest,
    has: (seq: number): boolean => (states[seq] ?? NONE) !== NONE,
    isOpen: (seq: number): boolean => states[seq] === OPEN,
    /** The recorded fact of an open attempt. */
    openFact: (seq: number): FactEntry | null => open.get(seq) ?? null,
    open: (): Iterable<FactEntry> => open.values(),
    matches: (seq: number, digest: Uint8Array): boolean => {
      for (let byte = 0; byte < DIGEST_BYTES; byte += 1) {
        if (digests[seq * DIGEST_BYTES + byte] !== digest[byte]) return false;
      }
      return true;
    },
    /** Where the facts of an event stand: one, or two of an attempt. */
    placesOf: (seq: number): readonly Place[] => {
      const first = { log: firstLogs[seq] ?? 0, index: firstIndexes[seq] ?? 0 };
      const last = { log: logs[seq] ?? 0, index: indexes[seq] ?? 0 };
      return first.log === last.log && first.index === last.index ? [last] : [first, last];
    },
  };
}
export type SealedEvents = ReturnType<typeof createSealedEvents>;

const RECORDED = [
  'id',
  'seq',
  'occurred_at',
  'action',
  'actor',
  'workspace_uuid',
  'token_name',
  'request_id',
  'ip',
  'user_agent',
] as const;

/** The recorded column in which a later fact of the same event differs; null: none. */
function recordedDifference(recorded: FactEntry, later: FactEntry): string | null {
  const columns = [...RECORDED, 'detail'] as const;
  const { outcome: _outcome, ...alone } = later.body;
  return differenceOf(openEvent(recorded.body), openEvent(alone), columns)?.field ?? null;
}

/** The columns that a `recorded` fact covers, but for `detail`, which settling adds to. */
export const RECORDED_COLUMNS: readonly (typeof RECORDED)[number][] = RECORDED;
