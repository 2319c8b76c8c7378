import type { SQL } from 'drizzle-orm';
import type { Query } from '../db/database.ts';
import type { Failure, UpstreamFailure } from '../failures.ts';
import { freeKey, type Holder, replayOf } from '../idempotency/keys.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import { undoOvertaken } from '../inventory/overtaken.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { RequestContext } from '../kit/trace.ts';
import { isOutcomeUnknown } from '../pipeops/failures.ts';
import { raiseGeneration } from '../reads/generation.ts';
import { type EventOutcome, failureOutcome, successOutcome } from '../trail/event.ts';
import { type Following, repeatBatch } from '../trail/recorder.ts';
import { isOpen } from '../trail/statements.ts';
import type { TokenDependencies } from './dependencies.ts';
import type { Allowed, Performed, Run } from './mutation.ts';
import type { AttemptTerms, KeyedAttempt } from './trip-one.ts';

// Trip 2: the row of an attempt is settled before its caller hears how it ended. Each of these says what the caller hears.

/** Whatever D1 has not recorded is told as unknown, and reconciliation finds out. */
const UNRECORDED = err({ kind: 'outcome_unknown', cause: { kind: 'unrecorded' } } as const);

type Refusing = Pick<TokenDependencies, 'recorder' | 'database' | 'quota' | 'runtime'>;

/**
 * Settles a request that is refused, or that changed nothing at PipeOps as far as anybody knows. A key that the request holds is free
 * for another try.
 *
 * @param following what is written as well, whatever the row says.
 */
export async function settleRefusal(
  { recorder, database, quota, runtime }: Refusing,
  context: RequestContext,
  attempt: KeyedAttempt,
  failure: Failure,
  following: readonly Query[] = [],
): Promise<{ readonly ok: false; readonly error: Failure }> {
  const { keyed, eventId } = attempt;
  const settlement = await recorder.settle(context, attempt, failureOutcome(failure), (guard) => [
    ...(keyed === null ? [] : [freeKey(database, keyed, eventId, guard)]),
    ...following,
    ...quota.news(database, runtime.now()),
  ]);
  return { ok: false, error: settlement.kind === 'own' ? failure : { kind: 'audit_unavailable' } };
}

/**
 * Records the refusal of a request that has no row yet, since its caller was denied too often in this minute. It holds no key. The
 * refusal is recorded before the caller hears it, like any other.
 */
export async function recordRefusal(
  { recorder, database, quota, runtime }: Refusing,
  context: RequestContext,
  { subject, eventId }: AttemptTerms,
  failure: Failure,
): Promise<Result<never, Failure>> {
  const news = quota.news(database, runtime.now());
  return await recorder.refuse(context, subject, failure, news, { eventId });
}

/**
 * Settles a create whose key another create holds, with the answer of that one, or with why there is none. Nothing goes to PipeOps.
 * The secret leaves only once this request's own row says that it does, and whose answer it is.
 *
 * @param role the role that allows the request today.
 */
export async function settleRepeat<T, A extends Allowed, R>(
  { dependencies, context, actor, attempt }: Run<T, A, R>,
  request: KeyedRequest,
  holder: Holder,
  role: string,
): Promise<Result<unknown, Failure>> {
  const answer = await replayOf(request, holder, dependencies.runtime.now());
  if (!answer.ok) return await settleRefusal(dependencies, context, attempt, answer.error);
  const outcome = {
    ...successOutcome(null, { role, idempotent_of: holder.event_id }),
    ...(holder.token_id !== null && { tokenId: holder.token_id }),
  };
  // A leaver gets no secret, not even one that it was given before.
  const settlement = await dependencies.recorder.settle(context, attempt, outcome, undefined, { blocked: actor });
  if (settlement.kind === 'own') return answer;
  if (settlement.kind !== 'blocked') return err({ kind: 'audit_unavailable' });
  return await settleRefusal(dependencies, context, attempt, { kind: 'subject_blocked' });
}

/** Settles a change that PipeOps has made. */
export async function settleChange<T, A extends Allowed, R>(
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

/** Settles a mutation that PipeOps did not acknowledge, or leaves its row open where nobody knows yet what became of it. */
export async function settleFailure<T, A extends Allowed, R>(
  run: Run<T, A, R>,
  allowed: A,
  failure: UpstreamFailure,
): Promise<Result<T, Failure>> {
  const { dependencies, context, mutation, attempt } = run;
  const { workspaceUuid } = mutation.subject;
  const leftOpen = mutation.leftOpen?.(attempt, failure, isOpen(attempt.eventId)) ?? null;
  if (leftOpen !== null) {
    const isTaken = await leaveOpen(run, leftOpen.queries);
    return isTaken ? err(leftOpen.failure) : UNRECORDED;
  }
  if (isOutcomeUnknown(failure)) {
    // Only PipeOps knows what became of the request. Reconciliation finds out.
    await leaveOpen(run, []);
    return err({ kind: 'outcome_unknown', cause: failure });
  }
  if (failure.kind === 'upstream_disobeyed') return await settleDisobeyed(run, allowed, failure);
  // A 429 changed nothing. Any other refusal may come after a change.
  const isUntouched = failure.kind === 'upstream_rate_limited';
  const changed = isUntouched ? [] : [raiseGeneration(dependencies.database, workspaceUuid)];
  const refused = await settleRefusal(dependencies, context, attempt, failure, changed);
  if (!isUntouched && refused.error.kind === 'audit_unavailable') dependencies.snapshots.owed.owe(workspaceUuid);
  return refused;
}

/**
 * Leaves the row open. No list from before may be served until it is settled, so D1 is asked to raise the generation until it
 * answers; where it never does, this isolate owes that. True: D1 has taken all of it.
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

/** Settles as a failure whatever else PipeOps did to the token. It is undone if it was also overtaken. */
async function settleDisobeyed<T, A extends Allowed, R>(
  run: Run<T, A, R>,
  allowed: A,
  failure: Extract<UpstreamFailure, { kind: 'upstream_disobeyed' }>,
): Promise<Result<T, Failure>> {
  const settled = await settleUnlessOvertaken(run, allowed, failureOutcome(failure), () => []);
  return settled.ok ? err(failure) : settled;
}

/** Settles whatever mints nothing. Ok: the row carries this outcome, or somebody else has settled it alike. */
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
  return UNRECORDED;
}

/** Settles the row of an overtaken change as a failure, with the order that undoes what PipeOps did. */
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
    // How PipeOps disobeyed stays in the trail.
    detail: errorCode === null ? {} : detail,
  });
  const undone = await repeatBatch({ database, runtime }, context, [
    ...queries,
    raiseGeneration(database, workspaceUuid),
  ] as const);
  if (!undone.ok) snapshots.owed.owe(workspaceUuid);
  const row = undone.ok ? undone.value[2][0] : undefined;
  // Otherwise reconciliation settles it, under the same condition.
  if (row?.status !== 'failure') return UNRECORDED;
  return err(
    row.error_code === 'subject_blocked'
      ? { kind: 'subject_blocked' }
      : { kind: 'overtaken', status: upstreamStatus, order },
  );
}
