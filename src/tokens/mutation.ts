import { actorOf } from '../audit/actor.ts';
import { sql, type SQL } from 'drizzle-orm';
import { SYSTEM_ACTOR, type EventOutcome, type EventSubject } from '../audit/events.ts';
import { successOutcome } from '../audit/outcomes.ts';
import type { Attempt, Following } from '../audit/recorder.ts';
import { COMPENSATION_TIMEOUT_MS, REQUEST_LIFETIME_MS, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import type { Query } from '../db/database.ts';
import type { TokenRow } from '../db/schema.ts';
import type { AuditFailure, Failure, PolicyFailure, UpstreamFailure } from '../failures.ts';
import { claimKey, freeKey, keepAnswer } from '../idempotency/claims.ts';
import type { KeyedRequest } from '../idempotency/keyed-request.ts';
import type { Holder } from '../idempotency/replay.ts';
import { callWithin } from '../pipeops/call.ts';
import { selectLimits } from '../pipeops/limits-table.ts';
import { isOutcomeUnknown } from '../pipeops/outcome.ts';
import type { Purpose } from '../pipeops/quota.ts';
import type { Answered, Call, TokenRef, Upstream } from '../pipeops/types.ts';
import type { Caller, Grant } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import { raiseGeneration } from '../snapshot/generation.ts';
import { addLateOwner } from '../subjects/late-owners.ts';
import type { TokenDependencies } from './dependencies.ts';
import { markRevoked, selectToken } from './inventory.ts';
import { settleRefusal, type KeyedAttempt } from './refusal.ts';
import { answerAgain } from './replay.ts';

/** What a decision that allows something brings: the grant, and what else the operation goes on with. */
export interface Allowed {
  readonly grant: Grant;
}

/** One of the three operations that change something at PipeOps, as far as it differs from the other two. */
export interface Mutation<T, A extends Allowed, R = never> {
  readonly subject: Omit<EventSubject, 'actor'> & { readonly workspaceUuid: string };
  /** Of all calls that it makes, a look-up included; default: that of each by itself. */
  readonly purpose?: Purpose;
  /** Decides on what trip 1 read. May ask PipeOps for what the inventory lacks, but changes nothing there. */
  decide(known: TokenRow | undefined, call: Call): Promise<Result<A, PolicyFailure | UpstreamFailure>>;
  perform(allowed: A, call: Call): Upstream<T>;
  outcome(grant: Grant, answer: Answered<T>): EventOutcome;
  /** What trip 2 writes beside the settled row. */
  following(attempt: Attempt, answer: T): Following;
  /** The token that must not stay alive if its secret cannot be handed out. */
  minted?(answer: T): TokenRef;
  /** Of a create with an `Idempotency-Key`, and what it results in where its first answer is given once more. */
  readonly once?: { readonly request: KeyedRequest; replayed(answer: unknown): R } | null;
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

async function attemptAndSettle<T, A extends Allowed, R = never>(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  mutation: Mutation<T, A, R>,
): Promise<Result<T | R, Failure>> {
  const { recorder, database, runtime, quota } = dependencies;
  const subject = { ...mutation.subject, actor: actorOf(caller) };
  const { workspaceUuid } = subject;
  const { once } = mutation;

  const startedAtMs = runtime.now();
  const begun = await begin(dependencies, context, subject, once?.request ?? null);
  if (!begun.ok) return begun;
  const { attempt, known, holder } = begun.value;
  if (begun.value.blocked) {
    const late = addLateOwner(database, subject.actor, startedAtMs);
    return await settleRefusal(dependencies, context, attempt, { kind: 'subject_blocked' }, late);
  }
  const options = mutation.purpose === undefined ? {} : { purpose: mutation.purpose };
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, attempt.eventId, options);
  /** Whatever PipeOps made of a request, it may have changed something; saying that it wants none of them, it did not. */
  const changed = ({ kind }: UpstreamFailure): readonly Query[] =>
    kind === 'upstream_rate_limited' ? [] : [raiseGeneration(database, workspaceUuid)];

  const decision = await mutation.decide(known, call);
  if (!decision.ok) return await settleRefusal(dependencies, context, attempt, decision.error);

  if (once && holder !== null) {
    const { role } = decision.value.grant;
    const again = await answerAgain(dependencies, context, subject.actor, attempt, once.request, holder, role);
    return again.ok ? ok(once.replayed(again.value)) : again;
  }

  const answered = await mutation.perform(decision.value, call);
  if (!answered.ok) {
    const { error } = answered;
    if (!isOutcomeUnknown(error)) return await settleRefusal(dependencies, context, attempt, error, changed(error));
    // The row stays open, and reconciliation finds out: only PipeOps knows what became of this. Until then no list from
    // before is served.
    const queries = [raiseGeneration(database, workspaceUuid), ...quota.news(database, runtime.now())];
    await database.batch(context, queries);
    return err({ kind: 'outcome_unknown', cause: error });
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
    (guard) => [
      ...mutation.following(attempt, data)(guard),
      raiseGeneration(database, workspaceUuid),
      ...quota.news(database, runtime.now()),
    ],
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

/** What trip 1 found. `holder`: another create that holds the key of this one. */
interface Beginning {
  readonly attempt: KeyedAttempt;
  readonly blocked: boolean;
  readonly known: TokenRow | undefined;
  readonly holder: Holder | null;
}

/** Trip 1: the attempt, with the token that it is about or with the claim of its key, and what others know of the quota. */
async function begin(
  { recorder, database, runtime, quota }: TokenDependencies,
  context: RequestContext,
  subject: EventSubject & { readonly workspaceUuid: string },
  keyed: KeyedRequest | null,
): Promise<Result<Beginning, AuditFailure>> {
  const { workspaceUuid, tokenId } = subject;
  const limits = selectLimits(database, runtime.now(), workspaceUuid);
  if (keyed === null) {
    const reads = [limits, ...(tokenId === null ? [] : [selectToken(database, { workspaceUuid, tokenId })])] as const;
    const begun = await recorder.attempt(context, subject, reads);
    if (!begun.ok) return begun;
    const { attempt, rows, blocked } = begun.value;
    quota.learn(rows[0], runtime.now());
    return ok({ attempt: { ...attempt, keyed }, blocked, known: rows[1]?.[0], holder: null });
  }
  const eventId = runtime.newId();
  const claim = claimKey(database, keyed, eventId, runtime.now());
  const begun = await recorder.attempt(context, subject, [...claim, limits] as const, eventId);
  if (!begun.ok) return begun;
  const { attempt, rows, blocked } = begun.value;
  quota.learn(rows[3], runtime.now());
  const holder = rows[2].find(({ event_id: heldBy }) => heldBy !== eventId) ?? null;
  return ok({ attempt: { ...attempt, keyed }, blocked, known: undefined, holder });
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
  attempt: KeyedAttempt,
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
  const { keyed, eventId } = attempt;
  const freed = (guard: SQL) => (keyed === null ? [] : [freeKey(database, keyed, eventId, guard)]);
  // An open row is what makes reconciliation look for the token, so it is settled only once the token is gone.
  const settlement = revoked.ok
    ? await recorder.settle(context, attempt, undelivered, (guard) => [
        ...freed(guard),
        raiseGeneration(database, minted.workspaceUuid),
      ])
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
    await recorder.record(context, subject, successOutcome(revoked.value.status), [gone, ...freed(sql`true`)]);
  } else {
    // The token is to go, so its secret must not be handed out again; the key is free once it is gone.
    const unanswered = keyed === null ? [] : [keepAnswer(database, keyed, eventId, null, sql`true`)];
    await recorder.attempt(context, subject, unanswered);
  }
}
