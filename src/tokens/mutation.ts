import type { SQL } from 'drizzle-orm';
import { type Actor, actorOf, type EventOutcome, type EventSubject, failureOutcome } from '../trail/event.ts';
import { isOpen } from '../trail/statements.ts';
import { outOfRows } from '../trail/final-records.ts';
import { type Attempt, type Following, repeatBatch } from '../trail/recorder.ts';
import { REQUEST_LIFETIME_MS, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import type { Query } from '../db/database.ts';
import type { TokenRow } from '../db/schema.ts';
import type { Failure, PolicyFailure, UpstreamFailure } from '../failures.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import { undoOvertaken } from '../inventory/overtaken.ts';
import type { Reservation } from '../inventory/token-counts.ts';
import { callWithin } from '../pipeops/client.ts';
import { isOutcomeUnknown } from '../pipeops/failures.ts';
import { lookUpPurpose, type Purpose } from '../pipeops/quota-windows.ts';
import type { Call } from '../pipeops/types.ts';
import type { Caller, Grant } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { raiseGeneration } from '../reads/generation.ts';
import { addLateOwner } from '../subjects/blocks.ts';
import type { TokenDependencies } from './dependencies.ts';
import { answerAgain, type KeyedAttempt, recordRefusal, settleRefusal } from './refusal.ts';
import { begin, type Beginning } from './trip-one.ts';
import { type MintedRefs, type Withheld, withhold } from './secret.ts';

/** What a decision that allows something brings: the grant, and what else the operation goes on with. */
export interface Allowed {
  readonly grant: Grant;
}

/** What an operation came to. `status`: PipeOps' own; null where it was not asked to change anything. */
export interface Performed<T> {
  readonly status: number | null;
  readonly data: T;
}

/** A token that must not stay alive if its secret cannot be handed out. */
export interface Minted {
  readonly refs: MintedRefs;
  /** Why it is not handed out whatever D1 says, and what its caller hears; null: nothing stands in the way. */
  readonly refusal: { readonly withheld: Withheld; readonly failure: Failure } | null;
}

/** One of the three operations that change something at PipeOps, as far as it differs from the other two. */
export interface Mutation<T, A extends Allowed, R = never> {
  readonly subject: Omit<EventSubject, 'actor'> & { readonly workspaceUuid: string };
  /** Of the calls that it makes; default: `change`. */
  readonly purpose?: Purpose;
  /** How many of them are reserved with trip 1; default: one. Each beyond that costs a trip of its own. */
  readonly calls?: number;
  /** Of a create that policy may allow: the token that trip 1 reserves for its owner; null: none. */
  readonly reserves?: Pick<Reservation, 'owner' | 'limit'> | null;
  /**
   * Decides on what trip 1 read. May ask PipeOps for what the inventory lacks, but changes nothing there.
   *
   * @param heldTokens how many tokens the caller holds beside one that is reserved; infinitely many where none is.
   */
  decide(
    known: TokenRow | undefined,
    call: Call,
    heldTokens: number,
  ): Promise<Result<A, PolicyFailure | UpstreamFailure>>;
  /** Fails with `upstream_disobeyed` where PipeOps changed something else than it was asked to change. */
  perform(allowed: A, call: Call): Promise<Result<Performed<T>, UpstreamFailure>>;
  outcome(allowed: A, performed: Performed<T>): EventOutcome;
  /** What trip 2 writes beside the settled row. */
  following(attempt: Attempt, data: T, allowed: A): Following;
  minted?(data: T): Minted;
  /** Under which condition, at trip 2, what PipeOps did must not stand and is undone; null: none. */
  overtaken?(attempt: Attempt, allowed: A): SQL | null;
  /**
   * What is written, and what the caller hears, where a failure leaves the row open on purpose, for an order to settle; null: the
   * failure is one like any other. The queries take effect where `guard` holds, and once however often they are sent.
   */
  leftOpen?(attempt: Attempt, failure: UpstreamFailure, guard: SQL): LeftOpen | null;
  /** Of a create with an `Idempotency-Key`, and what it results in where its first answer is given once more. */
  readonly once?: { readonly request: KeyedRequest; replayed(answer: unknown): R } | null;
}

export interface LeftOpen {
  readonly queries: readonly Query[];
  readonly failure: Failure;
}

/**
 * Runs a mutation: attempted row → decision → PipeOps → settled row → answer. No effect without a prior record, no
 * secret without a recorded outcome.
 *
 * From the first row on the work outlives its caller: hanging up does not stop the settling.
 */
export async function runMutation<T, A extends Allowed, R = never>(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  mutation: Mutation<T, A, R>,
): Promise<Result<T | R, Failure>> {
  const work = attemptAndSettle(dependencies, context, caller, mutation);
  dependencies.runtime.background(work);
  return await work;
}

/** A mutation whose attempt is committed. */
interface Run<T, A extends Allowed, R> {
  readonly dependencies: TokenDependencies;
  readonly context: RequestContext;
  readonly mutation: Mutation<T, A, R>;
  readonly actor: Actor;
  readonly attempt: KeyedAttempt;
  readonly startedAtMs: number;
}

async function attemptAndSettle<T, A extends Allowed, R = never>(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  mutation: Mutation<T, A, R>,
): Promise<Result<T | R, Failure>> {
  const { runtime } = dependencies;
  const actor = actorOf(caller);
  const { once } = mutation;

  const startedAtMs = runtime.now();
  const purpose = mutation.purpose ?? 'change';
  const reserved = dependencies.quota.reservedCalls();
  const terms = {
    subject: { ...mutation.subject, actor },
    keyed: once?.request ?? null,
    eventId: runtime.newId(),
    purpose,
    calls: mutation.calls ?? 1,
    reserved,
    reserves: mutation.reserves ?? null,
  };
  const begun = await begin(dependencies, context, terms, 'undecided');
  if (!begun.ok) return begun;
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, terms.eventId, { purpose, reserved });
  const decideOn = async ({ blocked, known, holder, heldTokens }: Beginning): ReturnType<typeof mutation.decide> => {
    if (blocked) return err({ kind: 'subject_blocked' });
    // A repeat mints nothing, so the token that its first request minted does not stand in its way.
    return await mutation.decide(known, { ...call, purpose: lookUpPurpose(purpose) }, holder === null ? heldTokens : 0);
  };
  const first = await decideOn(begun.value);

  const isDecidedFirst = begun.value.attempt === null;
  if (!first.ok) reserved.end();
  if (isDecidedFirst && !first.ok) return await recordRefusal(dependencies, context, terms, first.error);
  // Whoever was denied often in this minute pays a trip more for what it may do.
  const beginning = isDecidedFirst ? await begin(dependencies, context, { ...terms, calls: 0 }, 'allowed') : begun;
  if (!beginning.ok) return beginning;
  const { attempt, blocked, holder } = beginning.value;
  if (attempt === null || blocked || (once && holder !== null)) reserved.end();
  if (attempt === null) return err(outOfRows(runtime.now()));
  if (blocked) {
    const late = addLateOwner(dependencies.database, actor, startedAtMs);
    return await settleRefusal(dependencies, context, attempt, { kind: 'subject_blocked' }, late);
  }
  // Another create may have taken the last token that the owner may hold.
  const decision = isDecidedFirst && terms.reserves !== null ? await decideOn(beginning.value) : first;
  if (!decision.ok) reserved.end();
  if (!decision.ok) return await settleRefusal(dependencies, context, attempt, decision.error);
  const allowed = decision.value;

  if (once && holder !== null) {
    const { role } = allowed.grant;
    const again = await answerAgain(dependencies, context, actor, attempt, once.request, holder, role);
    return again.ok ? ok(once.replayed(again.value)) : again;
  }

  const run = { dependencies, context, mutation, actor, attempt, startedAtMs };
  const performed = await mutation.perform(allowed, call);
  // What this isolate holds is not current any more: it need not ask D1 to be told so.
  dependencies.snapshots.memory.drop(mutation.subject.workspaceUuid);
  reserved.end();
  if (!performed.ok) return await settleFailure(run, allowed, performed.error);
  const minted = mutation.minted?.(performed.value.data);
  return minted === undefined
    ? await settleChange(run, allowed, performed.value)
    : await settleMinted(run, allowed, performed.value, minted);
}

