import {
  READ_CALLS_PER_MINUTE,
  SNAPSHOT_LISTS_MAX_COUNT,
  SNAPSHOT_POLLS_MAX_COUNT,
  SNAPSHOT_POLL_MS,
} from '../config/limits.ts';
import type { Failure, UpstreamFailure } from '../failures.ts';
import type { Call } from '../pipeops/types.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { CallerCalls } from './caller-calls.ts';
import { listStateOf, type Fetched } from './upstream-lists.ts';
import { standInSinceMs, type Freshness } from './pace.ts';
import type { ReadTrip, TripAnswer } from './trip.ts';
import { withInventory, type DatedList } from './snapshot.ts';
import type { TokenDependencies } from '../tokens/dependencies.ts';
import { cacheOf, isStandInWanted, type Held } from './held.ts';
import type { Found, KnownToken, Read } from './read.ts';

/** A read on its way. */
export interface Reading<T> {
  readonly dependencies: TokenDependencies;
  readonly context: RequestContext;
  readonly caller: Caller;
  readonly read: Read<T>;
  readonly calls: CallerCalls;
  readonly wanted: Freshness;
  /** With one deadline, from the first call on. */
  readonly call: () => Call;
  readonly startedAtMs: number;
  token: KnownToken;
  /** Why PipeOps is not asked: a list that nothing has changed since stands in, or this is the answer. Null: it is. */
  failure: Failure | null;
  /** Lists that it asked for. */
  lists: number;
  /** How often it has looked for the list of another isolate. */
  polls: number;
}

/** What a read comes to, before it is written down. */
export interface Verdict<T> {
  /** Null: it is answered. */
  readonly failure: Failure | null;
  /** PipeOps' status, if it was asked. */
  readonly status: number | null;
  /** Under which it holds; null: whatever the generation is. */
  readonly generation: number | null;
  /** Whether it rests on a list. */
  readonly isOnList: boolean;
  /** The list that the answer is taken from, with its inventory; null: from none. */
  readonly shown: DatedList | null;
  /** Whether this very read asked for it. */
  readonly isLook: boolean;
  /** @param said by the trip that wrote its row. */
  answer(said: Pick<TripAnswer, 'snapshot' | 'lookRows'>): Result<Found<T>, Failure>;
}

/**
 * What a trip is for. `decided`: to write it down. `look`: for the inventory's row of the token, without which nothing can be said
 * on a list that is held. `ask`: for a list.
 */
export type Step<T> =
  | { readonly kind: 'decided'; readonly verdict: Verdict<T> }
  | { readonly kind: 'look'; readonly held: Held }
  | { readonly kind: 'ask' };

/** A step, and what else goes with its trip. */
export interface Next<T> {
  readonly step: Step<T>;
  readonly after: Partial<ReadTrip>;
}

const ASK = { step: { kind: 'ask' }, after: {} } as const;

/** The first step: on what this isolate holds. */
export async function begin<T>(reading: Reading<T>): Promise<Next<T>> {
  const { dependencies, read, wanted, startedAtMs } = reading;
  const refused = read.refuse();
  if (refused !== null) return decided(onNothing(refused));
  const refusedToAll = whyNotAtAll(reading);
  reading.failure = refusedToAll ?? whyNotNow(reading);
  if (!read.mayList || (wanted.isOff && reading.failure === null)) return ASK;
  const sinceMs = reading.failure === null ? startedAtMs - wanted.maxAgeMs : standInSinceMs(startedAtMs);
  const list = dependencies.snapshots.memory.get(read.subject.workspaceUuid, sinceMs);
  if (list !== null) return await decideOn(reading, { list, from: 'memory', isShared: false });
  // Whether it waits to be asked for because of a change D1 knows.
  reading.failure = refusedToAll;
  return ASK;
}

/** What keeps this read from causing a call, even for a list that shows a change, as far as this isolate knows. */
function whyNotAtAll<T>({ dependencies, calls, read, startedAtMs }: Reading<T>): Failure | null {
  const callerSeconds = calls.waitSeconds(startedAtMs);
  if (callerSeconds > 0) {
    const untilMs = startedAtMs + callerSeconds * 1000;
    const window = { policy: 'caller', limit: READ_CALLS_PER_MINUTE, windowSeconds: 60, untilMs } as const;
    return { kind: 'rate_limited', retryAfterSeconds: callerSeconds, window };
  }
  const refused = dependencies.quota.permit('change', read.subject.workspaceUuid, startedAtMs);
  return refused?.kind === 'upstream_rate_limited' ? refused : null;
}

