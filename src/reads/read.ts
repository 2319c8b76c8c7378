// Carries a read from request to row.
//
// A read is decided on the list of its workspace that this isolate holds, before D1 is asked. One trip to D1 then records it, provided
// that the list is of the current generation, and the answer leaves. If the list is not current, or there is none, the trip brings
// the list that another isolate left in D1, or the lease to ask PipeOps for one. The read is decided on that list, and the next trip
// records it. A read that D1 does not record is not answered.

import { SNAPSHOT_LISTS_MAX_COUNT, SNAPSHOT_POLL_MS, SNAPSHOT_POLLS_MAX_COUNT } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import type { LookRow } from '../inventory/looks.ts';
import type { AuditFailure, CallerBar, Failure, UpstreamFailure } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { QuotaRefusal } from '../pipeops/quota-calls.ts';
import type { Quota } from '../pipeops/quota.ts';
import type { Answered, Call, PipeOps, TokenList } from '../pipeops/types.ts';
import type { Caller, Decision, PolicyRequest } from '../policy/types.ts';
import { actorOf, type EventSubject } from '../trail/event.ts';
import { furtherRow } from '../trail/counted.ts';
import type { Reconciler } from '../trail/reconcile/run.ts';
import type { OwnerMacs } from '../inventory/owner-macs.ts';
import type { Recorder } from '../trail/recorder.ts';
import { type CalledRows, type CallerCalls, callOf, noteCalledRow } from './caller-calls.ts';
import type { OwedGenerations } from './generation.ts';
import type { ReadGroup } from './group.ts';
import { isStandInWanted, type Pace, standInSinceMs, whyNotAtAll, whyNotNow } from './pace.ts';
import { cacheStatus, type CacheStatus, type ListBodies } from './present.ts';
import {
  type Inventory,
  type InventoryRow,
  type KnownSnapshots,
  type Snapshot,
  type SnapshotMemory,
  withInventory,
} from './snapshot.ts';
import {
  type Basis,
  type Decided,
  isDecided,
  type Judgement,
  type KnownToken,
  type Reading,
  refusal,
  type RunDependencies,
  type Step,
} from './steps.ts';
import { type Lease, type Leavings, type TripAnswer, tripOf } from './trip.ts';
import { type Fetched, type ListSource, listStateOf } from './upstream-lists.ts';

/** What a read, a list or a get, is made of. */
export interface ReadDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly reconciler: Pick<Reconciler, 'sweep'>;
  readonly pipeops: PipeOps;
  readonly quota: Quota;
  readonly decide: (caller: Caller, request: PolicyRequest) => Decision;
  readonly snapshots: Snapshots;
  readonly owners: OwnerMacs;
  readonly runtime: Runtime;
}

/** Where reads get lists from, and how they are recorded. */
export interface Snapshots {
  readonly memory: SnapshotMemory;
  readonly known: KnownSnapshots;
  readonly bodies: ListBodies;
  readonly reads: ReadGroup;
  readonly source: ListSource;
  readonly owed: OwedGenerations;
  readonly pace: Pace;
  readonly callsOf: (caller: { readonly issuer: string; readonly subject: string }) => CallerCalls;
  readonly calledRows: CalledRows;
}

/** What a list and a get differ in. */
export interface ReadOperation<T> {
  readonly subject: Omit<EventSubject, 'actor'> & { readonly workspaceUuid: string };
  /** Whether a role of the caller shows it tokens of others there. If not, it gets no list before the inventory shows that this token is its own. */
  readonly isReachable: boolean;
  /** Whether a role of the caller reads in the workspace at all. If not, no list is looked at, taken or asked for. */
  readonly mayList: boolean;
  /** What is refused whatever PipeOps holds; null: that depends. */
  refuse(): Failure | null;
  /** What the inventory's row alone refuses, before PipeOps is asked for anything; null: that depends. */
  refuseKnowing(row: InventoryRow | undefined): Failure | null;
  /** Whether it can be decided without a list: then, where snapshots are off, PipeOps is asked for this alone. */
  isKnown(row: InventoryRow | undefined): boolean;
  /** Decides on a list. `inventory`: of the tokens that it shows; null: not known yet. */
  judge(list: TokenList, inventory: Inventory | null, token: KnownToken): Judgement<T>;
  askAlone(row: InventoryRow | undefined, call: Call): Promise<Result<Answered<T>, Failure>>;
}

