import {
  ABSENCE_GAP_MS,
  CONFIRM_AFTER_UPDATE_MS,
  CONFIRM_PAUSES_MS,
  CONTRADICTION_AFTER_MS,
  ORDERS_BACKOFF_FIRST_MS,
  ORDERS_BACKOFF_MAX_MS,
  ORDERS_GIVE_UP_MS,
  REVOCATION_TRY_MS,
  UPSTREAM_WAIT_DEFAULT_MS,
} from '../../config/limits.ts';
import type { OrderRow } from '../../db/schema.ts';
import { codeOf, type UpstreamFailure } from '../../failures.ts';
import type { AbsenceFinding } from '../../inventory/absence.ts';
import type { Quota } from '../../pipeops/quota.ts';
import { type EventOutcome, successOutcome } from '../../trail/event.ts';
import type { ErrorCode, OrderResult, OrderState } from '../../vocabulary.ts';
import type { Sight } from './confirm.ts';
import {
  type Before,
  type DrivenState,
  isInState,
  type LookedAtState,
  type OrderColumns,
  SENT,
  transition,
  type TransitionName,
  type Written,
} from './states.ts';

// What an answer of PipeOps, a look or the passing of time makes of an order: which transition it takes, and when its next step
// is due. All of it is pure. `states.ts` has the transitions, and `writing.ts` writes them down.

/** An order in one of these states, as it is judged. */
export type OrderSoFar<S extends OrderState = DrivenState> = S extends OrderState
  ? OrderColumns & Pick<OrderRow, 'mode' | 'created_at'> & { readonly state: S }
  : never;
type OpenOrder = OrderSoFar<'open'>;

/** What an order becomes, and what goes with it. */
export interface Move {
  readonly transition: TransitionName;
  readonly columns: OrderColumns;
  /** How the order's row in the trail is settled if that is still open; null if it stays as it is. */
  readonly outcome: EventOutcome | null;
  /** Whether PipeOps has acknowledged that this order ends the token. */
  readonly endsToken: boolean;
  /** Whether PipeOps would answer every other order in the same way. The run ends then. */
  readonly endsRun: boolean;
}

/** When an order is judged, and what its pause leaves to chance, from 0 to 1. */
export interface Moment {
  readonly nowMs: number;
  readonly chance: number;
}

/** A look at a token, and what else bears on what it means. */
export interface LookContext extends Moment {
  readonly begunAtMs: number;
  /**
   * When the last update was settled that was under way beside the order: far in the future while one is under way, null if
   * there was none.
   */
  readonly updatedUntilMs: number | null;
  /** Whether nothing here suspends the token any more. */
  readonly isLifted: boolean;
}

/** PipeOps has said 2xx to the order, or to another revoke of ours (`already_gone`). Looks at the token begin at once. */
export const afterAcknowledgement = (
  order: OpenOrder,
  result: 'revoked' | 'suspended' | 'already_gone',
  upstreamStatus: number | null,
  { nowMs }: Moment,
): Move => {
  const columns = {
    result,
    error_code: null,
    tries: triesAfterSuccess(order),
    next_at: nowMs + CONFIRM_PAUSES_MS[0],
    begun_at: null,
    acknowledged_at: nowMs,
    confirmed_at: null,
    confirm_round: 0,
    unseen_at: null,
  };
  const outcome = successOf(order, result, upstreamStatus);
  return { ...move('acknowledge', order, columns), outcome, endsToken: result === 'revoked' };
};

/** The rule of absence, or a complete list, says that the token has ended. What is concluded is looked at again. */
export const afterEnd = (
  order: OpenOrder,
  result: 'already_gone' | 'expired' | 'not_found',
  upstreamStatus: number | null,
  { nowMs }: Moment,
): Move => {
  const columns = {
    result,
    error_code: null,
    tries: 0,
    begun_at: null,
    acknowledged_at: nowMs,
    confirmed_at: nowMs,
    unseen_at: null,
    contradicted_at: null,
    ...nextRound(nowMs, nowMs),
  };
  return { ...move('conclude', order, columns), outcome: successOf(order, result, upstreamStatus) };
};

/**
 * A proof of absence of the order's token, as the rule of absence takes it.
 *
 * @param unseenAtMs since when a token is missed that the inventory lacks; null for all others, of which the inventory keeps it.
 */
export function afterAbsence(
  order: OpenOrder,
  finding: AbsenceFinding,
  { result, unseenAtMs }: { readonly result: 'already_gone' | 'not_found'; readonly unseenAtMs: number | null },
  upstreamStatus: number | null,
  moment: Moment,
): Move {
  return finding === 'gone'
    ? afterEnd(order, result, upstreamStatus, moment)
    : afterOneProof(order, unseenAtMs, moment);
}

