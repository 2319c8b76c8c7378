import { chanceOf } from '../chance.ts';
import { ORDERS_GIVE_UP_MS } from '../config/limits.ts';
import type { RequestContext } from '../request-context.ts';
import { raiseGeneration } from '../snapshot/generation.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { Listed, Lists } from './lists.ts';
import { logNotDriven } from './not-driven.ts';
import { pauseMs } from './order-judgement.ts';
import { confirmOrders, finishOrder, isHeld, postponeOrder, type ClaimedOrder } from './order-queue.ts';

/**
 * Confirms that revoked tokens are gone, by one list for each workspace. A token that is still listed alive is revoked once
 * more; whatever cannot be confirmed is looked at again later, for as long as an order is driven.
 *
 * @returns the orders that were not looked at, since PipeOps wants nothing of us now or the lease is about to end.
 */
export async function confirmGone(
  dependencies: DriverDependencies,
  context: RequestContext,
  claim: string,
  orders: readonly ClaimedOrder[],
  lists: Lists,
  isInTime: () => boolean,
): Promise<readonly ClaimedOrder[]> {
  const byWorkspace = Map.groupBy(orders, ({ workspace_uuid }) => workspace_uuid);
  const left: ClaimedOrder[] = [];
  for (const [workspaceUuid, group] of byWorkspace) {
    if (!isInTime()) return [...left, ...[...byWorkspace.values()].flat()];
    const firstId = group[0]?.id ?? '';
    try {
      const listed = await lists.fresh(workspaceUuid, firstId);
      if (!listed.ok && listed.error.kind === 'upstream_rate_limited')
        return [...left, ...[...byWorkspace.values()].flat()];
      byWorkspace.delete(workspaceUuid);
      left.push(...(await judgeGroup(dependencies, context, claim, group, listed, lists, isInTime)));
    } catch (error) {
      byWorkspace.delete(workspaceUuid);
      logNotDriven(dependencies.runtime, firstId, error);
    }
  }
  return left;
}

async function judgeGroup(
  dependencies: DriverDependencies,
  context: RequestContext,
  claim: string,
  group: readonly ClaimedOrder[],
  listed: Listed,
  lists: Lists,
  isInTime: () => boolean,
): Promise<readonly ClaimedOrder[]> {
  const { database, runtime, quota } = dependencies;
  const gone: string[] = [];
  const open: ClaimedOrder[] = [];
  const judged = new Set<ClaimedOrder>();
  for (const order of group) {
    if (!isInTime()) break;
    judged.add(order);
    if (await isGone(dependencies, order, listed, lists)) gone.push(order.id);
    else open.push(order);
  }
  const nowMs = runtime.now();
  const queries = [
    ...(gone.length > 0 ? [confirmOrders(database, claim, gone, nowMs)] : []),
    ...open.map((order) =>
      nowMs - (order.begun_at ?? nowMs) >= ORDERS_GIVE_UP_MS
        ? finishOrder(database, order.id, { state: 'failed', result: 'revoked', errorCode: null, nowMs }, isHeld(claim))
        : postponeOrder(
            database,
            claim,
            order.id,
            nowMs + pauseMs(order.tries, chanceOf(runtime.randomBytes(1))),
            null,
          ),
    ),
    // One of them may have been revoked once more, after lists in which it was alive.
    ...open.slice(0, 1).map(({ workspace_uuid: workspaceUuid }) => raiseGeneration(database, workspaceUuid)),
    ...quota.news(database, nowMs),
  ];
  await database.batch(context, queries);
  return group.filter((order) => !judged.has(order));
}

/** Absence counts in a complete list; where the list is partial, the token is asked for by itself. */
async function isGone(
  { pipeops, runtime }: DriverDependencies,
  order: ClaimedOrder,
  listed: Listed,
  lists: Lists,
): Promise<boolean> {
  if (!listed.ok) return false;
  const ref = { workspaceUuid: order.workspace_uuid, tokenId: order.token_id };
  const there = listed.value.data.tokens.find((token) => token.id === order.token_id);
  if (there !== undefined && !there.isRevoked) {
    runtime.log({ level: 'error', event: 'revoked_token_still_listed', event_id: order.id });
    await pipeops.revoke(ref, lists.call(order.id));
    return false;
  }
  if (there !== undefined || listed.value.data.complete) return true;
  const got = await pipeops.get(ref, lists.call(order.id));
  return got.ok ? got.value.data.isRevoked : got.error.kind === 'upstream_not_found';
}
