import { createReadKeys } from '../trail/counted.ts';
import {
  D1_TIMEOUT_MS,
  READ_FLUSH_MAX_MS,
  READ_GATHER_MAX_MS,
  READ_GROUP_LISTS_MAX_COUNT,
  READ_GROUP_MAX_COUNT,
  READ_GROUPS_MAX_COUNT,
  READ_LEAD_MAX_GROUPS,
  READ_LEAD_MAX_MS,
  READ_LISTS_UNDER_WAY_MAX_COUNT,
  READ_OVERTAKE_MS,
} from '../config/limits.ts';
import { waitFor } from '../kit/deadline.ts';
import type { AuditFailure } from '../failures.ts';
import type { Runtime } from '../kit/runtime.ts';
import { newTrace, type Trace } from '../kit/trace.ts';
import { err, type Result } from '../kit/result.ts';
import { sendTogether, type BatchDependencies, type Sent } from './batch.ts';
import type { KnownSnapshots } from './snapshot.ts';
import type { ReadTrip, TripAnswer } from './trip.ts';

// Sends the trips of concurrent reads together, as few batches for D1: while a group is under way, those that come gather for the next.

export interface ReadGroup {
  /** Fails with `audit_unavailable`, and then the answer must not leave. */
  send(trip: ReadTrip, trace: Trace): Promise<Result<TripAnswer, AuditFailure>>;
}

interface Waiting extends Sent {
  /** Of its request. */
  readonly trace: Trace;
  readonly settle: (answer: Result<TripAnswer, AuditFailure>) => void;
  /** Makes its request the one that sends the next group. */
  readonly lead: () => void;
  /** It has waited READ_OVERTAKE_MS behind a group, so that another one goes beside that. Once it is sent, nobody asks. */
  isOverdue: boolean;
  /** Nobody waits for it any more. */
  isOver: boolean;
}

/** A group that D1 has not answered yet. */
interface UnderWay {
  readonly sentAtMs: number;
  /** Workspaces whose lists it may bring, leave or look up. */
  readonly lists: number;
}

/**
 * A lone read is sent at once. Those that come while a group is under way wait for its end, but no longer than READ_OVERTAKE_MS: then
 * one of them sends the next group beside it. What two batches at once write down is decided by their SQL, since D1 runs them one
 * after another. Each read waits for the commit of its own row. A group whose batch fails is sent again trip by trip, so that none
 * fails for another.
 *
 * Workers bind what a request does to that request, and end it 30 s after its answer. So a group is sent by a request that is
 * alive: one that comes, or one that waits. It sends group after group while nobody else does, for READ_LEAD_MAX_MS, and then hands
 * that to one that waits. Where a request died with its group, those that wait are sent by their own timers.
 */
