import { createReadKeys } from '../trail/counted.ts';
import {
  D1_TIMEOUT_MS,
  READ_FLUSH_MAX_MS,
  READ_GATHER_MAX_MS,
  READ_GROUP_LISTS_MAX_COUNT,
  READ_GROUP_MAX_COUNT,
  READ_LEAD_MAX_GROUPS,
  READ_LEAD_MAX_MS,
} from '../config/limits.ts';
import { waitFor } from '../kit/deadline.ts';
import type { AuditFailure } from '../failures.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Trace } from '../kit/trace.ts';
import { err, type Result } from '../kit/result.ts';
import { sendTogether, type BatchDependencies, type Sent } from './batch.ts';
import type { ReadTrip, TripAnswer } from './trip.ts';
import type { KnownSnapshots } from './snapshot.ts';

export interface ReadGroup {
  /** Fails with `audit_unavailable`, and then the answer must not leave. */
  send(trip: ReadTrip, trace: Trace): Promise<Result<TripAnswer, AuditFailure>>;
}

interface Waiting extends Sent {
  readonly settle: (answer: Result<TripAnswer, AuditFailure>) => void;
  /** Makes its request the one that sends the next group. */
  readonly lead: () => void;
  /** Nobody waits for it any more. */
  isOver: boolean;
}

/**
 * Sends the trips of concurrent reads together: while one batch is under way, those that come gather for the next. Each read
 * wants the commit of its own row. A batch that fails is sent again trip by trip, so that none fails for another.
 *
 * A request sends group after group for READ_LEAD_MAX_MS, then hands that to one that waits: Workers end what a request does
 * 30 s after its answer, and under load there is always another group.
 */
export function createReadGroup(dependencies: BatchDependencies): ReadGroup {
  const { runtime, known } = dependencies;
  const keyOf = createReadKeys();
  const gathering = createGathering<Waiting>(runtime);
  let sendingSinceMs: number | null = null;

  /** Says how many were in it; 0: D1 did not take it. */
  const sendNext = async (): Promise<number> => {
    sendingSinceMs = runtime.now();
    const group = nextGroup(gathering.waiting(), known);
    gathering.remove(group);
    const answers = await sendTogether(dependencies, group);
    if (answers !== null) group.forEach((waiting, index) => waiting.settle(answers[index] ?? unavailable()));
    else if (group.length === 1) group[0]?.settle(unavailable());
    else await sendEachAlone(dependencies, group);
    return answers === null ? 0 : group.length;
  };

  /** Sends group after group, and after a while hands that over. */
  const leadGroups = async (): Promise<void> => {
    const sinceMs = runtime.now();
    let groups = 0;
    try {
      while (gathering.waiting().length > 0 && mayLead(groups, runtime.now() - sinceMs)) {
        const count = await sendNext();
        // What D1 refuses it may refuse to this request alone.
        if (count === 0) break;
        groups += 1;
        // Those that were in the group leave, and their callers come again: in one trip with those that wait already, if they
        // are waited for. A trip to D1 costs more than all that a list needs beside. Who reads alone waits for nobody.
        const wantedCount = Math.min(count + gathering.waiting().length, READ_GROUP_MAX_COUNT);
        if (count > 1) await gathering.untilCount(wantedCount, READ_GATHER_MAX_MS);
      }
    } finally {
      const [next] = gathering.waiting();
      sendingSinceMs = next === undefined ? null : runtime.now();
      next?.lead();
    }
  };

  return {
    send: async (trip, trace) => {
      const startedAtMs = runtime.now();
      trace.d1Trips += 1;
      const { promise: settled, resolve: settle } = Promise.withResolvers<Result<TripAnswer, AuditFailure>>();
      const { promise: turn, resolve: lead } = Promise.withResolvers<void>();
      const key = trip.record?.counted === true ? await keyOf(trip.record.row) : null;
      const waiting: Waiting = { trip, key, settle, lead, isOver: false };
      gathering.add(waiting);
      // In this request, whoever's turn it was before; and to its end, though the caller hangs up: others are in the group.
      void turn.then(() => runtime.background(leadGroups()));
      const isUnderWay = sendingSinceMs !== null && startedAtMs - sendingSinceMs <= READ_FLUSH_MAX_MS;
      if (!isUnderWay) {
        sendingSinceMs = startedAtMs;
        lead();
      }
      // A deadline of its own: the batch may be another request's, and die with it.
      const answer = await waitFor(runtime, D1_TIMEOUT_MS, settled);
      waiting.isOver = true;
      if (!answer.ok) gathering.remove([waiting]);
      trace.d1Ms += runtime.now() - startedAtMs;
      return answer.ok ? answer.value : unavailable();
    },
  };
}

