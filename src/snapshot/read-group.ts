import type { NewAuditRow } from '../audit/events.ts';
import { createReadKeys } from '../audit/counted-reads.ts';
import {
  D1_TIMEOUT_MS,
  READ_FLUSH_MAX_MS,
  READ_GATHER_MAX_MS,
  READ_GROUP_MAX_COUNT,
  READ_LEAD_MAX_GROUPS,
  READ_LEAD_MAX_MS,
  SNAPSHOT_LEASE_MS,
} from '../config/limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import type { TokenRow } from '../db/schema.ts';
import { waitFor } from '../deadline.ts';
import type { AuditFailure } from '../failures.ts';
import type { Quota } from '../pipeops/quota.ts';
import { newTrace, type Trace } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import type { Runtime } from '../runtime.ts';
import { noteLabels, type Labelled, type LabelMemory } from '../subjects/label-upkeep.ts';
import { labelKey } from '../subjects/labels.ts';
import { createGathering } from './gathering.ts';
import { keepListState, type DatedListState } from './list-state.ts';
import type { OwedGenerations } from './owed.ts';
import { READ_QUERIES, endLease, storeList, type AskedWorkspace, type WrittenRead } from './read-queries.ts';
import { readStored, storedBody } from './stored.ts';
import type { DatedList } from './snapshot.ts';

/** One read's trip to D1. */
export interface ReadTrip {
  readonly workspaceUuid: string;
  /** Of the list that the read was decided on; null: there is none. */
  readonly held: number | null;
  /** A list begun before this is not wanted; null: none is. */
  readonly minBegunMs: number | null;
  /** Whether lists are shared with other isolates: taken from D1, or asked for under a lease. */
  readonly isShared: boolean;
  /** What is written down; null: nothing yet. */
  readonly record: ReadRecord | null;
  /** A list that this isolate has just asked for: left to the others. */
  readonly store?: DatedList;
  /** A list that this isolate asked for and did not get: others need not wait for it. */
  readonly endLease?: number;
  /** What the list that this isolate asked for turned out to be good for. */
  readonly listState?: DatedListState;
}

export interface ReadRecord {
  readonly row: NewAuditRow;
  /** Whether it shares a row with alike reads of its minute. */
  readonly counted: boolean;
  /** It is written where the held generation is the current one, unless this says: whatever that is. */
  readonly unconditional: boolean;
  /** The label of its actor, whole: the row holds a part of it. */
  readonly label: string | null;
}

/** What D1 says to it. */
export interface TripAnswer {
  /** The row that the read is in; null: it was not written. */
  readonly eventId: string | null;
  /** Its actor was offboarded, so nothing was written. */
  readonly blocked: boolean;
  readonly generation: number;
  /** Where the held list is not current: what another isolate left here; null: nothing. */
  readonly stored: DatedList | null;
  /** Likewise: whether it is upon this isolate to ask PipeOps. */
  readonly leased: boolean;
  /** Likewise: the inventory as of `generation`. */
  readonly inventory: readonly TokenRow[];
}

export interface ReadGroup {
  /** Fails with `audit_unavailable`, and then the answer must not leave. */
  send(trip: ReadTrip, trace: Trace): Promise<Result<TripAnswer, AuditFailure>>;
}

