import type { Query } from '../db/database.ts';
import type { Failure } from '../failures.ts';
import { freeKey, type Holder, replayOf } from '../idempotency/keys.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import { err, type Result } from '../kit/result.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { TokenDependencies } from './dependencies.ts';
import type { BeginningTerms } from './trip-one.ts';
import { type Actor, failureOutcome, successOutcome } from '../trail/event.ts';
import type { Attempt } from '../trail/recorder.ts';

/** An attempt, and the idempotency key that its request came with; null: none. */
export interface KeyedAttempt extends Attempt {
  readonly keyed: KeyedRequest | null;
}

/**
 * Nothing was changed upstream, as far as is known, and the row says why before the caller hears it. A key that the request
 * holds is free for another try.
 */
export async function settleRefusal(
  { recorder, database, quota, runtime }: Pick<TokenDependencies, 'recorder' | 'database' | 'quota' | 'runtime'>,
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
 * The refusal of a request that has no row yet, since its caller was denied too often in this minute. It is recorded before the
 * caller hears it, like any other, and holds no key.
 */
export async function recordRefusal(
  { recorder, database, quota, runtime }: Pick<TokenDependencies, 'recorder' | 'database' | 'quota' | 'runtime'>,
  context: RequestContext,
  { subject, eventId }: BeginningTerms,
  failure: Failure,
): Promise<Result<never, Failure>> {
  const news = quota.news(database, runtime.now());
  const recorded = await recorder.record(context, subject, failureOutcome(failure), news, { eventId });
  return recorded.ok ? err(failure) : recorded;
}

/**
 * Another create holds the key: its answer once more, or why not. Nothing goes to PipeOps, and the secret leaves only once
 * this request's own row says so and whose answer it was.
 *
 * @param role that allows the request today.
 */
export async function answerAgain(
  dependencies: TokenDependencies,
  context: RequestContext,
  actor: Actor,
  attempt: KeyedAttempt,
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
  // A leaver gets no secret, be it one that it had before.
  const settlement = await dependencies.recorder.settle(context, attempt, outcome, undefined, { blocked: actor });
  if (settlement.kind === 'own') return answer;
  if (settlement.kind !== 'blocked') return err({ kind: 'audit_unavailable' });
  return await settleRefusal(dependencies, context, attempt, { kind: 'subject_blocked' });
}
