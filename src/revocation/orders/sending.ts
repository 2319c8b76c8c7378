import type { UpstreamFailure } from '../../failures.ts';
import { judgeAbsence } from '../../inventory/absence.ts';
import { recordAbsence, recordPresence } from '../../inventory/drift.ts';
import { chanceOf } from '../../kit/backoff.ts';
import { isElsewhere, isWithin } from '../../kit/ids.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { DriverDependencies } from '../dependencies.ts';
import { sightOf, sightOfListed } from './confirm.ts';
import type { LeasedOrder } from './queue.ts';
import {
  afterAbsence,
  afterAcknowledgement,
  afterDenial,
  afterEnd,
  afterFailure,
  afterLookUp,
  afterOneProof,
  afterSilence,
  afterUpdate,
  afterWorkspaceMissing,
  type Moment,
  type Move,
} from './rules.ts';
import type { Lists, WorkspaceLook } from './run.ts';

type OpenOrder = LeasedOrder<'open'>;
type NotFound = Extract<UpstreamFailure, { kind: 'upstream_not_found' }>;

/** Sends orders to PipeOps and says what becomes of each. It writes nothing about the orders themselves. */
export interface Sending {
  /** What becomes of an order that is sent. An order whose token's end is proven costs no call. */
  send(order: OpenOrder): Promise<Move>;
  /** What becomes of an order that a workspace's list, or its failure, settles. Null if the order has to be sent. */
  settleFrom(look: WorkspaceLook, order: OpenOrder): Move | null;
}

export function createSending(dependencies: DriverDependencies, context: RequestContext, lists: Lists): Sending {
  const { pipeops, quota, runtime } = dependencies;
  const moment = (): Moment => ({ nowMs: runtime.now(), chance: chanceOf(runtime.randomBytes(1)) });
  const atMs = (): Moment => ({ nowMs: runtime.now(), chance: 0 });

  const send = async (order: OpenOrder): Promise<Move> => {
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
    // What an answer leaves out, a later look finds.
    if (data.isActive === true)
      return afterFailure(order, { kind: 'upstream_disobeyed', status, detail: {} }, moment());
    return afterAcknowledgement(order, 'suspended', status, atMs());
  };

  const knownEnd = (order: OpenOrder): Move | null => {
    if (order.ended_by === 'absent') return endOf(order, 'already_gone', null, runtime.now(), atMs());
    return order.ended_by === 'acknowledged' ? afterAcknowledgement(order, 'already_gone', null, atMs()) : null;
  };

  /**
   * What becomes of an order whose token the inventory lacks. Null if PipeOps' list of the workspace, or its answer about the id,
   * has the token there: only then is the order sent.
   */
  const seekUnknown = async (order: OpenOrder): Promise<Move | null> => {
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
      // PipeOps does not say in which workspace it is: no reason to send the order, and no proof of absence.
      return afterFailure(order, { kind: 'upstream_invalid_response', status: got.value.status }, moment());
    }
    if (got.error.kind !== 'upstream_not_found') return afterLookUp(quota, order, got.error, moment());
    return absenceOf(order, got.error.status, begunAtMs);
  };

  /** A 404 is about the token only while the workspace's list is answered, and then it is one proof of its absence. */
  const judgeNotFound = async (order: OpenOrder, failure: NotFound, begunAtMs: number): Promise<Move> => {
    const look = await lists.any(order.workspace_uuid, order.id, order.created_at);
    if (look.kind !== 'listed') return unlisted(order, look);
    const sight = sightOfListed(order, look);
    const { status } = failure;
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
    return afterOneProof(order, null, atMs());
  };

  /** Where the list says nothing of the token, a GET may contradict the 404. Null if it agrees. */
  const judgeAlone = async (order: OpenOrder, failure: UpstreamFailure): Promise<Move | null> => {
    const ref = { workspaceUuid: order.workspace_uuid, tokenId: order.token_id };
    const begunAtMs = runtime.now();
    const got = await pipeops.get(ref, lists.call(order.id));
    if (!got.ok) return got.error.kind === 'upstream_not_found' ? null : afterFailure(order, got.error, moment());
    await recordPresence(dependencies, context, ref, got.value.data, begunAtMs);
    const sight = sightOf(order.mode, got.value.data);
    if (sight !== 'revoked' && sight !== 'expired') return afterDenial(order, failure, moment());
    return endOf(order, sight === 'expired' ? 'expired' : 'already_gone', got.value.status, begunAtMs, atMs());
  };

  /** A proof of absence of a token that the inventory lacks. The order itself keeps since when the token is missed. */
  const absenceOf = (order: OpenOrder, upstreamStatus: number | null, begunAtMs: number): Move => {
    const finding = judgeAbsence({ settledAtMs: order.created_at, unseenAtMs: order.unseen_at }, begunAtMs);
    const unseenAtMs = finding === 'too_early' ? null : (order.unseen_at ?? begunAtMs);
    return afterAbsence(order, finding, { result: 'not_found', unseenAtMs }, upstreamStatus, atMs());
  };

  const unlisted = (order: OpenOrder, look: Exclude<WorkspaceLook, { kind: 'listed' }>): Move => {
    if (look.kind === 'unread') return afterSilence(order, moment());
    return look.isWorkspaceMissing
      ? afterWorkspaceMissing(order, look.failure, moment())
      : afterFailure(order, look.failure, moment());
  };

  const settleFrom = (look: WorkspaceLook, order: OpenOrder): Move | null => {
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
      : afterOneProof(order, null, atMs());
  };
  return { send, settleFrom };
}

/** The token ended without this order, once no update is under way beside it. */
function endOf(
  order: OpenOrder,
  result: 'already_gone' | 'expired',
  upstreamStatus: number | null,
  begunAtMs: number,
  moment: Moment,
): Move {
  const look = { ...moment, begunAtMs, updatedUntilMs: order.updated_until };
  return afterUpdate(order, look) ?? afterEnd(order, result, upstreamStatus, moment);
}