interface Waiting {
  readonly trip: ReadTrip;
  readonly key: string | null;
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
export function createReadGroup(
  database: Database,
  runtime: Runtime,
  quota: Pick<Quota, 'learn' | 'news'>,
  labels: LabelMemory,
  owed: Pick<OwedGenerations, 'of'> = { of: () => ({ queries: [], paid: () => {} }) },
): ReadGroup {
  const dependencies = { database, runtime, quota, labels, owed };
  const keyOf = createReadKeys();
  const gathering = createGathering<Waiting>(runtime);
  let sendingSinceMs: number | null = null;

  /** Says how many were in it; 0: D1 did not take it. */
  const sendNext = async (): Promise<number> => {
    sendingSinceMs = runtime.now();
    const group = nextGroup(gathering.waiting());
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

async function sendEachAlone(dependencies: Dependencies, group: readonly Waiting[]): Promise<void> {
  for (const waiting of group) {
    if (waiting.isOver) continue;
    const alone = await sendTogether(dependencies, [waiting]);
    waiting.settle(alone?.[0] ?? unavailable());
  }
}

/**
 * Those that waited longest. Alike reads that were decided on different lists are not written together: which of them counts
 * is known only when D1 has said which list is current. Neither are those whose labels differ where the row does not show it:
 * one of them may be blocked.
 */
function nextGroup(gathered: readonly Waiting[]): readonly Waiting[] {
  const decidedAs = new Map<string, string>();
  return gathered.slice(0, READ_GROUP_MAX_COUNT).filter((waiting) => {
    if (waiting.key === null) return true;
    const decided = `${generationOf(waiting)} ${waiting.trip.record?.label}`;
    const known = decidedAs.get(waiting.key) ?? decided;
    decidedAs.set(waiting.key, known);
    return known === decided;
  });
}

const unavailable = (): Result<never, AuditFailure> => err({ kind: 'audit_unavailable' });

interface Dependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly quota: Pick<Quota, 'learn' | 'news'>;
  readonly labels: LabelMemory;
  readonly owed: Pick<OwedGenerations, 'of'>;
}

/** One batch for a group; null: it failed. */
async function sendTogether(
  { database, runtime, quota, labels, owed }: Dependencies,
  group: readonly Waiting[],
): Promise<readonly Result<TripAnswer, AuditFailure>[] | null> {
  const entries = writtenReads(group);
  const asked = askedWorkspaces(group);
  const nowMs = runtime.now();
  const values = {
    entries: JSON.stringify(entries),
    asked: JSON.stringify(asked),
    nowMs,
    leaseEndMs: nowMs + SNAPSHOT_LEASE_MS,
  };
  const counted = READ_QUERIES.countKnown(database, values);
  const inserted = READ_QUERIES.insertNew(database, values);
  const generations = READ_QUERIES.selectGenerations(database, values);
  const stored = READ_QUERIES.selectStored(database, values);
  const leases = READ_QUERIES.takeLeases(database, values);
  const inventories = READ_QUERIES.selectInventories(database, values);
  const limits = READ_QUERIES.selectLimits(database, values);
  const notes = labels.due(group.flatMap(readers), nowMs);
  const debts = owed.of(group.map(({ trip }) => trip.workspaceUuid));
  const sent = [
    // Before anything is said of a generation.
    ...debts.queries,
    ...quota.news(database, nowMs),
    ...group.flatMap(({ trip }) => storing(database, trip)),
    ...(entries.length === 0 ? [] : [counted, inserted]),
    ...(entries.some(({ count }) => count > 1) ? [READ_QUERIES.countBeside(database, values)] : []),
    ...(notes.length === 0 ? [] : [noteLabels(database, notes, nowMs)]),
    generations,
    // Where lists may be missing: what is needed to get them.
    ...(group.some(({ trip }) => trip.minBegunMs !== null) ? [stored, leases, inventories, limits] : []),
  ];

  const answered = await database.batch({ trace: newTrace() }, sent);
  if (!answered.ok) {
    labels.forget(notes);
    return null;
  }
  labels.noted(notes, nowMs);
  debts.paid();
  const rowsOf = <Q extends Query>(query: Q): RowsOf<Q> => {
    const index = sent.indexOf(query);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch gives results in the order of its queries
    return (index < 0 ? [] : answered.value[index]) as RowsOf<Q>;
  };
  const insertedIds = new Set(rowsOf(inserted).map(({ id }) => id));
  const countedIds = new Map(rowsOf(counted).map(({ read_key, id }) => [read_key, id]));
  const current = new Map(rowsOf(generations).map((row) => [row.workspace_uuid, row.generation]));
  const lists = new Map(rowsOf(stored).map((row) => [row.workspace_uuid, readStored(row)]));
  const leased = new Set(rowsOf(leases).map(({ workspace_uuid }) => workspace_uuid));
  quota.learn(rowsOf(limits), nowMs);
  const inventory = Map.groupBy(rowsOf(inventories), ({ workspace_uuid }) => workspace_uuid);

  return group.map((waiting) => {
    const { workspaceUuid } = waiting.trip;
    const entry = entries.find((written) => isWrittenAs(waiting, written));
    const own = entry !== undefined && insertedIds.has(entry.row.id) ? entry.row.id : null;
    const shared = entry === undefined || entry.key === null ? null : (countedIds.get(entry.key) ?? null);
    const generation = current.get(workspaceUuid) ?? 0;
    const eventId = own ?? shared;
    const isCurrent = entry !== undefined && (entry.generation === null || entry.generation === generation);
    return ok({
      eventId,
      // Nothing else keeps a read that rests on the current list from being written.
      blocked: isCurrent && eventId === null,
      generation,
      stored: lists.get(workspaceUuid) ?? null,
      leased: leased.has(workspaceUuid),
      inventory: inventory.get(workspaceUuid) ?? [],
    });
  });
}

/** Whose read is written down, by the whole label. */
const readers = ({ trip: { record } }: Waiting): readonly Labelled[] =>
  record === null ? [] : [{ issuer: record.row.actor_issuer, subject: record.row.actor_subject, label: record.label }];

/** Alike reads that were decided on the same generation are one entry. */
function writtenReads(group: readonly Waiting[]): readonly WrittenRead[] {
  const entries: WrittenRead[] = [];
  for (const waiting of group) {
    const { record, workspaceUuid } = waiting.trip;
    if (record === null) continue;
    const index = entries.findIndex((entry) => isWrittenAs(waiting, entry));
    const known = entries[index];
    if (known !== undefined) {
      entries[index] = { ...known, count: known.count + 1 };
      continue;
    }
    entries.push({
      row: { ...record.row, read_key: waiting.key },
      key: waiting.key,
      count: 1,
      workspace: workspaceUuid,
      generation: generationOf(waiting),
      issuer: record.row.actor_issuer,
      subject: record.row.actor_subject,
      label: record.label === null ? null : labelKey(record.label),
    });
  }
  return entries;
}

const generationOf = ({ trip }: Waiting): number | null => (trip.record?.unconditional === true ? null : trip.held);

const isWrittenAs = (waiting: Waiting, entry: WrittenRead): boolean => {
  const { record } = waiting.trip;
  if (record === null) return false;
  if (waiting.key === null) return entry.row.id === record.row.id;
  return entry.key === waiting.key && entry.generation === generationOf(waiting);
};

function askedWorkspaces(group: readonly Waiting[]): readonly AskedWorkspace[] {
  const asked = group.map(({ trip }) => ({
    workspace: trip.workspaceUuid,
    generation: trip.held,
    min_begun: trip.minBegunMs,
    shared: trip.isShared,
  }));
  return [...new Map(asked.map((entry) => [JSON.stringify(entry), entry])).values()];
}

function storing(database: Database, trip: ReadTrip): readonly Query[] {
  const { workspaceUuid: workspace, store, endLease: ended, listState } = trip;
  const end = store?.generation ?? ended;
  // A list that is too long for D1 is no reason to wait either: whoever wants it asks by itself.
  const body = store === undefined ? null : storedBody(store.list);
  return [
    ...(store !== undefined && body !== null ? [storeList(database, { workspace, ...store, body })] : []),
    ...(end === undefined ? [] : [endLease(database, workspace, end)]),
    ...(listState === undefined ? [] : [keepListState(database, workspace, listState)]),
  ];
}
