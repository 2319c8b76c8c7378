import { chanceOf } from '../chance.ts';
import type { UpstreamFailure } from '../failures.ts';
import { findUpstream } from '../tokens/reach.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { ClaimedOrder } from './order-queue.ts';
import type { Lists } from './lists.ts';
import { judgeFailure, type Verdict } from './order-judgement.ts';

/**
 * Sends an order to PipeOps, under the id of its row in the trail. One whose token the inventory knows to be gone costs no
 * call; one whose id the inventory lacks is sent only if PipeOps' own list of the workspace has it.
 */
export async function sendOrder(
  { pipeops, runtime }: DriverDependencies,
  order: ClaimedOrder,
  lists: Lists,
): Promise<Verdict> {
  const ref = { workspaceUuid: order.workspace_uuid, tokenId: order.token_id };
  const failed = (failure: UpstreamFailure): Verdict =>
    judgeFailure(order, failure, runtime.now(), chanceOf(runtime.randomBytes(1)));
  if (order.revoked_at !== null) return { kind: 'done', result: 'already_gone', upstreamStatus: null };

  // All calls of an order share a deadline, so that it ends before its lease.
  const call = lists.call(order.id);
  if (order.known === 0) {
    const listed = await lists.once(ref.workspaceUuid, call);
    const found = await findUpstream(pipeops, ref, listed, call);
    if (!found.ok) return failed(found.error);
    if (found.value === null) return { kind: 'done', result: 'not_found', upstreamStatus: null };
  }
  if (order.mode === 'suspend') {
    const suspended = await pipeops.update(ref, { isActive: false }, call);
    if (suspended.ok) return { kind: 'done', result: 'suspended', upstreamStatus: suspended.value.status };
    if (suspended.error.kind !== 'upstream_not_found') return failed(suspended.error);
    return { kind: 'done', result: 'already_gone', upstreamStatus: suspended.error.status };
  }
  const revoked = await pipeops.revoke(ref, call);
  if (!revoked.ok) return failed(revoked.error);
  return { kind: 'done', result: revoked.value.data, upstreamStatus: revoked.value.status };
}