/** One proof of absence is not enough: a second one is due. `unseenAtMs` is that of `afterAbsence`. */
export const afterOneProof = (order: OpenOrder, unseenAtMs: number | null, { nowMs }: Moment): Move =>
  waiting({ ...order, unseen_at: unseenAtMs }, nowMs + ABSENCE_GAP_MS, 'not_found');

/** PipeOps answers 404 to an order whose token a list or a GET shows: the order is sent again. */
export const afterDenial = (order: OpenOrder, failure: UpstreamFailure, moment: Moment): Move =>
  afterFailure({ ...order, unseen_at: null }, failure, moment);

/**
 * A call or a look has failed. Either may be repeated whatever became of it, so only time makes a failure final: the order is
 * given up ORDERS_GIVE_UP_MS after its first try. A confirmed order is not given up, and its later looks end.
 *
 * @param errorCode where it is not that of the failure itself.
 */
export function afterFailure(
  order: OrderSoFar,
  failure: UpstreamFailure,
  { nowMs, chance }: Moment,
  errorCode: ErrorCode = codeOf(failure),
): Move {
  const endsRun = ENDING.includes(failure.kind);
  if (nowMs - (order.begun_at ?? nowMs) >= ORDERS_GIVE_UP_MS) return { ...givenUp(order, errorCode), endsRun };
  const waitMs = failure.kind === 'upstream_rate_limited' ? waitMsOf(failure) : pauseMs(order.tries, chance);
  return { ...waiting(order, nowMs + waitMs, errorCode), endsRun };
}

/** Failures that are about our credential or PipeOps as a whole. A 403 may be about one workspace alone. */
const ENDING: readonly UpstreamFailure['kind'][] = [
  'upstream_credential_rejected',
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_rate_limited',
];

/**
 * The look-up of an id that may be made up has failed. If it failed because only what is kept for revocation is left of the
 * quota, orders of known tokens go on.
 */
export function afterLookUp(
  quota: Pick<Quota, 'permit'>,
  order: OrderSoFar,
  failure: UpstreamFailure,
  moment: Moment,
): Move {
  const failed = afterFailure(order, failure, moment);
  const goesOn = failure.kind === 'upstream_rate_limited' && quota.permit('revocation', null, moment.nowMs) === null;
  return goesOn ? { ...failed, endsRun: false } : failed;
}

/** D1 did not say what the inventory knows: nothing is concluded, and the order is tried again. */
export const afterSilence = (order: OrderSoFar, { nowMs, chance }: Moment): Move =>
  waiting(order, nowMs + pauseMs(order.tries, chance), order.error_code);

/** PipeOps answers 404 for the workspace, which says nothing about the tokens in it. */
export const afterWorkspaceMissing = (order: OrderSoFar, failure: UpstreamFailure, moment: Moment): Move =>
  afterFailure(order, failure, moment, 'workspace_unavailable');

/** The orders of a workspace whose list failed wait together, as long as the one that waits longest. */
export function waitingTogether<T extends { readonly move: Move }>(moved: readonly T[]): readonly T[] {
  const nextAtMs = Math.max(...moved.map(({ move }) => move.columns.next_at ?? 0));
  const tries = Math.max(...moved.map(({ move }) => move.columns.tries));
  return moved.map((one) => {
    const { columns } = one.move;
    const together = { ...columns, next_at: nextAtMs, tries };
    return columns.next_at === null ? one : { ...one, move: { ...one.move, columns: together } };
  });
}

/**
 * A look shows the token's end while an update of the token is, or just was, under way beside the order: the end counts only in
 * a look that is begun CONFIRM_AFTER_UPDATE_MS after the update, or later. Null if there is nothing to wait for.
 */
export function afterUpdate(
  order: OrderSoFar,
  { nowMs, begunAtMs, updatedUntilMs }: Pick<LookContext, 'nowMs' | 'begunAtMs' | 'updatedUntilMs'>,
): Move | null {
  if (updatedUntilMs === null || begunAtMs >= updatedUntilMs + CONFIRM_AFTER_UPDATE_MS) return null;
  const isSettled = updatedUntilMs <= nowMs;
  return waiting(
    order,
    isSettled ? updatedUntilMs + CONFIRM_AFTER_UPDATE_MS : nowMs + ABSENCE_GAP_MS,
    order.error_code,
  );
}

