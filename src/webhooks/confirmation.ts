import { sql } from 'drizzle-orm';
import { chanceOf } from '../chance.ts';
import { D1_TIMEOUT_MS, ORDERS_GIVE_UP_MS } from '../config/limits.ts';
import type { RequestContext } from '../request-context.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { Listed, Lists } from './lists.ts';
import { pauseMs } from './order-judgement.ts';
import { confirmOrders, finishOrder, postponeOrder, type ClaimedOrder } from './order-queue.ts';

/**
 * Confirms that revoked tokens are gone, by one list for each workspace. A token that is still listed alive is revoked once
 * more; whatever cannot be confirmed is looked at again later, for as long as an order is driven.
 *
 * @returns the orders that were not looked at, since PipeOps wants nothing of us now.
 */
export async function confirmGone(
  dependencies: DriverDependencies,
  context: RequestContext,
  claim: string,
  orders: readonly ClaimedOrder[],
  lists: Lists,
): Promise<readonly ClaimedOrder[]> {
  const byWorkspace = Map.groupBy(orders, ({ workspace_uuid }) => workspace_uuid);
  for (const [workspaceUuid, group] of byWorkspace) {
    const listed = await lists.fresh(workspaceUuid, group[0]?.id ?? '');
    if (!listed.ok && listed.error.kind === 'upstream_rate_limited') return [...byWorkspace.values()].flat();
    byWorkspace.delete(workspaceUuid);
    await judgeGroup(dependencies, context, claim, group, listed, lists);
  }
  return [];
}

async function judgeGroup(
  dependencies: DriverDependencies,
  context: RequestContext,
  claim: string,
  group: readonly ClaimedOrder[],
  listed: Listed,
  lists: Lists,
): Promise<void> {
  const { database, runtime, quota } = dependencies;
  const gone: string[] = [];
  const open: ClaimedOrder[] = [];
  for (const order of group) {
    if (await isGone(dependencies, order, listed, lists)) gone.push(order.id);
    else open.push(order);
  }
  const nowMs = runtime.now();
  const queries = [
    ...(gone.length > 0 ? [confirmOrders(database, claim, gone, nowMs)] : []),
    ...open.map((order) =>
      nowMs - order.begun_at >= ORDERS_GIVE_UP_MS
        ? finishOrder(database, order.id, { state: 'failed', result: 'revoked', errorCode: null, nowMs }, sql`true`)
        : postponeOrder(
            database,
            claim,
            order.id,
            nowMs + pauseMs(order.tries, chanceOf(runtime.randomBytes(1))),
            null,
          ),
    ),
    ...quota.news(database, nowMs),
  ];
  await database.batch(context, queries, runtime.timeout(D1_TIMEOUT_MS));
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
