import type { EventOutcome } from '../audit/events.ts';
import { announceLate } from '../audit/late-settlement.ts';
import { successOutcome } from '../audit/outcomes.ts';
import type { RequestContext } from '../request-context.ts';
import { raiseGeneration } from '../snapshot/generation.ts';
import { markRevoked } from '../tokens/inventory.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { Verdict } from './order-judgement.ts';
import { finishOrder, postponeOrder, type ClaimedOrder } from './order-queue.ts';

/**
 * Writes down what became of an order: its row in the trail is settled, and the order and the inventory with it, in one
 * batch; or it is put off. True: it has ended, and D1 says so.
 */
export async function recordVerdict(
  { database, recorder, runtime, quota }: DriverDependencies,
  context: RequestContext,
  claim: string,
  order: ClaimedOrder,
  verdict: Verdict,
): Promise<boolean> {
  if (verdict.kind === 'later') {
    const queries = [
      postponeOrder(database, claim, order.id, verdict.nextAtMs, verdict.errorCode),
      // PipeOps may have done it all the same; saying that it wants nothing of us, it has not.
      ...(verdict.errorCode === 'upstream_rate_limited' ? [] : [raiseGeneration(database, order.workspace_uuid)]),
      ...quota.news(database, runtime.now()),
    ];
    // Where D1 does not take it, the lease ends all the same.
    await database.batch(context, queries);
    return false;
  }
  const { id, workspace_uuid: workspaceUuid, token_id: tokenId } = order;
  const nowMs = runtime.now();
  const outcome = outcomeOf(order, verdict);
  const isGone = verdict.kind === 'done' && (verdict.result === 'revoked' || verdict.result === 'already_gone');
  const result = verdict.kind === 'done' ? verdict.result : null;
  const end = { state: stateAfter(order, verdict), result, errorCode: outcome.errorCode, nowMs };
  // Made up before the batch, so that a repeat of it repeats the same.
  const announcement = { eventId: runtime.newId(), nowMs };
  const row = {
    id,
    occurred_at: order.created_at,
    action: order.mode === 'revoke' ? 'service_account_token.revoke' : 'service_account_token.update',
    workspace_uuid: workspaceUuid,
    token_id: tokenId,
    token_name: null,
  };
  const settlement = await recorder.settle(context, { eventId: id, tokenId }, outcome, (guard) => [
    finishOrder(database, id, end, guard),
    ...(isGone ? [markRevoked(database, { workspaceUuid, tokenId }, nowMs, guard)] : []),
    raiseGeneration(database, workspaceUuid),
    ...quota.news(database, nowMs),
    ...announceLate(database, context, announcement, row, outcome, guard),
  ]);
  return settlement.kind === 'own';
}

function stateAfter({ confirms }: ClaimedOrder, verdict: Verdict): 'acknowledged' | 'confirmed' | 'failed' {
  if (verdict.kind !== 'done') return 'failed';
  return confirms === 1 && verdict.result !== 'not_found' ? 'acknowledged' : 'confirmed';
}

function outcomeOf({ tries }: ClaimedOrder, verdict: Exclude<Verdict, { kind: 'later' }>): EventOutcome {
  const detail = { tries };
  if (verdict.kind === 'given_up') {
    return { status: 'failure', upstreamStatus: null, errorCode: verdict.errorCode, detail };
  }
  const { result, upstreamStatus } = verdict;
  if (result === 'not_found') return { status: 'failure', upstreamStatus, errorCode: 'not_found', detail };
  return successOutcome(upstreamStatus, { ...detail, ...(result === 'already_gone' && { already_gone: true }) });
}