export interface ReadAnswer<T> {
  readonly data: T;
  /** Null: PipeOps was asked for this alone. */
  readonly cache: CacheStatus | null;
  /** The list, if this very read asked for it. */
  readonly asked: Asked | null;
}

/** A list that a read asked for. */
export interface Asked {
  readonly snapshot: Snapshot;
  /** The rows of the inventory that it must be judged with. */
  readonly rows: readonly LookRow[];
}

/**
 * Runs a read to its end, though the caller hangs up.
 *
 * @param isNoCache the caller wants a list that was begun just now.
 */
export async function runRead<T>(
  dependencies: RunDependencies,
  context: RequestContext,
  caller: Caller,
  isNoCache: boolean,
  operation: ReadOperation<T>,
): Promise<Result<ReadAnswer<T>, Failure>> {
  const { runtime, snapshots } = dependencies;
  const startedAtMs = runtime.now();
  const work = readOn<T>({
    dependencies,
    context,
    caller,
    operation,
    calls: snapshots.callsOf(caller),
    wanted: snapshots.pace.freshness(isNoCache, startedAtMs),
    eventId: runtime.newId(),
    startedAtMs,
    call: null,
    token: null,
    notAsking: null,
    lists: 0,
    polls: 0,
    leavings: {},
  });
  runtime.background(work);
  return await work;
}

async function readOn<T>(reading: Reading<T>): Promise<Result<ReadAnswer<T>, Failure>> {
  let step = await begin(reading);
  for (;;) {
    const said = await makeTrip(reading, step);
    if (!said.ok) return said;
    if (said.value.bar !== null) return await refuseBarred(reading, said.value.bar);
    const { eventId } = said.value;
    if (isDecided(step) && eventId !== null) {
      reading.context.trace.eventId = eventId;
      noteCalledRow(reading, step, eventId);
      return answerOf(reading, step, said.value);
    }
    step = await advance(reading, step, said.value);
  }
}

/**
 * A read, or a denial, for which its caller has no room left in this minute is counted in the one row of its action and outcome, by a
 * second trip. A caller who was offboarded takes it too: `bar` stays.
 */
async function makeTrip<T>(reading: Reading<T>, step: Step<T>): Promise<Result<TripAnswer, AuditFailure>> {
  const { snapshots } = reading.dependencies;
  const { trace } = reading.context;
  const trip = tripOf(reading, step);
  reading.leavings = {};
  const answer = await snapshots.reads.send(trip, trace);
  if (!answer.ok || answer.value.bar?.kind !== 'subject_blocked' || trip.record === null) return answer;
  const row = await furtherRow(trip.record.row);
  return await snapshots.reads.send({ ...trip, record: { ...trip.record, row, counted: true } }, trace);
}

async function refuseBarred<T>({ dependencies, context, caller, operation, eventId }: Reading<T>, bar: CallerBar) {
  const subject = { ...operation.subject, actor: actorOf(caller) };
  return await dependencies.recorder.refuse(context, subject, bar, [], { eventId });
}

/** @param said by the trip that recorded it. */
function answerOf<T>(reading: Reading<T>, decided: Decided<T>, said: TripAnswer): Result<ReadAnswer<T>, Failure> {
  if (decided.kind === 'refuse') return err(decided.failure);
  if (decided.kind === 'tell') return ok({ data: decided.data, cache: null, asked: null });
  const snapshot = said.snapshot ?? withInventory(decided.basis.list, []);
  const asked = said.lookRows === null ? null : { snapshot, rows: said.lookRows };
  const { runtime, snapshots } = reading.dependencies;
  // D1 may have told of the pace since the read began.
  const wanted = snapshots.pace.freshness(reading.wanted.isNoCache, reading.startedAtMs);
  return ok({ data: decided.show(snapshot), cache: cacheStatus(decided.basis, wanted, runtime.now()), asked });
}