/** What a look makes of an order that PipeOps has acknowledged. */
export function afterLook(order: OrderSoFar<LookedAtState>, sight: Sight, look: LookContext): Move {
  const { begunAtMs, nowMs } = look;
  const next = { begun_at: null, ...nextRound(order.acknowledged_at, begunAtMs) };
  if (sight === 'silent') return move('lookOn', order, { ...next, error_code: null, tries: triesAfterSuccess(order) });
  if (sight !== 'alive') {
    const columns = { ...next, error_code: null, tries: 0, confirmed_at: nowMs, contradicted_at: null };
    return afterUpdate(order, look) ?? move('confirm', order, columns);
  }
  if (begunAtMs - (order.acknowledged_at ?? 0) < CONTRADICTION_AFTER_MS) {
    return move('lookOn', order, { ...next, error_code: order.error_code, tries: triesAfterSuccess(order) });
  }
  if (order.mode === 'suspend' && look.isLifted) return move('lift', order, { next_at: null, contradicted_at: null });
  return move('contradict', order, {
    result: null,
    error_code: 'revocation_contradicted',
    next_at: nowMs + pauseMs(order.tries, look.chance),
    begun_at: null,
    acknowledged_at: null,
    confirmed_at: null,
    confirm_round: 0,
    contradicted_at: order.contradicted_at ?? nowMs,
  });
}

/** Whether a move reopens an order that a look contradicts. */
export const isReopening = ({ transition: name }: Pick<Move, 'transition'>): boolean => name === 'contradict';

/** Whether a move takes an order out of the states in which it is sent. */
export const isEnd = (order: Pick<OrderSoFar, 'state'>, { columns }: Move): boolean =>
  isInState(order, SENT) && !isInState(columns, SENT);

/** A move by a transition, with nothing beside it. */
const move = <N extends TransitionName>(
  name: N,
  order: OrderColumns & { readonly state: Before<N> },
  columns: Pick<OrderRow, Written<N>>,
): Move => ({
  transition: name,
  columns: transition(name, order, columns),
  outcome: null,
  endsToken: false,
  endsRun: false,
});

const waiting = (order: OrderSoFar, nextAtMs: number, errorCode: ErrorCode | null): Move =>
  move('wait', order, {
    error_code: errorCode,
    tries: order.tries,
    next_at: nextAtMs,
    unseen_at: order.unseen_at,
  });

function givenUp(order: OrderSoFar, errorCode: ErrorCode): Move {
  const { tries, unseen_at } = order;
  const columns = { error_code: errorCode, next_at: null, unseen_at };
  if (order.state === 'confirmed') return move('stopLooking', order, columns);
  const outcome = { status: 'failure', upstreamStatus: null, errorCode, detail: { tries } } as const;
  return { ...move('giveUp', order, columns), outcome };
}

/** The pause doubles after each try, up to ORDERS_BACKOFF_MAX_MS. Its upper half is left to chance. */
export function pauseMs(tries: number, chance: number): number {
  const wholeMs = Math.min(ORDERS_BACKOFF_FIRST_MS * 2 ** Math.max(0, tries - 1), ORDERS_BACKOFF_MAX_MS);
  return Math.round(wholeMs * (0.5 + chance / 2));
}

/** While PipeOps itself says wait, one revocation a minute is tried all the same, and it may be this one. */
function waitMsOf({ retryAfterSeconds, window }: Extract<UpstreamFailure, { kind: 'upstream_rate_limited' }>): number {
  const saidMs = (retryAfterSeconds ?? UPSTREAM_WAIT_DEFAULT_MS / 1000) * 1000;
  return window === undefined ? Math.min(saidMs, REVOCATION_TRY_MS) : saidMs;
}

/** The first round that a look begun at that time has not served, counted from the acknowledgement. */
function nextRound(acknowledgedAtMs: number | null, begunAtMs: number) {
  const sinceMs = acknowledgedAtMs ?? 0;
  const round = CONFIRM_PAUSES_MS.findIndex((roundMs) => sinceMs + roundMs > begunAtMs);
  const nextMs = CONFIRM_PAUSES_MS[round];
  return nextMs === undefined
    ? { confirm_round: CONFIRM_PAUSES_MS.length, next_at: null }
    : { confirm_round: round, next_at: sinceMs + nextMs };
}

/** Tries go on being counted while an order is contradicted, so that a PipeOps that only says 2xx is asked less and less often. */
const triesAfterSuccess = ({ contradicted_at, tries }: OrderSoFar): number => (contradicted_at === null ? 0 : tries);

function successOf({ tries }: OrderSoFar, result: OrderResult, upstreamStatus: number | null): EventOutcome {
  const detail = { tries };
  if (result === 'not_found') return { status: 'failure', upstreamStatus, errorCode: 'not_found', detail };
  return successOutcome(upstreamStatus, {
    ...detail,
    ...(result === 'already_gone' && { already_gone: true }),
    ...(result === 'expired' && { expired: true }),
  });
}