async function settleFailure<T, A extends Allowed, R>(
  run: Run<T, A, R>,
  allowed: A,
  failure: UpstreamFailure,
): Promise<Result<T, Failure>> {
  const { dependencies, context, mutation, attempt } = run;
  const { workspaceUuid } = mutation.subject;
  const leftOpen = mutation.leftOpen?.(attempt, failure, isOpen(attempt.eventId)) ?? null;
  if (leftOpen !== null) {
    const isTaken = await leaveOpen(run, leftOpen.queries);
    return err(isTaken ? leftOpen.failure : { kind: 'outcome_unknown', cause: { kind: 'unrecorded' } });
  }
  if (isOutcomeUnknown(failure)) {
    // Reconciliation finds out: only PipeOps knows what became of this.
    await leaveOpen(run, []);
    return err({ kind: 'outcome_unknown', cause: failure });
  }
  if (failure.kind === 'upstream_disobeyed') return await settleDisobeyed(run, allowed, failure);
  // Whatever PipeOps made of a request, it may have changed something; saying that it wants none of them, it did not.
  const isUntouched = failure.kind === 'upstream_rate_limited';
  const changed = isUntouched ? [] : [raiseGeneration(dependencies.database, workspaceUuid)];
  const refused = await settleRefusal(dependencies, context, attempt, failure, changed);
  if (!isUntouched && refused.error.kind === 'audit_unavailable') dependencies.snapshots.owed.owe(workspaceUuid);
  return refused;
}

