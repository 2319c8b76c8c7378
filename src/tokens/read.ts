import { actorOf } from '../audit/actor.ts';
import { finalRow, type EventOutcome, type EventSubject } from '../audit/events.ts';
import { failureOutcome, successOutcome } from '../audit/outcomes.ts';
import { SNAPSHOT_LISTS_MAX_COUNT, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import type { TokenRow } from '../db/schema.ts';
import type { Failure } from '../failures.ts';
import { callWithin } from '../pipeops/call.ts';
import type { Answered, Call } from '../pipeops/types.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import type { CacheStatus } from '../snapshot/cache-status.ts';
import { freshness, type Freshness } from '../snapshot/freshness.ts';
import { listStateOf } from '../snapshot/list-state.ts';
import type { ReadTrip, TripAnswer } from '../snapshot/read-group.ts';
import { withInventory, type Snapshot } from '../snapshot/snapshot.ts';
import type { Fetched } from '../snapshot/source.ts';
import type { TokenDependencies } from './dependencies.ts';
import { cacheOf, isStandInWanted, standInSinceMs, storedIn, toHold, type Held } from './held.ts';

/** A read, as far as it differs from the other one. */
export interface Read<T> {
  readonly subject: Omit<EventSubject, 'actor'> & { readonly workspaceUuid: string };
  /** What is refused whatever PipeOps holds; null: that depends. */
  refuse(): Failure | null;
  /** What the inventory alone refuses, before PipeOps is asked for anything; null: that depends. */
  refuseKnowing(inventory: readonly TokenRow[]): Failure | null;
  /** Whether it can be decided without a list: then, where snapshots are off, PipeOps is asked for this alone. */
  isKnown(inventory: readonly TokenRow[]): boolean;
  /** Decides on a list, and takes the answer out of it; `beside`: it lacks what PipeOps must be asked for by itself. */
  judge(snapshot: Snapshot): Result<T, Failure> | 'beside';
  askBeside(call: Call): Promise<Result<Answered<T>, Failure>>;
}

/** What a read found, and where. */
export interface Found<T> {
  readonly data: T;
  /** Null: PipeOps was asked for this alone. */
  readonly cache: CacheStatus | null;
  /** The list, if this very read asked for it. */
  readonly asked: Snapshot | null;
}

/** What a read comes to, before it is written down. */
interface Verdict<T> {
  readonly result: Result<Found<T>, Failure>;
  /** PipeOps' status, if it was asked. */
  readonly status: number | null;
  /** Of the list that it rests on; null: it rests on none, and counts whatever the generation is. */
  readonly generation: number | null;
}

interface Reader<T> {
  readonly dependencies: TokenDependencies;
  readonly context: RequestContext;
  readonly caller: Caller;
  readonly read: Read<T>;
  readonly wanted: Freshness;
  /** With one deadline, from the first call on. */
  readonly call: () => Call;
  readonly startedAtMs: number;
}

/**
 * Runs a read. It decides on the list that this isolate holds, and writes its row where D1 says that no token of the
 * workspace has changed since: one trip. Otherwise it takes a list from D1 or from PipeOps, and writes its row with a second
 * trip. A read that cannot be recorded is not answered: `audit_unavailable`.
 *
 * @param isNoCache wants a list that was begun just now.
 */
export async function runRead<T>(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  isNoCache: boolean,
  read: Read<T>,
): Promise<Result<Found<T>, Failure>> {
  const { runtime, snapshots } = dependencies;
  const startedAtMs = runtime.now();
  const work = readOn({
    dependencies,
    context,
    caller,
    read,
    wanted: freshness(snapshots.maxAgeMs, isNoCache, startedAtMs),
    call: once(() => callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, runtime.newId())),
    startedAtMs,
  });
  runtime.background(work);
  return await work;
}

/** Most reads need no call: the one that does makes it. */
function once<T>(make: () => T): () => T {
  let made: T | null = null;
  return () => (made ??= make());
}

async function readOn<T>(reader: Reader<T>): Promise<Result<Found<T>, Failure>> {
  const { dependencies, read, wanted, call, startedAtMs } = reader;
  const { memory, source } = dependencies.snapshots;
  const { workspaceUuid } = read.subject;
  const refused = read.refuse();
  let verdict = refused === null ? null : onNothing<T>(err(refused));
  let held = verdict === null ? toHold(memory.get(workspaceUuid, wanted.minBegunMs), 'memory') : null;
  let lists = 0;
  let polls = 0;
  let trip: Partial<ReadTrip> = {};
  for (;;) {
    if (verdict === null && held !== null) verdict = await judgeOn(reader, held);
    const answer = await write(reader, verdict, trip);
    if (!answer.ok) return answer;
    if (answer.value.blocked) return await refuseBlocked(reader);
    if (verdict !== null && answer.value.eventId !== null) return verdict.result;

    // Nothing was written: the list is not current, or there is none.
    trip = {};
    verdict = null;
    held = toHold(storedIn(answer.value), 'd1');
    if (held !== null) {
      memory.put(workspaceUuid, held.snapshot);
      continue;
    }
    const known = read.refuseKnowing(answer.value.inventory);
    if (known !== null) {
      verdict = { ...onNothing<T>(err(known)), generation: answer.value.generation };
      continue;
    }
    if (wanted.isOff && read.isKnown(answer.value.inventory)) {
      verdict = await judgeBeside(reader);
      continue;
    }
    const asking = wanted.isOff ? { ...answer.value, leased: true } : answer.value;
    const fetched = await source.fetch(workspaceUuid, asking, wanted.minBegunMs, polls, call());
    if (fetched === null) {
      polls += 1;
    } else if (fetched.ok) {
      lists += 1;
      held = toHold(withInventory(fetched.value.dated, answer.value.inventory), 'pipeops', fetched.value.isShared);
      trip = storing(reader, fetched.value);
      if (held !== null && !wanted.isOff) memory.put(workspaceUuid, held.snapshot);
      // Tokens keep changing. Whatever was over when this read began is in a list that was begun after it.
      const isLast = lists >= SNAPSHOT_LISTS_MAX_COUNT && fetched.value.dated.begunAtMs >= startedAtMs;
      if (held !== null && isLast) verdict = { ...(await judgeOn(reader, held)), generation: null };
    } else {
      trip = { endLease: answer.value.generation, ...statedBy(fetched, startedAtMs) };
      held =
        !wanted.isOff && isStandInWanted(fetched.error) ? await findStandIn(reader, answer.value.generation) : null;
      if (held === null) verdict = onNothing<T>(err(fetched.error));
    }
  }
}

