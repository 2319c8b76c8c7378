import { actorOf } from '../audit/actor.ts';
import { sql } from 'drizzle-orm';
import { SYSTEM_ACTOR, type EventOutcome, type EventSubject } from '../audit/events.ts';
import { failureOutcome, successOutcome } from '../audit/outcomes.ts';
import type { Attempt, Following } from '../audit/recorder.ts';
import { COMPENSATION_TIMEOUT_MS, REQUEST_LIFETIME_MS, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import type { TokenRow } from '../db/schema.ts';
import type { Failure, PolicyFailure, UpstreamFailure } from '../failures.ts';
import { callWithin } from '../pipeops/call.ts';
import { isOutcomeUnknown } from '../pipeops/outcome.ts';
import type { Answered, Call, TokenRef, Upstream } from '../pipeops/types.ts';
import type { Caller, Grant } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { markRevoked, selectToken } from './inventory.ts';

/** What a decision that allows something brings: the grant, and what else the operation goes on with. */
export interface Allowed {
  readonly grant: Grant;
}

/** One of the three operations that change something at PipeOps, as far as it differs from the other two. */
export interface Mutation<T, A extends Allowed> {
  readonly subject: Omit<EventSubject, 'actor'> & { readonly workspaceUuid: string };
  /** Decides on what trip 1 read. May ask PipeOps for what the inventory lacks, but changes nothing there. */
  decide(known: TokenRow | undefined, call: Call): Promise<Result<A, PolicyFailure | UpstreamFailure>>;
  perform(allowed: A, call: Call): Upstream<T>;
  outcome(grant: Grant, answer: Answered<T>): EventOutcome;
  /** What trip 2 writes beside the settled row. */
  following(attempt: Attempt, answer: T): Following;
  /** The token that must not stay alive if its secret cannot be handed out. */
  minted?(answer: T): TokenRef;
}

/**
 * Runs a mutation: attempted row → decision → PipeOps → settled row → answer. No effect without a prior record, no
 * secret without a recorded outcome.
 *
 * From the first row on the work outlives its caller: hanging up does not stop the settling.
 */
export async function runMutation<T, A extends Allowed>(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  mutation: Mutation<T, A>,
): Promise<Result<T, Failure>> {
  const work = attemptAndSettle(dependencies, context, caller, mutation);
  dependencies.runtime.background(work);
  return await work;
}

async function attemptAndSettle<T, A extends Allowed>(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  mutation: Mutation<T, A>,
): Promise<Result<T, Failure>> {
  const { recorder, database, runtime } = dependencies;
  const subject = { ...mutation.subject, actor: actorOf(caller) };
  const { workspaceUuid, tokenId } = subject;
  const reads = tokenId === null ? [] : [selectToken(database, { workspaceUuid, tokenId })];

  const startedAtMs = runtime.now();
  const begun = await recorder.attempt(context, subject, reads);
  if (!begun.ok) return begun;
  const { attempt } = begun.value;
  if (begun.value.blocked) return await settleRefusal(dependencies, context, attempt, { kind: 'subject_blocked' });
  const known = begun.value.rows[0]?.[0];
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, attempt.eventId);

  const decision = await mutation.decide(known, call);
  if (!decision.ok) return await settleRefusal(dependencies, context, attempt, decision.error);

  const answered = await mutation.perform(decision.value, call);
  if (!answered.ok) {
    // The row stays open, and reconciliation finds out: only PipeOps knows what became of this.
    if (isOutcomeUnknown(answered.error)) return err({ kind: 'outcome_unknown', cause: answered.error });
    return await settleRefusal(dependencies, context, attempt, answered.error);
  }

  const { data } = answered.value;
  const minted = mutation.minted?.(data);
  // Reconciliation may be looking at the row of a request that lived this long: one that is late hands out nothing.
  if (minted !== undefined && runtime.now() - startedAtMs > REQUEST_LIFETIME_MS) {
    await withhold(dependencies, context, attempt, minted, 'undelivered');
    return err({ kind: 'audit_unavailable' });
  }
  const outcome = mutation.outcome(decision.value.grant, answered.value);
  const settlement = await recorder.settle(
    context,
    attempt,
    outcome,
    mutation.following(attempt, data),
    // A leaver keeps what it has until that is taken away, and gets nothing new.
    minted === undefined ? undefined : subject.actor,
  );
  if (settlement.kind === 'own') return ok(data);

  if (minted !== undefined) {
    const isBlocked = settlement.kind === 'blocked';
    await withhold(dependencies, context, attempt, minted, isBlocked ? 'subject_blocked' : 'undelivered');
    return err({ kind: isBlocked ? 'subject_blocked' : 'audit_unavailable' });
  }
  if (settlement.kind === 'other' && settlement.row.status === 'success') return ok(data);
  return err({ kind: 'outcome_unknown', cause: { kind: 'unrecorded' } });
}

/** Nothing was changed upstream, and the row says why before the caller hears it. */
async function settleRefusal(
  { recorder }: TokenDependencies,
  context: RequestContext,
  attempt: Attempt,
  failure: Failure,
): Promise<Result<never, Failure>> {
  const settlement = await recorder.settle(context, attempt, failureOutcome(failure));
  return err(settlement.kind === 'own' ? failure : { kind: 'audit_unavailable' });
}

/**
 * The compensating revoke: covered by the row of its create. If it fails, reconciliation finds the token by its marker
 * while that row is open.
 *
 * Where trip 2 was committed and only its answers were lost, the create says `success`: then a revoke by `system` has a
 * row of its own, which reconciliation drives to its end if this one did not get through.
 */
async function withhold(
  { recorder, pipeops, runtime, database }: TokenDependencies,
  context: RequestContext,
  attempt: Attempt,
  minted: TokenRef,
  errorCode: 'undelivered' | 'subject_blocked',
): Promise<void> {
  const call = callWithin(COMPENSATION_TIMEOUT_MS, runtime, context, attempt.eventId);
  const revoked = await pipeops.revoke(minted, call);
  const undelivered = {
    status: 'failure',
    upstreamStatus: revoked.ok ? revoked.value.status : null,
    errorCode,
    tokenId: minted.tokenId,
    detail: {},
  } as const;
  // An open row is what makes reconciliation look for the token, so it is settled only once the token is gone.
  const settlement = revoked.ok
    ? await recorder.settle(context, attempt, undelivered)
    : await recorder.readBack(context, attempt);
  if (settlement.kind !== 'other' || settlement.row.status !== 'success') return;

  const subject = {
    action: 'service_account_token.revoke',
    actor: SYSTEM_ACTOR,
    ...minted,
    tokenName: null,
    detail: { undelivered_create: attempt.eventId },
  } as const;
  if (revoked.ok) {
    const gone = markRevoked(database, minted, runtime.now(), sql`true`);
    await recorder.record(context, subject, successOutcome(revoked.value.status), [gone]);
  } else await recorder.attempt(context, subject, []);
}
