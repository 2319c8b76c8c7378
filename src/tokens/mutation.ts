import type { SQL } from 'drizzle-orm';
import { IDEMPOTENCY_TTL_MS, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import type { Query } from '../db/database.ts';
import type { TokenRow } from '../db/schema.ts';
import type { CallerBar, Failure, PolicyFailure, RotationFailure, UpstreamFailure } from '../failures.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import type { Reservation } from '../inventory/token-counts.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { RequestContext } from '../kit/trace.ts';
import { lookUpPurpose, type Purpose } from '../pipeops/quota-windows.ts';
import { type Call, callWithin } from '../pipeops/types.ts';
import type { Caller, Grant } from '../policy/types.ts';
import { addLateOwner } from '../subjects/blocks.ts';
import { type Actor, actorOf, type EventOutcome, type EventSubject } from '../trail/event.ts';
import { outOfRows } from '../trail/caller-rows.ts';
import type { Attempt, Following } from '../trail/recorder.ts';
import type { TokenDependencies } from './dependencies.ts';
import { type MintedRefs, settleMinted, type Withheld } from './secret.ts';
import { type AttemptTerms, type Beginning, type KeyedAttempt, recordAttempt } from './trip-one.ts';
import { recordRefusal, settleChange, settleFailure, settleRefusal, settleRepeat } from './trip-two.ts';

/**
 * Runs a create, an update or a revoke in four steps. PipeOps changes nothing that D1 has not recorded before, and no secret leaves
 * before D1 has recorded how it ended.
 *
 *   1. Trip 1 commits the `attempted` row, and reads what policy needs (`trip-one.ts`).
 *   2. The decision. A refusal settles the row with its reason.
 *   3. PipeOps is asked to make the change.
 *   4. Trip 2 settles the row, and what it says is the answer (`trip-two.ts`; of a create `secret.ts`).
 *
 * From trip 1 on the work outlives its caller: hanging up does not stop the settling.
 */
export async function runMutation<T, A extends Allowed, R = never>(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  mutation: Mutation<T, A, R>,
): Promise<Result<T | R, Failure>> {
  const work = mutate(dependencies, context, caller, mutation);
  dependencies.runtime.background(work);
  return await work;
}

/** One of the three operations that change something at PipeOps, as far as it differs from the other two. */
export interface Mutation<T, A extends Allowed, R = never> {
  readonly subject: Omit<EventSubject, 'actor'> & { readonly workspaceUuid: string };
  /** What its calls are for; default: `change`. */
  readonly purpose?: Purpose;
  /** How many calls trip 1 reserves; default: one. Each call beyond them costs a trip of its own. */
  readonly calls?: number;
  /** The token that trip 1 reserves for the owner of a create; null or absent: none, since policy refuses it or it is no create. */
  readonly reserves?: Pick<Reservation, 'owner' | 'limit'> | null;
  /** The token that a create rotates, if it is this owner's: trip 1 claims it. */
  readonly rotates?: AttemptTerms['rotates'];
  /** A create's `Idempotency-Key`, and what the create results in where the answer to its first request is given again. */
  readonly keyed?: {
    readonly request: KeyedRequest;
    /** How long the answer is kept; default: IDEMPOTENCY_TTL_MS. */
    readonly keepMs?: number;
    replayed(answer: unknown): R;
  } | null;
  /**
   * Decides on what trip 1 read. It may ask PipeOps for what the inventory lacks, and changes nothing there.
   *
   * @param known the token's row in the inventory.
   * @param heldTokens how many tokens the caller has beside the one that is reserved; infinitely many where none could be reserved.
   * @param beginning all that trip 1 read.
   */
  decide(
    known: TokenRow | undefined,
    call: Call,
    heldTokens: number,
    beginning: Beginning,
  ): Promise<Result<A, PolicyFailure | RotationFailure | UpstreamFailure>>;
  /** Asks PipeOps for the change. Fails with `upstream_disobeyed` where PipeOps has made another change than it was asked for. */
  perform(allowed: A, call: Call): Promise<Result<Performed<T>, UpstreamFailure>>;
  outcome(allowed: A, performed: Performed<T>): EventOutcome;
  /** What trip 2 writes beside the settled row. */
  following(attempt: Attempt, data: T, allowed: A): Following;
  /** Tells of the token that a create has minted. */
  minted?(data: T): Minted;
  /** The condition under which, at trip 2, a rotation must not succeed; absent: it is no rotation. */
  barred?(attempt: Attempt, allowed: A): SQL;
  /** What takes back, beside the revoke of a token that is withheld, what `following` wrote if trip 2 was committed all the same. */
  undone?(attempt: Attempt, data: T): Following;
  /** The condition under which, at trip 2, the change must not stand and is undone; null: there is none. */
  overtaken?(attempt: Attempt, allowed: A): SQL | null;
  /**
   * What is written, and what the caller hears, where a failure leaves the row open on purpose, for an order to settle; null: the row
   * is settled. The queries take effect where `guard` holds, and once however often they are sent.
   */
  leftOpen?(attempt: Attempt, failure: UpstreamFailure, guard: SQL): LeftOpen | null;
}

/** A decision that allows a mutation: the grant, and what else the operation goes on with. */
export interface Allowed {
  readonly grant: Grant;
}

/** What an operation came to. `status` is PipeOps' own; null where it was not asked to change anything. */
export interface Performed<T> {
  readonly status: number | null;
  readonly data: T;
}

/** A token that must not stay alive if its secret cannot be handed out. */
export interface Minted {
  readonly refs: MintedRefs;
  /** Why the secret is withheld whatever D1 says, and what the caller hears; null: it may be handed out. */
  readonly refusal: { readonly withheld: Withheld; readonly failure: Failure } | null;
}

export interface LeftOpen {
  readonly queries: readonly Query[];
  readonly failure: Failure;
}

/** A mutation whose attempt is committed. */
export interface Run<T, A extends Allowed, R = never> {
  readonly dependencies: TokenDependencies;
  readonly context: RequestContext;
  readonly mutation: Mutation<T, A, R>;
  readonly actor: Actor;
  readonly attempt: KeyedAttempt;
  readonly startedAtMs: number;
}

async function mutate<T, A extends Allowed, R = never>(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  mutation: Mutation<T, A, R>,
): Promise<Result<T | R, Failure>> {
  const { database, quota, runtime, snapshots } = dependencies;
  const { keyed = null, purpose = 'change' } = mutation;
  const { workspaceUuid } = mutation.subject;
  const startedAtMs = runtime.now();
  const actor = actorOf(caller);
  const reserved = quota.reservedCalls();
  const terms = {
    subject: { ...mutation.subject, actor },
    keyed: keyed?.request ?? null,
    keepKeyMs: keyed?.keepMs ?? IDEMPOTENCY_TTL_MS,
    rotates: mutation.rotates ?? null,
    eventId: runtime.newId(),
    purpose,
    calls: mutation.calls ?? 1,
    reserved,
    reserves: mutation.reserves ?? null,
  };

  const begun = await beginAndDecide(dependencies, context, mutation, terms);
  if (!begun.ok) return begun;
  const { attempt, bar, holder, decision, call } = begun.value;

  if (!decision.ok) {
    reserved.end();
    const late = bar?.kind === 'subject_blocked' ? addLateOwner(database, actor, startedAtMs) : [];
    return await settleRefusal(dependencies, context, attempt, decision.error, late);
  }
  const allowed = decision.value;
  const run = { dependencies, context, mutation, actor, attempt, startedAtMs };
  if (keyed !== null && holder !== null) {
    reserved.end();
    const repeated = await settleRepeat(run, keyed.request, holder, allowed.grant.role);
    return repeated.ok ? ok(keyed.replayed(repeated.value)) : repeated;
  }

  const performed = await mutation.perform(allowed, call);
  // The list that this isolate has is not current any more, so it need not ask D1 whether it is.
  snapshots.memory.drop(workspaceUuid);
  reserved.end();

  if (!performed.ok) return await settleFailure(run, allowed, performed.error);
  const minted = mutation.minted?.(performed.value.data);
  return minted === undefined
    ? await settleChange(run, allowed, performed.value)
    : await settleMinted(run, allowed, performed.value, minted);
}

/** A mutation whose attempt is committed, and what policy says of it. */
interface Begun<A> extends Beginning {
  readonly attempt: KeyedAttempt;
  readonly decision: Result<A, PolicyFailure | CallerBar | RotationFailure | UpstreamFailure>;
  readonly call: Call;
}

/**
 * Trip 1, and the decision on what it read. A caller that was often denied in this minute gets no row before policy allows the
 * request: then a second trip 1 commits it, and a refusal is recorded by itself.
 *
 * Fails where nothing more is to be settled.
 */
async function beginAndDecide<T, A extends Allowed, R>(
  dependencies: TokenDependencies,
  context: RequestContext,
  mutation: Mutation<T, A, R>,
  terms: AttemptTerms,
): Promise<Result<Begun<A>, Failure>> {
  const { runtime } = dependencies;
  const { eventId, purpose, reserved } = terms;
  const first = await recordAttempt(dependencies, context, terms, 'undecided');
  if (!first.ok) return first;
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, eventId, { purpose, reserved });
  const decide = async (beginning: Beginning): Promise<Begun<A>['decision']> => {
    const { bar, known, holder, heldTokens } = beginning;
    if (bar !== null) return err(bar);
    // A repeat mints nothing, so the token that its first request has minted does not stand in its way.
    const held = holder === null ? heldTokens : 0;
    return await mutation.decide(known, { ...call, purpose: lookUpPurpose(purpose) }, held, beginning);
  };
  const decision = await decide(first.value);
  const { attempt } = first.value;
  if (attempt !== null) return ok({ ...first.value, attempt, decision, call });

  if (!decision.ok) {
    reserved.end();
    return await recordRefusal(dependencies, context, terms, decision.error);
  }
  const second = await recordAttempt(dependencies, context, { ...terms, calls: 0 }, 'allowed');
  if (!second.ok || second.value.attempt === null) {
    // The first trip has reserved calls.
    reserved.end();
    return second.ok ? err(outOfRows(runtime.now())) : second;
  }
  // Its caller may be kept out since, another create may have taken the last token that the owner may have, and another rotation the
  // token that is to be rotated.
  const mayDiffer = second.value.bar !== null || terms.reserves !== null || terms.rotates !== null;
  const decidedAgain = mayDiffer ? await decide(second.value) : decision;
  return ok({ ...second.value, attempt: second.value.attempt, decision: decidedAgain, call });
}