const SEARCH = { kind: 'search' } as const;

/** The first step: on what this isolate holds. */
async function begin<T>(reading: Reading<T>): Promise<Step<T>> {
  const { dependencies, operation, wanted, startedAtMs } = reading;
  const refused = operation.refuse();
  if (refused !== null) return refusal(refused);
  const refusedToAll = whyNotAtAll(reading);
  reading.notAsking = refusedToAll ?? whyNotNow(reading);
  if (!operation.mayList || (wanted.isOff && reading.notAsking === null)) return SEARCH;
  const sinceMs = reading.notAsking === null ? startedAtMs - wanted.maxAgeMs : standInSinceMs(startedAtMs);
  const list = dependencies.snapshots.memory.get(operation.subject.workspaceUuid, sinceMs);
  if (list !== null) return await decideOn(reading, { list, from: 'memory' });
  // A list that has to show a change is asked for at once, and only D1 knows whether there is one.
  reading.notAsking = refusedToAll;
  return SEARCH;
}

/** The step after a trip that recorded nothing: there was no list, or it was not current. */
async function advance<T>(reading: Reading<T>, step: Step<T>, said: TripAnswer): Promise<Step<T>> {
  const { dependencies, operation, wanted } = reading;
  if (step.kind === 'look_up' && step.basis.list.generation === said.generation) {
    reading.token = { row: said.token };
    return await decideOn(reading, step.basis);
  }
  // The row that an earlier trip brought may be of another generation.
  reading.token = step.kind === 'search' && operation.subject.tokenId !== null ? { row: said.token } : null;
  if (said.stored !== null) {
    const { list } = said.stored;
    dependencies.snapshots.memory.put(operation.subject.workspaceUuid, list);
    return await decideOn(reading, { list, from: 'd1' });
  }
  if (step.kind !== 'search') {
    reading.notAsking = whyNotAtAll(reading);
    return SEARCH;
  }
  const refused = operation.refuseKnowing(said.token);
  if (refused !== null) {
    said.lease?.reserved.end();
    return { ...refusal<T>(refused), generation: said.generation };
  }
  if (reading.notAsking !== null) return await standIn(reading, reading.notAsking, said.generation);
  if (wanted.isOff && operation.isKnown(said.token)) return await askAlone(reading, said.lease);
  return await askForList(reading, said);
}

async function askForList<T>(reading: Reading<T>, { lease, generation }: TripAnswer): Promise<Step<T>> {
  const { dependencies, operation, wanted } = reading;
  const { snapshots, runtime } = dependencies;
  const { workspaceUuid } = operation.subject;
  const joined = snapshots.source.join(workspaceUuid, generation, wanted.minBegunMs);
  if (joined !== null) {
    lease?.reserved.end();
    return await takeIn(reading, lease, generation, await joined);
  }
  if (lease !== null) {
    const { refusal: refused, reserved, isChanged } = lease;
    if (refused !== null) return await takeIn(reading, lease, generation, noted(reading, refused));
    const call: Call = { ...callOf(reading), purpose: isChanged ? 'change' : 'read', reserved };
    const fetched = await snapshots.source.ask(workspaceUuid, generation, call);
    reserved.end();
    return await takeIn(reading, lease, generation, fetched);
  }
  if (reading.polls < SNAPSHOT_POLLS_MAX_COUNT) {
    reading.polls += 1;
    await runtime.sleep(SNAPSHOT_POLL_MS);
    return SEARCH;
  }
  const own = ownStandIn(reading, generation);
  if (own !== null) return await decideOn(reading, own);
  return await takeIn(
    reading,
    null,
    generation,
    await snapshots.source.ask(workspaceUuid, generation, callOf(reading)),
  );
}