/** What other isolates get of a list that this read asked for itself. */
function storing<T>({ wanted }: Reader<T>, { dated, isShared }: Fetched): Partial<ReadTrip> {
  if (isShared) return {};
  return { ...(!wanted.isOff && { store: dated }), ...statedBy(ok(dated.list), dated.begunAtMs) };
}

function statedBy(listed: Parameters<typeof listStateOf>[0], atMs: number): Pick<ReadTrip, 'listState'> {
  const state = listStateOf(listed);
  return state === null ? {} : { listState: { state, atMs } };
}

/** Rests on no list. */
const onNothing = <T>(result: Result<Found<T>, Failure>, status: number | null = null): Verdict<T> => ({
  result,
  status,
  generation: null,
});

async function judgeBeside<T>({ read, call }: Reader<T>): Promise<Verdict<T>> {
  const answered = await read.askBeside(call());
  return answered.ok
    ? onNothing(ok({ data: answered.value.data, cache: null, asked: null }), answered.value.status)
    : onNothing(answered);
}

async function judgeOn<T>(reader: Reader<T>, held: Held): Promise<Verdict<T>> {
  const { read, wanted, dependencies } = reader;
  const judged = read.judge(held.snapshot);
  if (judged === 'beside') return await judgeBeside(reader);
  const asked = held.from === 'pipeops' && !held.isShared ? held.snapshot : null;
  const cache = cacheOf(held, wanted, dependencies.runtime.now());
  return {
    result: judged.ok ? ok({ data: judged.value, cache, asked }) : judged,
    status: held.from === 'pipeops' ? 200 : null,
    generation: held.snapshot.generation,
  };
}

/** One trip to D1: with the read's row, if there is a verdict, and the question for a list, if there is none. */
async function write<T>(
  { dependencies, context, caller, read, wanted }: Reader<T>,
  verdict: Verdict<T> | null,
  trip: Partial<ReadTrip>,
): Promise<Result<TripAnswer, Failure>> {
  const { runtime, snapshots } = dependencies;
  const subject = { ...read.subject, actor: actorOf(caller) };
  const answer = await snapshots.reads.send(
    {
      workspaceUuid: read.subject.workspaceUuid,
      held: verdict?.generation ?? null,
      minBegunMs: verdict !== null && verdict.generation === null ? null : wanted.minBegunMs,
      isShared: !wanted.isOff,
      record:
        verdict === null
          ? null
          : {
              row: finalRow(runtime.newId(), runtime.now(), context, subject, outcomeOf(verdict)),
              // A denial always has a row of its own; of everything else, what is alike within a minute is counted.
              counted: verdict.result.ok || !isDenial(verdict.result.error),
              unconditional: verdict.generation === null,
              label: caller.label,
            },
      ...trip,
    },
    context.trace,
  );
  if (answer.ok && answer.value.eventId !== null) context.trace.eventId = answer.value.eventId;
  return answer;
}

const outcomeOf = <T>({ result, status }: Verdict<T>): EventOutcome =>
  result.ok ? successOutcome(status) : failureOutcome(result.error);

const isDenial = ({ kind }: Failure): boolean => kind === 'forbidden' || kind === 'token_not_found';

async function refuseBlocked<T>({ dependencies, context, caller, read }: Reader<T>): Promise<Result<never, Failure>> {
  const failure = { kind: 'subject_blocked' } as const;
  const subject = { ...read.subject, actor: actorOf(caller) };
  const recorded = await dependencies.recorder.record(context, subject, failureOutcome(failure), []);
  return recorded.ok ? err(failure) : recorded;
}

/** PipeOps does not answer, or wants nothing of us: a list that is a few minutes old, if no token has changed since. */
async function findStandIn<T>(reader: Reader<T>, generation: number): Promise<Held | null> {
  const { dependencies, context, read } = reader;
  const { memory, reads } = dependencies.snapshots;
  const { workspaceUuid } = read.subject;
  const minBegunMs = standInSinceMs(reader.startedAtMs);
  const own = memory.get(workspaceUuid, minBegunMs);
  if (own?.generation === generation) return toHold(own, 'memory');
  const answer = await reads.send(
    { workspaceUuid, held: null, minBegunMs, isShared: true, record: null },
    context.trace,
  );
  return answer.ok ? toHold(storedIn(answer.value), 'd1') : null;
}