/**
 * The row stays open. Until it is settled no list from before is served, so D1 is asked for that until it answers; what it does
 * not take, this isolate owes. True: D1 has taken it.
 */
async function leaveOpen<T, A extends Allowed, R>(
  { dependencies, context, mutation }: Run<T, A, R>,
  queries: readonly Query[],
): Promise<boolean> {
  const { database, quota, runtime, snapshots } = dependencies;
  const { workspaceUuid } = mutation.subject;
  const all = [...queries, raiseGeneration(database, workspaceUuid), ...quota.news(database, runtime.now())];
  const taken = await repeatBatch({ database, runtime }, context, all);
  if (!taken.ok) snapshots.owed.owe(workspaceUuid);
  return taken.ok;
}

/** Whatever PipeOps did to a token, it is recorded as a failure; if it must not stand besides, it is undone. */
async function settleDisobeyed<T, A extends Allowed, R>(
  run: Run<T, A, R>,
  allowed: A,
  failure: Extract<UpstreamFailure, { kind: 'upstream_disobeyed' }>,
): Promise<Result<T, Failure>> {
  const settled = await settleUnlessOvertaken(run, allowed, failureOutcome(failure), () => []);
  return settled.ok ? err(failure) : settled;
}

async function settleChange<T, A extends Allowed, R>(
  run: Run<T, A, R>,
  allowed: A,
  performed: Performed<T>,
): Promise<Result<T, Failure>> {
  const { mutation, attempt } = run;
  const { data } = performed;
  const following = mutation.following(attempt, data, allowed);
  const settled = await settleUnlessOvertaken(run, allowed, mutation.outcome(allowed, performed), following);
  return settled.ok ? ok(data) : settled;
}