/** What keeps it from asking for a list that is only older than it might be. */
function whyNotNow<T>({ dependencies, read, startedAtMs }: Reading<T>): Failure | null {
  const { quota, snapshots } = dependencies;
  const seconds = snapshots.pace.refusedSeconds(startedAtMs);
  if (seconds > 0) return { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: seconds };
  const refused = quota.permit('read', read.subject.workspaceUuid, startedAtMs);
  return refused?.kind === 'upstream_rate_limited' ? refused : null;
}

/** The step after a trip that wrote nothing: there was no list, or it is not current. */
export async function goOn<T>(reading: Reading<T>, step: Step<T>, said: TripAnswer): Promise<Next<T>> {
  const { dependencies, read, wanted } = reading;
  const { workspaceUuid, tokenId } = read.subject;
  if (step.kind === 'look' && step.held.list.generation === said.generation) {
    reading.token = { row: said.token };
    return await decideOn(reading, step.held);
  }
  // It was of another generation.
  if (step.kind !== 'ask') reading.token = null;
  else if (tokenId !== null) reading.token = { row: said.token };
  if (said.stored !== null) {
    dependencies.snapshots.memory.put(workspaceUuid, said.stored.list);
    return await decideOn(reading, { list: said.stored.list, from: 'd1', isShared: false });
  }
  if (step.kind !== 'ask') {
    reading.failure = whyNotAtAll(reading);
    return ASK;
  }
  const refused = read.refuseKnowing(said.token);
  if (refused !== null) {
    said.lease?.allowance.end();
    return decided({ ...onNothing<T>(refused), generation: said.generation });
  }
  if (reading.failure !== null) return await standIn(reading, reading.failure, said.generation, {});
  if (wanted.isOff && read.isKnown(said.token)) {
    const beside = await judgeBeside(reading, said.lease);
    return decided(beside);
  }
  return await askForList(reading, said);
}

async function askForList<T>(reading: Reading<T>, said: TripAnswer): Promise<Next<T>> {
  const { dependencies, read, wanted } = reading;
  const { snapshots } = dependencies;
  const { workspaceUuid } = read.subject;
  const { lease, generation } = said;
  const joined = snapshots.source.join(workspaceUuid, generation, wanted.minBegunMs);
  if (joined !== null) {
    lease?.allowance.end();
    return await takeIn(reading, said, await joined);
  }
  if (lease !== null) {
    const { refusal, allowance, isChanged } = lease;
    if (refusal !== null) return await takeIn(reading, said, noted(reading, refusal));
    const call: Call = { ...reading.call(), purpose: isChanged ? 'change' : 'read', allowance };
    const fetched = await snapshots.source.ask(workspaceUuid, generation, call);
    allowance.end();
    return await takeIn(reading, said, fetched);
  }
  if (!wanted.isOff && reading.polls < SNAPSHOT_POLLS_MAX_COUNT) {
    reading.polls += 1;
    await dependencies.runtime.sleep(SNAPSHOT_POLL_MS);
    return ASK;
  }
  const own = wanted.isOff ? null : ownStandIn(reading, generation);
  if (own !== null) return await decideOn(reading, own);
  return await takeIn(reading, said, await snapshots.source.ask(workspaceUuid, generation, reading.call()));
}

/** The other reads of this isolate need not find it out each for itself. */
function noted<T>({ dependencies }: Reading<T>, refusal: UpstreamFailure): Result<never, UpstreamFailure> {
  const seconds = refusal.kind === 'upstream_rate_limited' ? (refusal.retryAfterSeconds ?? 1) : 1;
  dependencies.snapshots.pace.refuse(seconds, dependencies.runtime.now());
  return err(refusal);
}

