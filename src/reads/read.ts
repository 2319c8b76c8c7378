import { actorOf, type EventSubject, failureOutcome } from '../trail/event.ts';
import { UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import type { TokenRow } from '../db/schema.ts';
import type { Failure } from '../failures.ts';
import { callWithin } from '../pipeops/tries.ts';
import type { Answered, Call, TokenList } from '../pipeops/types.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { err, type Result } from '../kit/result.ts';
import type { CacheStatus } from './present.ts';
import type { Inventory, InventoryRow, Snapshot } from './snapshot.ts';
import type { TokenDependencies } from '../tokens/dependencies.ts';
import { begin, goOn, type Next, type Reading } from './read-steps.ts';
import { tripOf } from './trip.ts';

/** The inventory's row of the token that is read, as far as it is known: null where nobody has looked. */
export type KnownToken = { readonly row: InventoryRow | undefined } | null;

/**
 * What a read makes of a list. `beside`: the list lacks what PipeOps must be asked for by itself. `unknown`: it cannot be said
 * without the inventory's row.
 */
export type Judged<T> =
  | { readonly kind: 'shown'; readonly show: (snapshot: Snapshot) => T }
  | { readonly kind: 'refused'; readonly failure: Failure }
  | { readonly kind: 'beside' }
  | { readonly kind: 'unknown' };

/** A read, as far as it differs from the other one. */
export interface Read<T> {
  readonly subject: Omit<EventSubject, 'actor'> & { readonly workspaceUuid: string };
  /** Whether a role of the caller shows it tokens of others there: else it has no list before the inventory shows that this is its own. */
  readonly isReachable: boolean;
  /** Whether a role of the caller reads in the workspace at all: else no list is looked at, taken or asked for. */
  readonly mayList: boolean;
  /** What is refused whatever PipeOps holds; null: that depends. */
  refuse(): Failure | null;
  /** What the inventory's row alone refuses, before PipeOps is asked for anything; null: that depends. */
  refuseKnowing(row: InventoryRow | undefined): Failure | null;
  /** Whether it can be decided without a list: then, where snapshots are off, PipeOps is asked for this alone. */
  isKnown(row: InventoryRow | undefined): boolean;
  /** Decides on a list. `inventory`: of the tokens that it shows; null: not known yet. */
  judge(list: TokenList, inventory: Inventory | null, token: KnownToken): Judged<T>;
  askBeside(row: InventoryRow | undefined, call: Call): Promise<Result<Answered<T>, Failure>>;
}

/** What a read found, and where. */
export interface Found<T> {
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
  readonly rows: readonly TokenRow[];
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
  const calls = snapshots.callsOf(caller);
  const reading: Reading<T> = {
    dependencies,
    context,
    caller,
    read,
    calls,
    wanted: snapshots.pace.freshness(isNoCache, startedAtMs),
    call: once(() => callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, runtime.newId(), { calls })),
    startedAtMs,
    token: null,
    failure: null,
    lists: 0,
    polls: 0,
  };
  const work = readOn(reading);
  runtime.background(work);
  return await work;
}

/** Most reads need no call: the one that does makes it. */
function once<T>(make: () => T): () => T {
  let made: T | null = null;
  return () => (made ??= make());
}

async function readOn<T>(reading: Reading<T>): Promise<Result<Found<T>, Failure>> {
  const { dependencies, context } = reading;
  let next: Next<T> = await begin(reading);
  for (;;) {
    const said = await dependencies.snapshots.reads.send(tripOf(reading, next), context.trace);
    if (!said.ok) return said;
    if (said.value.blocked) return await refuseBlocked(reading);
    const { step } = next;
    if (step.kind === 'decided' && said.value.eventId !== null) {
      context.trace.eventId = said.value.eventId;
      return step.verdict.answer(said.value);
    }
    next = await goOn(reading, step, said.value);
  }
}

async function refuseBlocked<T>(reading: Reading<T>): Promise<Result<never, Failure>> {
  const { dependencies, context, caller, read } = reading;
  const failure = { kind: 'subject_blocked' } as const;
  const subject = { ...read.subject, actor: actorOf(caller) };
  const recorded = await dependencies.recorder.record(context, subject, failureOutcome(failure), []);
  return recorded.ok ? err(failure) : recorded;
}
