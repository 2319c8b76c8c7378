import type { UpstreamFailure } from '../../failures.ts';
import { isProofOfAbsence, judgeAbsence } from '../../inventory/absence.ts';
import { recordAbsence, recordPresence } from '../../inventory/drift.ts';
import { chanceOf } from '../../kit/backoff.ts';
import { isElsewhere, isWithin } from '../../kit/ids.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { TokenList, UpstreamToken } from '../../pipeops/types.ts';
import type { DriverDependencies } from '../dependencies.ts';
import type { Lists, WorkspaceLook } from './lists.ts';
import type { ClaimedOrder } from './queue.ts';
import {
  afterAbsence,
  afterAcknowledgement,
  afterDenial,
  afterEnd,
  afterFailure,
  afterLookUp,
  afterSilence,
  afterUpdate,
  afterWorkspaceMissing,
  type Moment,
  type Move,
} from './states.ts';
import type { RevocationMode } from '../../vocabulary.ts';

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
 * What a list shows of a token. Only a complete one proves an end; `silent` where the token has to be asked for by itself.
 *
 * @param there the token in the list; undefined: the list lacks it.
 * @param isNoProof the list lacks so many tokens that it proves no absence.
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

/** Sends orders to PipeOps, one after the other, and says what became of each. Nothing is written of the orders themselves. */
export interface Sender {
  /** What a try makes of an order. One whose token's end is proven costs no call. */
  send(order: ClaimedOrder): Promise<Move>;
  /** What a list makes of an order that it may settle without being sent; null: the order has to be sent. */
  hold(order: ClaimedOrder, look: WorkspaceLook): Move | null;
}

