import { ORDER_LOOK_MAX_QUERIES } from '../../config/limits.ts';
import { isProofOfAbsence } from '../../inventory/absence.ts';
import { chanceOf } from '../../kit/backoff.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { TokenList, UpstreamToken } from '../../pipeops/types.ts';
import type { RevocationMode } from '../../vocabulary.ts';
import type { DriverDependencies } from '../dependencies.ts';
import type { LeasedOrder, MovedOrder } from './queue.ts';
import { afterFailure, afterLook, afterLookUp, afterSilence, afterWorkspaceMissing, type Move } from './rules.ts';
import { type Lists, logNotDriven, type Run, type WorkspaceLook } from './run.ts';
import type { LookedAtState } from './states.ts';
import { recordMoves } from './writing.ts';

/**
 * Looks at orders that PipeOps has acknowledged, by one list for each workspace. Where the list says nothing of a token, the token
 * is asked for by itself. All that a list shows of them is written down in one batch.
 *
 * @returns the orders that were not looked at, since PipeOps takes no calls now or this run's budget is used up.
 */
export async function lookAt(
  dependencies: DriverDependencies,
  context: RequestContext,
  run: Run,
  lease: string,
  orders: readonly LeasedOrder<LookedAtState>[],
): Promise<readonly LeasedOrder[]> {
  const left: LeasedOrder[] = [];
  for (const [workspaceUuid, group] of Map.groupBy(orders, ({ workspace_uuid }) => workspace_uuid)) {
    const eventId = group[0]?.id ?? '';
    if (!run.goesOn(ORDER_LOOK_MAX_QUERIES)) {
      left.push(...group);
      continue;
    }
    try {
      const sinceMs = Math.max(...group.map((order) => order.acknowledged_at ?? 0));
      const look = await run.lists.since(workspaceUuid, eventId, sinceMs);
      left.push(...(await judgeGroup(dependencies, context, run, lease, group, look)));
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
  lease: string,
  group: readonly LeasedOrder<LookedAtState>[],
  look: WorkspaceLook,
): Promise<readonly LeasedOrder[]> {
  const moved: MovedOrder[] = [];
  const left: LeasedOrder[] = [];
  for (const order of group) {
    // That a list failed is known to all of them at no cost, and a token that is asked for by itself is a call.
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
  await recordMoves(dependencies, context, lease, moved);
  return left;
}

async function judgeOne(
  { pipeops, quota, runtime }: DriverDependencies,
  lists: Lists,
  order: LeasedOrder<LookedAtState>,
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
      // Chance is drawn only where a pause is made.
      chance: sight === 'alive' ? moment().chance : 0,
      begunAtMs,
      updatedUntilMs: order.updated_until,
      isLifted: order.known === 1 && order.suspended_by === null,
    });
  const listed = sightOfListed(order, look);
  if (listed !== 'silent') return judge(listed, look.begunAtMs);
  const begunAtMs = runtime.now();
  // An order whose token nothing here knows has ended as not found, or waits for that.
  const call = order.known === 0 && order.result === 'not_found' ? lists.lookUp(order.id) : lists.call(order.id);
  if (call === null) return afterSilence(order, moment());
  const got = await pipeops.get({ workspaceUuid: order.workspace_uuid, tokenId: order.token_id }, call);
  if (got.ok) return judge(sightOf(order.mode, got.value.data), begunAtMs);
  // The workspace's list was answered, so the 404 is about the token.
  if (got.error.kind === 'upstream_not_found') return judge('absent', begunAtMs);
  return afterLookUp(quota, order, got.error, moment());
}

/**
 * What a look shows of an order's token. `alive`: as if there were no order. `inactive`: suspended. `absent`: the look proves
 * that it is not there. `silent`: the look says nothing about it.
 */
export type Sight = 'alive' | 'inactive' | 'revoked' | 'expired' | 'absent' | 'silent';

/** A token as PipeOps shows it. Whether it is active matters to a suspension alone, and PipeOps may leave that out. */
export function sightOf(mode: RevocationMode, { isRevoked, isExpired, isActive }: UpstreamToken): Sight {
  if (isRevoked) return 'revoked';
  if (isExpired) return 'expired';
  if (mode === 'revoke' || isActive === true) return 'alive';
  return isActive === null ? 'silent' : 'inactive';
}

/**
 * What a list shows of a token. Only a complete list proves an end. `silent` means that the token has to be asked for by itself.
 *
 * @param there the token in the list, or undefined if the list lacks it.
 * @param isNoProof whether the list lacks so many tokens that it proves no absence.
 */
export function sightIn(
  mode: RevocationMode,
  list: Pick<TokenList, 'complete' | 'pages'>,
  there: UpstreamToken | undefined,
  isNoProof: boolean,
): Sight {
  if (there === undefined) return isProofOfAbsence(list) && !isNoProof ? 'absent' : 'silent';
  const sight = sightOf(mode, there);
  return list.complete || (sight !== 'revoked' && sight !== 'expired') ? sight : 'silent';
}

/** What a list shows of an order's token. */
export const sightOfListed = (
  { mode, token_id }: Pick<LeasedOrder, 'mode' | 'token_id'>,
  { list, shown, isNoProof }: Extract<WorkspaceLook, { kind: 'listed' }>,
): Sight => sightIn(mode, list, shown.get(token_id), isNoProof);
