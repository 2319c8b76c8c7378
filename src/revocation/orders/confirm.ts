import { chanceOf } from '../../kit/backoff.ts';
import { ORDER_LOOK_MAX_QUERIES } from '../../config/limits.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { DriverDependencies } from '../dependencies.ts';
import type { Lists, WorkspaceLook } from './lists.ts';
import { logNotDriven, type Run } from './run.ts';
import type { ClaimedOrder, MovedOrder } from './queue.ts';
import { type Sight, sightOf, sightOfListed } from './sending.ts';
import { afterFailure, afterLook, afterLookUp, afterSilence, afterWorkspaceMissing, type Move } from './states.ts';
import { recordMoves } from './writing.ts';

/**
 * Looks at orders that PipeOps has acknowledged, by one list for each workspace; where that says nothing of a token, the token is
 * asked for by itself. All that a list shows of them is written down in one batch.
 *
 * @returns the orders that were not looked at, since PipeOps wants nothing of us now or this run's share is used up.
 */
export async function lookAt(
  dependencies: DriverDependencies,
  context: RequestContext,
  run: Run,
  claim: string,
  orders: readonly ClaimedOrder[],
): Promise<readonly ClaimedOrder[]> {
  const left: ClaimedOrder[] = [];
  for (const [workspaceUuid, group] of Map.groupBy(orders, ({ workspace_uuid }) => workspace_uuid)) {
    const eventId = group[0]?.id ?? '';
    if (!run.goesOn(ORDER_LOOK_MAX_QUERIES)) {
      left.push(...group);
      continue;
    }
    try {
      const sinceMs = Math.max(...group.map((order) => order.acknowledged_at ?? 0));
      const look = await run.lists.since(workspaceUuid, eventId, sinceMs);
      left.push(...(await judgeGroup(dependencies, context, run, claim, group, look)));
    } catch (error) {
      logNotDriven(dependencies.runtime, eventId, error);
    }
  }
  return left;
}

async function judgeGroup(
  dependencies: DriverDependencies,
  context: RequestContext,
  run: Run,
  claim: string,
  group: readonly ClaimedOrder[],
  look: WorkspaceLook,
): Promise<readonly ClaimedOrder[]> {
  const moved: MovedOrder[] = [];
  const left: ClaimedOrder[] = [];
  for (const order of group) {
    // A list that could not be had is known to all of them at no cost; a token that is asked for by itself is a call.
    const move =
      run.goesOn(ORDER_LOOK_MAX_QUERIES) || look.kind !== 'listed'
        ? await judgeOne(dependencies, run.lists, order, look)
        : null;
    if (move === null) left.push(order);
    else moved.push({ order, move });
    if (move?.endsRun === true) run.end();
    if (move?.columns.error_code === 'revocation_contradicted') {
      dependencies.runtime.log({ level: 'error', event: 'revocation_contradicted', event_id: order.id });
    }
  }
  await recordMoves(dependencies, context, claim, moved);
  return left;
}

async function judgeOne(
  { pipeops, quota, runtime }: DriverDependencies,
  lists: Lists,
  order: ClaimedOrder,
  look: WorkspaceLook,
): Promise<Move> {
  const moment = () => ({ nowMs: runtime.now(), chance: chanceOf(runtime.randomBytes(1)) });
  if (look.kind === 'unread') return afterSilence(order, moment());
  if (look.kind === 'failed') {
    return look.isWorkspaceMissing
      ? afterWorkspaceMissing(order, look.failure, moment())
      : afterFailure(order, look.failure, moment());
  }
  const judge = (sight: Sight, begunAtMs: number): Move =>
    afterLook(order, sight, {
      nowMs: runtime.now(),
      // A pause is drawn only where one is made.
      chance: sight === 'alive' ? moment().chance : 0,
      begunAtMs,
      updatedUntilMs: order.updated_until,
      isLifted: order.known === 1 && order.suspended_by === null,
    });
  const listed = sightOfListed(order, look);
  if (listed !== 'silent') return judge(listed, look.begunAtMs);
  const begunAtMs = runtime.now();
  // An order of what nothing here knows has ended as not found, or waits for that.
  const call = order.known === 0 && order.result === 'not_found' ? lists.lookUp(order.id) : lists.call(order.id);
  if (call === null) return afterSilence(order, moment());
  const got = await pipeops.get({ workspaceUuid: order.workspace_uuid, tokenId: order.token_id }, call);
  if (got.ok) return judge(sightOf(order.mode, got.value.data), begunAtMs);
  // The workspace's list was answered, so what PipeOps does not find is the token.
  if (got.error.kind === 'upstream_not_found') return judge('absent', begunAtMs);
  return afterLookUp(quota, order, got.error, moment());
}