/** Trip 2 of whatever mints nothing. Ok: the row says so, or somebody else has found as much. */
async function settleUnlessOvertaken<T, A extends Allowed, R>(
  run: Run<T, A, R>,
  allowed: A,
  outcome: EventOutcome,
  following: Following,
): Promise<Result<null, Failure>> {
  const { dependencies, context, mutation, attempt } = run;
  const { database, recorder, quota, runtime, snapshots } = dependencies;
  const { workspaceUuid } = mutation.subject;
  const overtaken = mutation.overtaken?.(attempt, allowed) ?? null;
  const settlement = await recorder.settle(
    context,
    attempt,
    outcome,
    (guard) => [
      ...following(guard),
      ...(outcome.upstreamStatus === null ? [] : [raiseGeneration(database, workspaceUuid)]),
      ...quota.news(database, runtime.now()),
    ],
    overtaken === null ? undefined : { holds: overtaken },
  );
  if (settlement.kind === 'own') return ok(null);
  if (settlement.kind === 'blocked' && overtaken !== null) return await undo(run, overtaken, outcome);
  if (settlement.kind === 'other' && settlement.row.status === outcome.status) return ok(null);
  if (settlement.kind === 'unknown') snapshots.owed.owe(workspaceUuid);
  return err({ kind: 'outcome_unknown', cause: { kind: 'unrecorded' } });
}

/** The row is settled as a failure, with the order that undoes what PipeOps did. */
async function undo<T, A extends Allowed, R>(
  { dependencies, context, mutation, actor, attempt }: Run<T, A, R>,
  overtaken: SQL,
  { upstreamStatus, errorCode, detail }: EventOutcome,
): Promise<Result<never, Failure>> {
  const { database, runtime, snapshots } = dependencies;
  const { workspaceUuid } = mutation.subject;
  const { eventId, tokenId } = attempt;
  const order = runtime.newId();
  const queries = undoOvertaken(database, context, {
    eventId,
    ref: { workspaceUuid, tokenId: tokenId ?? '' },
    actor,
    overtaken,
    orderId: order,
    nowMs: runtime.now(),
    upstreamStatus,
    // Of what disobeyed too, that stays in the trail.
    detail: errorCode === null ? {} : detail,
  });
  const undone = await repeatBatch({ database, runtime }, context, [
    ...queries,
    raiseGeneration(database, workspaceUuid),
  ] as const);
  if (!undone.ok) snapshots.owed.owe(workspaceUuid);
  const row = undone.ok ? undone.value[2][0] : undefined;
  // Reconciliation settles it under the same condition.
  if (row?.status !== 'failure') return err({ kind: 'outcome_unknown', cause: { kind: 'unrecorded' } });
  return err(
    row.error_code === 'subject_blocked'
      ? { kind: 'subject_blocked' }
      : { kind: 'overtaken', status: upstreamStatus, order },
  );
}

/** Trip 2 of a create: the secret leaves only if the row says so. Otherwise it is withheld, and its token revoked. */
async function settleMinted<T, A extends Allowed, R>(
  { dependencies, context, mutation, actor, attempt, startedAtMs }: Run<T, A, R>,
  allowed: A,
  performed: Performed<T>,
  { refs, refusal }: Minted,
): Promise<Result<T, Failure>> {
  const { database, recorder, quota, runtime } = dependencies;
  const { data } = performed;
  const refuse = async (withheld: Withheld, failure: Failure): Promise<Result<never, Failure>> => {
    await withhold(dependencies, context, attempt, refs, withheld);
    return err(failure);
  };
  if (refusal !== null) return await refuse(refusal.withheld, refusal.failure);
  const undelivered = { errorCode: 'undelivered', detail: {} } as const;
  // Reconciliation may be looking at the row of a request that lived this long: one that is late hands out nothing.
  if (runtime.now() - startedAtMs > REQUEST_LIFETIME_MS)
    return await refuse(undelivered, { kind: 'audit_unavailable' });
  const settlement = await recorder.settle(
    context,
    attempt,
    mutation.outcome(allowed, performed),
    (guard) => [
      ...mutation.following(attempt, data, allowed)(guard),
      raiseGeneration(database, mutation.subject.workspaceUuid),
      ...quota.news(database, runtime.now()),
    ],
    // A leaver keeps what it has until that is taken away, and gets nothing new.
    { blocked: actor },
  );
  if (settlement.kind === 'own') return ok(data);
  if (settlement.kind !== 'blocked') return await refuse(undelivered, { kind: 'audit_unavailable' });
  return await refuse({ errorCode: 'subject_blocked', detail: {} }, { kind: 'subject_blocked' });
}
