import type { Actor } from '../trail/events.ts';
import { successOutcome } from '../trail/outcomes.ts';
import type { Failure } from '../failures.ts';
import type { KeyedRequest } from '../idempotency/keyed-request.ts';
import { replayOf, type Holder } from '../idempotency/replay.ts';
import type { RequestContext } from '../kit/trace.ts';
import { err, type Result } from '../kit/result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { settleRefusal, type KeyedAttempt } from './refusal.ts';

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