const mayLead = (groups: number, ms: number): boolean => groups < READ_LEAD_MAX_GROUPS && ms < READ_LEAD_MAX_MS;

async function sendEachAlone(dependencies: BatchDependencies, group: readonly Waiting[]): Promise<void> {
  for (const waiting of group) {
    if (waiting.isOver) continue;
    const alone = await sendTogether(dependencies, [waiting]);
    waiting.settle(alone?.[0] ?? unavailable());
  }
}

/**
 * Those that waited longest. Alike reads that were decided on different lists are not written together: which of them counts
 * is known only when D1 has said which list is current. Neither are those whose labels differ where the row does not show it:
 * one of them may be blocked. And of those that bring lists or leave them there are a few: whatever lists a caller makes us read,
 * one batch of them fits into the memory of an isolate, and fails for nobody else.
 */
function nextGroup(gathered: readonly Waiting[], known: KnownSnapshots): readonly Waiting[] {
  const decidedAs = new Map<string, string>();
  const weighty = new Set<string>();
  return gathered.slice(0, READ_GROUP_MAX_COUNT).filter(({ trip, key }) => {
    if (movesList(trip, known) && !weighty.has(trip.workspaceUuid)) {
      if (weighty.size >= READ_GROUP_LISTS_MAX_COUNT) return false;
      weighty.add(trip.workspaceUuid);
    }
    if (key === null) return true;
    const decided = `${trip.generation} ${trip.record?.label}`;
    const earlier = decidedAs.get(key) ?? decided;
    decidedAs.set(key, earlier);
    return earlier === decided;
  });
}

/** Whether a trip may bring a list of D1 or its inventory, or leaves one there. */
const movesList = ({ wanted, store, inventoryOf }: ReadTrip, known: KnownSnapshots): boolean =>
  (wanted !== null && wanted.reader !== null) ||
  store !== undefined ||
  (inventoryOf !== null && known.of(inventoryOf) === null);

const unavailable = (): Result<never, AuditFailure> => err({ kind: 'audit_unavailable' });

/** What waits to be sent together. */
export interface Gathering<T> {
  readonly waiting: () => readonly T[];
  add(item: T): void;
  remove(items: readonly T[]): void;
  /** Until so many wait, or `maxMs` are over. */
  untilCount(count: number, maxMs: number): Promise<void>;
}

export function createGathering<T>(runtime: Pick<Runtime, 'sleep'>): Gathering<T> {
  let waiting: readonly T[] = [];
  let wanted: { readonly count: number; readonly reached: () => void } | null = null;
  return {
    waiting: () => waiting,
    add: (item) => {
      waiting = [...waiting, item];
      if (wanted !== null && waiting.length >= wanted.count) wanted.reached();
    },
    remove: (items) => {
      waiting = waiting.filter((item) => !items.includes(item));
    },
    untilCount: async (count, maxMs) => {
      if (waiting.length >= count) return;
      const { promise, resolve: reached } = Promise.withResolvers<void>();
      wanted = { count, reached };
      await Promise.race([promise, runtime.sleep(maxMs)]);
      wanted = null;
    },
  };
}
