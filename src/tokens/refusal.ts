import { failureOutcome } from '../trail/outcomes.ts';
import type { Attempt } from '../trail/recorder.ts';
import type { Query } from '../db/database.ts';
import type { Failure } from '../failures.ts';
import { freeKey } from '../idempotency/keys.ts';
import type { KeyedRequest } from '../idempotency/keyed-request.ts';
import { err, type Result } from '../kit/result.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { TokenDependencies } from './dependencies.ts';
import type { BeginningTerms } from './trip-one.ts';

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