/** What PipeOps answered, and what other isolates get of it. */
async function takeIn<T>(
  reading: Reading<T>,
  { lease, generation }: TripAnswer,
  fetched: Result<Fetched, UpstreamFailure>,
): Promise<Next<T>> {
  const { dependencies, read, wanted, startedAtMs } = reading;
  const { workspaceUuid } = read.subject;
  const holder = lease?.holder ?? null;
  const ended = holder === null ? {} : { endLease: { holder, isListed: fetched.ok } };
  if (!fetched.ok) {
    const after = { ...ended, ...statedBy(fetched, startedAtMs) };
    if (isStandInWanted(fetched.error)) return await standIn(reading, fetched.error, generation, after);
    return { ...decided(onNothing<T>(fetched.error)), after };
  }
  const { dated, isShared } = fetched.value;
  reading.lists += 1;
  dependencies.snapshots.memory.put(workspaceUuid, dated);
  const stored = isShared
    ? {}
    : { ...(!wanted.isOff && { store: dated }), ...statedBy(ok(dated.list), dated.begunAtMs) };
  const next = await decideOn(reading, { list: dated, from: 'pipeops', isShared });
  const after = { ...ended, ...stored };
  // Tokens keep changing. Whatever was over when this read began is in a list that was begun after it.
  const isLast = reading.lists >= SNAPSHOT_LISTS_MAX_COUNT && dated.begunAtMs >= startedAtMs;
  if (!isLast || next.step.kind !== 'decided') return { ...next, after };
  return { ...decided({ ...next.step.verdict, generation: null }), after };
}

function statedBy(listed: Parameters<typeof listStateOf>[0], atMs: number): Pick<ReadTrip, 'listState'> {
  const state = listStateOf(listed);
  return state === null ? {} : { listState: { state, atMs } };
}

/** PipeOps does not answer, or is not to be asked: a list that nothing has changed since, of this isolate or another. */
async function standIn<T>(
  reading: Reading<T>,
  failure: Failure,
  generation: number,
  after: Partial<ReadTrip>,
): Promise<Next<T>> {
  const own = ownStandIn(reading, generation);
  if (own !== null) return { ...(await decideOn(reading, own)), after };
  const isLookedFor = reading.failure !== null || reading.wanted.isOff;
  reading.failure = failure;
  return isLookedFor ? { ...decided(onNothing<T>(failure)), after } : { ...ASK, after };
}

function ownStandIn<T>({ dependencies, read, startedAtMs }: Reading<T>, generation: number): Held | null {
  const list = dependencies.snapshots.memory.get(read.subject.workspaceUuid, standInSinceMs(startedAtMs));
  return list?.generation === generation ? { list, from: 'memory', isShared: false } : null;
}

const decided = <T>(verdict: Verdict<T>): Next<T> => ({ step: { kind: 'decided', verdict }, after: {} });

/** Rests on no list. */
const onNothing = <T>(failure: Failure): Verdict<T> => ({
  failure,
  status: 'status' in failure ? failure.status : null,
  generation: null,
  isOnList: false,
  shown: null,
  isLook: false,
  answer: () => err(failure),
});

/** @param lease with a call that is reserved for it; null: it is reserved by itself. */
async function judgeBeside<T>(
  { read, token, failure, call }: Reading<T>,
  lease: TripAnswer['lease'] = null,
): Promise<Verdict<T>> {
  const refusal = failure ?? lease?.refusal ?? null;
  if (refusal !== null) return onNothing(refusal);
  const answered = await read.askBeside(
    token?.row,
    lease === null ? call() : { ...call(), allowance: lease.allowance },
  );
  lease?.allowance.end();
  if (!answered.ok) return onNothing(answered.error);
  const { data, status } = answered.value;
  return {
    failure: null,
    status,
    generation: null,
    isOnList: false,
    shown: null,
    isLook: false,
    answer: () => ok({ data, cache: null, asked: null }),
  };
}

async function decideOn<T>(reading: Reading<T>, held: Held): Promise<Next<T>> {
  const { read, wanted, dependencies, token, startedAtMs } = reading;
  const { list, from, isShared } = held;
  const known = dependencies.snapshots.known.of(list);
  const judged = read.judge(list.list, known?.inventory ?? null, token);
  if (judged.kind === 'unknown') return { step: { kind: 'look', held }, after: {} };
  if (judged.kind === 'beside') return decided(await judgeBeside(reading));
  const onList = { status: from === 'pipeops' ? 200 : null, generation: list.generation, isOnList: true };
  if (judged.kind === 'refused') return decided({ ...onNothing<T>(judged.failure), ...onList });
  // D1 may have told of the pace since the read began.
  const { pace } = dependencies.snapshots;
  const cache = cacheOf(held, pace.freshness(wanted.isNoCache, startedAtMs), dependencies.runtime.now());
  return decided({
    ...onList,
    failure: null,
    shown: list,
    isLook: from === 'pipeops' && !isShared,
    answer: (said) => {
      const snapshot = said.snapshot ?? known ?? withInventory(list, []);
      const asked = said.lookRows === null ? null : { snapshot, rows: said.lookRows };
      return ok({ data: judged.show(snapshot), cache, asked });
    },
  });
}