export function createSender(dependencies: DriverDependencies, context: RequestContext, lists: Lists): Sender {
  const { pipeops, quota, runtime } = dependencies;
  const moment = (): Moment => ({ nowMs: runtime.now(), chance: chanceOf(runtime.randomBytes(1)) });
  const atMs = (): Moment => ({ nowMs: runtime.now(), chance: 0 });

  const send = async (order: ClaimedOrder): Promise<Move> => {
    const ended = knownEnd(order);
    if (ended !== null) return ended;
    const ref = { workspaceUuid: order.workspace_uuid, tokenId: order.token_id };
    // All calls of an order share a deadline, so that it ends before its lease.
    const call = lists.call(order.id);
    if (order.known === 0) {
      const unknown = await seekUnknown(order);
      if (unknown !== null) return unknown;
    }
    const begunAtMs = runtime.now();
    const answered =
      order.mode === 'revoke' ? await pipeops.revoke(ref, call) : await pipeops.update(ref, { isActive: false }, call);
    if (!answered.ok) {
      const { error } = answered;
      return error.kind === 'upstream_not_found'
        ? await judgeNotFound(order, error, begunAtMs)
        : afterFailure(order, error, moment());
    }
    lists.outdate(ref.workspaceUuid);
    const { status, data } = answered.value;
    if (data === 'revoked') return afterAcknowledgement(order, 'revoked', status, atMs());
    // What an answer leaves out is left to the look.
    if (data.isActive === true)
      return afterFailure(order, { kind: 'upstream_disobeyed', status, detail: {} }, moment());
    return afterAcknowledgement(order, 'suspended', status, atMs());
  };

  const knownEnd = (order: ClaimedOrder): Move | null => {
    if (order.ended_by === 'absent') return endOf(order, 'already_gone', null, runtime.now(), atMs());
    return order.ended_by === 'acknowledged' ? afterAcknowledgement(order, 'already_gone', null, atMs()) : null;
  };

  /** An id that the inventory lacks is acted on only if PipeOps' own list of the workspace, or its answer about it, has it there. */
  const seekUnknown = async (order: ClaimedOrder): Promise<Move | null> => {
    const look = await lists.any(order.workspace_uuid, order.id, order.created_at);
    if (look.kind !== 'listed') return unlisted(order, look);
    const sight = sightOfListed(order, look);
    if (sight !== 'silent' || look.shown.has(order.token_id)) {
      return sight === 'absent' ? absenceOf(order, null, look.begunAtMs) : null;
    }
    const begunAtMs = runtime.now();
    const ref = { workspaceUuid: order.workspace_uuid, tokenId: order.token_id };
    const call = lists.lookUp(order.id);
    if (call === null) return afterSilence(order, moment());
    const got = await pipeops.get(ref, call);
    if (got.ok) {
      const { workspaceId } = got.value.data;
      if (isWithin(ref.workspaceUuid, workspaceId)) return null;
      if (isElsewhere(ref.workspaceUuid, workspaceId)) return absenceOf(order, null, begunAtMs);
      // It is somewhere, and nothing says where: that is neither a reason to send the order nor a proof of absence.
      return afterFailure(order, { kind: 'upstream_invalid_response', status: got.value.status }, moment());
    }
    if (got.error.kind !== 'upstream_not_found') return afterLookUp(quota, order, got.error, moment());
    return absenceOf(order, got.error.status, begunAtMs);
  };

  /** A 404 is about the token only while the workspace's list is answered, and then it is one proof of its absence. */
  const judgeNotFound = async (order: ClaimedOrder, failure: UpstreamFailure, begunAtMs: number): Promise<Move> => {
    const look = await lists.any(order.workspace_uuid, order.id, order.created_at);
    if (look.kind !== 'listed') return unlisted(order, look);
    const sight = sightOfListed(order, look);
    const status = 'status' in failure ? failure.status : null;
    if (sight === 'alive' || sight === 'inactive') return afterDenial(order, failure, moment());
    if (sight === 'revoked' || sight === 'expired') {
      return endOf(order, sight === 'expired' ? 'expired' : 'already_gone', status, look.begunAtMs, atMs());
    }
    const ref = { workspaceUuid: order.workspace_uuid, tokenId: order.token_id };
    if (sight === 'silent') {
      const shown = await judgeAlone(order, failure);
      if (shown !== null) return shown;
    }
    const finding = await recordAbsence(dependencies, context, ref, begunAtMs);
    if (finding === 'unknown') return absenceOf(order, status, begunAtMs);
    if (finding === 'gone') return endOf(order, 'already_gone', status, begunAtMs, atMs());
    return afterAbsence(order, finding, { result: 'already_gone', unseenAtMs: null }, status, atMs());
  };

  /** Where the list does not speak of the token, a GET may contradict the 404. Null: it agrees. */
  const judgeAlone = async (order: ClaimedOrder, failure: UpstreamFailure): Promise<Move | null> => {
    const ref = { workspaceUuid: order.workspace_uuid, tokenId: order.token_id };
    const begunAtMs = runtime.now();
    const got = await pipeops.get(ref, lists.call(order.id));
    if (!got.ok) return got.error.kind === 'upstream_not_found' ? null : afterFailure(order, got.error, moment());
    await recordPresence(dependencies, context, ref, got.value.data, begunAtMs);
    const sight = sightOf(order.mode, got.value.data);
    if (sight !== 'revoked' && sight !== 'expired') return afterDenial(order, failure, moment());
    return endOf(order, sight === 'expired' ? 'expired' : 'already_gone', got.value.status, begunAtMs, atMs());
  };

  /** A proof of absence of a token that the inventory lacks: the order keeps since when it is missed. */
  const absenceOf = (order: ClaimedOrder, upstreamStatus: number | null, begunAtMs: number): Move => {
    const finding = judgeAbsence({ settledAtMs: order.created_at, unseenAtMs: order.unseen_at }, begunAtMs);
    const unseenAtMs = finding === 'too_early' ? null : (order.unseen_at ?? begunAtMs);
    return afterAbsence(order, finding, { result: 'not_found', unseenAtMs }, upstreamStatus, atMs());
  };

  const unlisted = (order: ClaimedOrder, look: Exclude<WorkspaceLook, { kind: 'listed' }>): Move => {
    if (look.kind === 'unread') return afterSilence(order, moment());
    return look.isWorkspaceMissing
      ? afterWorkspaceMissing(order, look.failure, moment())
      : afterFailure(order, look.failure, moment());
  };

  const hold = (order: ClaimedOrder, look: WorkspaceLook): Move | null => {
    const ended = knownEnd(order);
    if (ended !== null) return ended;
    if (look.kind !== 'listed') return unlisted(order, look);
    const sight = sightOfListed(order, look);
    if (sight === 'revoked' || sight === 'expired') {
      return endOf(order, sight === 'expired' ? 'expired' : 'already_gone', null, look.begunAtMs, atMs());
    }
    if (sight !== 'absent' || order.known === 0) return null;
    return look.gone.has(order.token_id)
      ? endOf(order, 'already_gone', null, look.begunAtMs, atMs())
      : afterAbsence(order, 'unseen', { result: 'already_gone', unseenAtMs: null }, null, atMs());
  };
  return { send, hold };
}

/** What a list shows of an order's token. */
export const sightOfListed = (
  { mode, token_id }: Pick<ClaimedOrder, 'mode' | 'token_id'>,
  { list, shown, isNoProof }: Extract<WorkspaceLook, { kind: 'listed' }>,
): Sight => sightIn(mode, list, shown.get(token_id), isNoProof);

/** The end of a token that has not been sent the order, once no update is under way beside it. */
function endOf(
  order: ClaimedOrder,
  result: 'already_gone' | 'expired',
  upstreamStatus: number | null,
  begunAtMs: number,
  moment: Moment,
): Move {
  const look = { ...moment, begunAtMs, updatedUntilMs: order.updated_until, isLifted: false };
  return afterUpdate(order, look) ?? afterEnd(order, result, upstreamStatus, moment);
}