export function createReadGroup(dependencies: BatchDependencies): ReadGroup {
  const { runtime, known } = dependencies;
  const keyOf = createReadKeys();
  const gathering = createGathering<Waiting>(runtime);
  const underWay = new Set<UnderWay>();
  /** Since when a request waits for those that come again; null: none does. */
  let pausedAtMs: number | null = null;

  /** Whether some request is sending, or about to: then those that come wait. */
  const isLed = (nowMs: number): boolean => {
    for (const group of underWay) if (nowMs - group.sentAtMs > READ_FLUSH_MAX_MS) underWay.delete(group);
    return underWay.size > 0 || (pausedAtMs !== null && nowMs - pausedAtMs <= READ_OVERTAKE_MS);
  };

  const isOneOverdue = (): boolean => gathering.waiting().some(({ isOverdue }) => isOverdue);

  /** Those that are to be sent now; empty: none is. */
  const dueGroup = (): readonly Waiting[] => {
    const waiting = gathering.waiting();
    const isDue = !isLed(runtime.now()) || isOneOverdue();
    if (!isDue || underWay.size >= READ_GROUPS_MAX_COUNT) return [];
    const listsUnderWay = [...underWay].reduce((sum, { lists }) => sum + lists, 0);
    const lists = Math.min(READ_GROUP_LISTS_MAX_COUNT, READ_LISTS_UNDER_WAY_MAX_COUNT - listsUnderWay);
    return nextGroup(waiting, known, lists);
  };

  /** Whether D1 took it. */
  const sendGroup = async (group: readonly Waiting[]): Promise<boolean> => {
    gathering.remove(group);
    const sent = { sentAtMs: runtime.now(), lists: listsMovedBy(group, known).size };
    underWay.add(sent);
    try {
      const trace = newTrace();
      const answers = await sendTogether(dependencies, group, trace);
      if (trace.isSchemaOutdated) for (const waiting of group) waiting.trace.isSchemaOutdated = true;
      if (answers !== null) group.forEach((waiting, index) => waiting.settle(answers[index] ?? unavailable()));
      else if (group.length === 1) group[0]?.settle(unavailable());
      else await sendEachAlone(dependencies, group);
      return answers !== null;
    } finally {
      underWay.delete(sent);
    }
  };

  /**
   * Those that were in a group leave, and their callers come again: in one trip with those that wait already, if they are waited for.
   * A trip to D1 costs more than all that a list needs beside.
   */
  const pauseAfter = async (group: readonly Waiting[]): Promise<void> => {
    const nowMs = runtime.now();
    if (group.length === 1 || isLed(nowMs)) return;
    pausedAtMs = nowMs;
    const wanted = Math.min(group.length + gathering.waiting().length, READ_GROUP_MAX_COUNT);
    await gathering.untilCount(wanted, READ_GATHER_MAX_MS);
    pausedAtMs = null;
  };

  /** Sends group after group while no other request does, and after a while hands that over. */
  const leadGroups = async (): Promise<void> => {
    const sinceMs = runtime.now();
    let groups = 0;
    try {
      let group = dueGroup();
      // What D1 refuses it may refuse to this request alone.
      while (group.length > 0 && mayLead(groups, runtime.now() - sinceMs) && (await sendGroup(group))) {
        groups += 1;
        await pauseAfter(group);
        group = dueGroup();
      }
    } finally {
      dueGroup()[0]?.lead();
    }
  };

  return {
    send: async (trip, trace) => {
      const startedAtMs = runtime.now();
      trace.d1Trips += 1;
      const { promise: settled, resolve: settle } = Promise.withResolvers<Result<TripAnswer, AuditFailure>>();
      const { promise: turn, resolve: lead } = Promise.withResolvers<void>();
      const key = trip.record?.counted === true ? await keyOf(trip.record.row) : null;
      const waiting: Waiting = { trip, trace, key, settle, lead, isOverdue: false, isOver: false };
      gathering.add(waiting);
      // In this request, whoever's turn it was before; and to its end, though the caller hangs up: others are in the group.
      const leadHere = (): void => runtime.background(leadGroups());
      void turn.then(leadHere);
      let cancelOvertaking = (): void => {};
      if (isLed(runtime.now())) {
        cancelOvertaking = runtime.after(READ_OVERTAKE_MS, () => {
          waiting.isOverdue = true;
          leadHere();
        });
      } else leadHere();
      // A deadline of its own: the batch may be another request's, and die with it.
      const answer = await waitFor(runtime, D1_TIMEOUT_MS, settled);
      cancelOvertaking();
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
 * Those that waited longest. Alike reads that were decided on different lists are not sent together: which of them counts
 * is known only when D1 has said which list is current. Neither are those whose labels or sessions
 * differ where the row does not show it: one of them may be kept out. And of those that bring lists or leave them there are a few: whatever lists a caller makes us read,
 * the batches under way fit into the memory of an isolate, and fail for nobody else.
 *
 * @param lists of how many workspaces.
 */
function nextGroup(gathered: readonly Waiting[], known: KnownSnapshots, lists: number): readonly Waiting[] {
  const decidedAs = new Map<string, string>();
  const moved = new Set<string>();
  const fitting = gathered.filter(({ trip, key }) => {
    if (movesList(trip, known) && !moved.has(trip.workspaceUuid)) {
      if (moved.size >= lists) return false;
      moved.add(trip.workspaceUuid);
    }
    if (key === null) return true;
    const decided = `${trip.generation} ${trip.record?.session?.id} ${trip.record?.label}`;
    const earlier = decidedAs.get(key) ?? decided;
    decidedAs.set(key, earlier);
    return earlier === decided;
  });
  return fitting.slice(0, READ_GROUP_MAX_COUNT);
}

const listsMovedBy = (group: readonly Waiting[], known: KnownSnapshots): ReadonlySet<string> =>
  new Set(group.filter(({ trip }) => movesList(trip, known)).map(({ trip }) => trip.workspaceUuid));

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
      const gone = new Set(items);
      waiting = waiting.filter((item) => !gone.has(item));
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