/** The other reads of this isolate need not find it out each for itself. */
function noted<T>({ dependencies }: Reading<T>, refused: QuotaRefusal): Result<never, UpstreamFailure> {
  dependencies.snapshots.pace.refuse(refused.retryAfterSeconds, dependencies.runtime.now());
  return err(refused);
}

/** Goes on with what PipeOps answered, and leaves it to other isolates. */
async function takeIn<T>(
  reading: Reading<T>,
  lease: Lease | null,
  generation: number,
  fetched: Result<Fetched, UpstreamFailure>,
): Promise<Step<T>> {
  const { dependencies, operation, wanted, startedAtMs } = reading;
  const holder = lease?.holder ?? null;
  const ended = holder === null ? {} : { endLease: { holder, isListed: fetched.ok } };
  if (!fetched.ok) {
    reading.leavings = { ...ended, ...stateLeft(fetched, startedAtMs) };
    return isStandInWanted(fetched.error) ? await standIn(reading, fetched.error, generation) : refusal(fetched.error);
  }
  const { dated, isShared } = fetched.value;
  reading.lists += 1;
  dependencies.snapshots.memory.put(operation.subject.workspaceUuid, dated);
  const listed = isShared
    ? {}
    : { ...(!wanted.isOff && { store: dated }), ...stateLeft(ok(dated.list), dated.begunAtMs) };
  reading.leavings = { ...ended, ...listed };
  const step = await decideOn(reading, { list: dated, from: 'pipeops', isShared });
  // Tokens keep changing. Whatever was over when this read began is in a list that was begun after it.
  const isLast = reading.lists >= SNAPSHOT_LISTS_MAX_COUNT && dated.begunAtMs >= startedAtMs;
  return isLast && isDecided(step) ? { ...step, generation: null } : step;
}

function stateLeft(listed: Parameters<typeof listStateOf>[0], atMs: number): Leavings {
  const state = listStateOf(listed);
  return state === null ? {} : { listState: { state, atMs } };
}

/** PipeOps does not answer, or is not to be asked: a list that nothing has changed since stands in, of this isolate or another. */
async function standIn<T>(reading: Reading<T>, failure: Failure, generation: number): Promise<Step<T>> {
  const own = ownStandIn(reading, generation);
  if (own !== null) return await decideOn(reading, own);
  const isLookedFor = reading.notAsking !== null || reading.wanted.isOff;
  reading.notAsking = failure;
  return isLookedFor ? refusal(failure) : SEARCH;
}

function ownStandIn<T>({ dependencies, operation, startedAtMs }: Reading<T>, generation: number): Basis | null {
  const { memory } = dependencies.snapshots;
  const list = memory.get(operation.subject.workspaceUuid, standInSinceMs(startedAtMs));
  return list?.generation === generation ? { list, from: 'memory' } : null;
}

/** @param lease with a call that is reserved for it; null: one is reserved by itself. */
async function askAlone<T>(reading: Reading<T>, lease: Lease | null): Promise<Step<T>> {
  const { operation, token, notAsking } = reading;
  const refused = notAsking ?? lease?.refusal ?? null;
  if (refused !== null) return refusal(refused);
  const answered = await operation.askAlone(
    token?.row,
    lease === null ? callOf(reading) : { ...callOf(reading), reserved: lease.reserved },
  );
  lease?.reserved.end();
  if (!answered.ok) return refusal(answered.error);
  const { data, status } = answered.value;
  return { kind: 'tell', data, basis: null, generation: null, status };
}

async function decideOn<T>(reading: Reading<T>, basis: Basis): Promise<Step<T>> {
  const { list } = basis;
  const known = reading.dependencies.snapshots.known.of(list);
  const judged = reading.operation.judge(list.list, known?.inventory ?? null, reading.token);
  if (judged.kind === 'look_up') return { kind: 'look_up', basis };
  if (judged.kind === 'ask_alone') return await askAlone(reading, null);
  const decision = { basis, generation: list.generation };
  return judged.kind === 'refuse'
    ? { ...judged, ...decision }
    : { ...judged, ...decision, status: basis.from === 'pipeops' ? 200 : null };
}
