import { sql, type SQL } from 'drizzle-orm';
import { type EventOutcome, successOutcome } from '../../trail/event.ts';
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
import type { ErrorCode, OrderResult, OrderState } from '../../vocabulary.ts';
import type { Sight } from './sending.ts';

// The life of an order: its states, what each may become, and what a try, a look or the passing of time makes of it. All of
// it is pure; `order-queue.ts` writes it down.

/** What each state may become. An order that stays what it is waits for its next step. */
export const ORDER_LIFE: Readonly<Record<OrderState, readonly OrderState[]>> = {
  // PipeOps has not said 2xx: the order is sent.
  open: ['open', 'acknowledged', 'confirmed', 'failed', 'lifted'],
  // PipeOps has: the order is looked at. `failed`: no look could be had.
  acknowledged: ['acknowledged', 'confirmed', 'open', 'failed', 'lifted'],
  // A look agreed. Later looks may still contradict it.
  confirmed: ['confirmed', 'open', 'retried', 'lifted'],
  // A person has it retried: it is replaced, or, once acknowledged, looked at again. A look may reopen it.
  failed: ['retried', 'acknowledged', 'open'],
  retried: [],
  lifted: [],
};

/** States in which an order is sent; in which it is looked at; and in which it was given up. */
export const SENT = ['open'] as const satisfies readonly OrderState[];
export const LOOKED_AT = ['acknowledged', 'confirmed'] as const satisfies readonly OrderState[];
export const GIVEN_UP = ['failed'] as const satisfies readonly OrderState[];

export const isOneOf = (state: OrderState, states: readonly OrderState[]): boolean => states.includes(state);

/** A state by which queries outside this file set or ask for one. */
export const ORDER_STATE = {
  open: 'open',
  acknowledged: 'acknowledged',
  confirmed: 'confirmed',
  failed: 'failed',
  retried: 'retried',
} as const satisfies Partial<Record<OrderState, OrderState>>;

/** A condition on `state` or `rank`, written out: D1 uses a partial index only where its condition stands in the query. */
export const isIn = (column: SQL | string, states: readonly (OrderState | number)[]): SQL =>
  sql`${typeof column === 'string' ? sql.raw(column) : column} in (${sql.raw(states.map((state) => (typeof state === 'number' ? state : `'${state}'`)).join(', '))})`;

/** The part of an order that changes. */
export type OrderColumns = Pick<
  OrderRow,
  | 'state'
  | 'result'
  | 'error_code'
  | 'tries'
  | 'next_at'
  | 'begun_at'
  | 'acknowledged_at'
  | 'confirmed_at'
  | 'confirm_round'
  | 'unseen_at'
  | 'contradicted_at'
>;

/** An order as it is judged. */
export type OrderSoFar = OrderColumns & Pick<OrderRow, 'mode' | 'created_at'>;

/** What an order becomes, and what goes with it. */
export interface Move {
  readonly columns: OrderColumns;
  /** How its row in the trail is settled, where that is still open; null: it stays as it is. */
  readonly outcome: EventOutcome | null;
  /** Whether PipeOps has acknowledged that the token's end is by this order. */
  readonly endsToken: boolean;
  /** Whether PipeOps would answer every other order alike: then the run ends. */
  readonly endsRun: boolean;
}

/** When it is judged, and what pauses leave to chance, from 0 to 1. */
export interface Moment {
  readonly nowMs: number;
  readonly chance: number;
}

/** Failures that are about our credential or PipeOps as a whole. A 403 may be about one workspace alone. */
const ENDING: readonly UpstreamFailure['kind'][] = [
  'upstream_credential_rejected',
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_rate_limited',
];

/** Twice as long after each try, up to ORDERS_BACKOFF_MAX_MS; the upper half of it is left to chance. */
export function pauseMs(tries: number, chance: number): number {
  const wholeMs = Math.min(ORDERS_BACKOFF_FIRST_MS * 2 ** Math.max(0, tries - 1), ORDERS_BACKOFF_MAX_MS);
  return Math.round(wholeMs * (0.5 + chance / 2));
}

/**
 * A try that failed, or a look that could not be had. Either may be repeated whatever became of it, so no failure is final but
 * time: ORDERS_GIVE_UP_MS after the first. Of a confirmed order only the later looks end.
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

/**
 * A look-up of what may be made up has failed. Where that is since only what is kept for revocation is left, orders of what is
 * known go on.
 */
export function afterLookUp(
  quota: Pick<Quota, 'permit'>,
  order: OrderSoFar,
  failure: UpstreamFailure,
  moment: Moment,
): Move {
  const move = afterFailure(order, failure, moment);
  const goesOn = failure.kind === 'upstream_rate_limited' && quota.permit('revocation', null, moment.nowMs) === null;
  return goesOn ? { ...move, endsRun: false } : move;
}

/** Orders of one workspace whose list could not be had wait together, as long as that which has waited longest. */
export function waitingTogether<T extends { readonly move: Move }>(moved: readonly T[]): readonly T[] {
  const nextAtMs = Math.max(...moved.map(({ move }) => move.columns.next_at ?? 0));
  const tries = Math.max(...moved.map(({ move }) => move.columns.tries));
  return moved.map((one) => {
    const { columns } = one.move;
    const together = { ...columns, next_at: nextAtMs, tries };
    return columns.next_at === null ? one : { ...one, move: { ...one.move, columns: together } };
  });
}

/** While PipeOps itself says wait, one revocation a minute is tried all the same, and it may be this one. */
function waitMsOf({ retryAfterSeconds, window }: Extract<UpstreamFailure, { kind: 'upstream_rate_limited' }>): number {
  const saidMs = (retryAfterSeconds ?? UPSTREAM_WAIT_DEFAULT_MS / 1000) * 1000;
  return window === undefined ? Math.min(saidMs, REVOCATION_TRY_MS) : saidMs;
}

/** D1 did not say what the inventory knows: nothing is concluded, and the order is tried again. */
export const afterSilence = (order: OrderSoFar, { nowMs, chance }: Moment): Move =>
  waiting(order, nowMs + pauseMs(order.tries, chance), order.error_code);

/** PipeOps answers 404 for the workspace: it is not known whether anything in it has ended. */
export const afterWorkspaceMissing = (order: OrderSoFar, failure: UpstreamFailure, moment: Moment): Move =>
  afterFailure(order, failure, moment, 'workspace_unavailable');

/**
 * PipeOps said 2xx, or has said so to another revoke of ours (`already_gone`). The looks at it begin at once. Where a look has
 * contradicted it before, its tries go on being counted, so that a PipeOps that only says 2xx is asked less and less often.
 */
export function afterAcknowledgement(
  order: OrderSoFar,
  result: 'revoked' | 'suspended' | 'already_gone',
  upstreamStatus: number | null,
  { nowMs }: Moment,
): Move {
  return {
    columns: {
      ...order,
      state: 'acknowledged',
      result,
      error_code: null,
      tries: order.contradicted_at === null ? 0 : order.tries,
      next_at: nowMs + CONFIRM_PAUSES_MS[0],
      begun_at: null,
      acknowledged_at: nowMs,
      confirmed_at: null,
      confirm_round: 0,
      unseen_at: null,
    },
    outcome: successOf(order, result, upstreamStatus),
    endsToken: result === 'revoked',
    endsRun: false,
  };
}

/** The token had its end before the order was sent, or has had it since: the rule of absence says so, or a complete list. */
export function afterEnd(
  order: OrderSoFar,
  result: 'already_gone' | 'expired' | 'not_found',
  upstreamStatus: number | null,
  { nowMs }: Moment,
): Move {
  const columns: OrderColumns = {
    ...order,
    state: 'confirmed',
    result,
    error_code: null,
    tries: 0,
    begun_at: null,
    acknowledged_at: nowMs,
    confirmed_at: nowMs,
    unseen_at: null,
    contradicted_at: null,
  };
  return {
    // What was concluded is looked at again, as what was acknowledged is.
    columns: { ...columns, ...nextRound(columns, nowMs) },
    outcome: successOf(order, result, upstreamStatus),
    endsToken: false,
    endsRun: false,
  };
}

/**
 * A proof of absence of a token that the order is about, as the rule of absence takes it.
 *
 * @param unseenAtMs of a token that the inventory lacks: since when it is missed. The inventory keeps it of all others.
 */
export function afterAbsence(
  order: OrderSoFar,
  finding: AbsenceFinding,
  { result, unseenAtMs }: { readonly result: 'already_gone' | 'not_found'; readonly unseenAtMs: number | null },
  upstreamStatus: number | null,
  moment: Moment,
): Move {
  if (finding === 'gone') return afterEnd(order, result, upstreamStatus, moment);
  const move = waiting(order, moment.nowMs + ABSENCE_GAP_MS, 'not_found');
  return { ...move, columns: { ...move.columns, unseen_at: unseenAtMs } };
}

/** PipeOps answered 404, and a list shows the token all the same: it is sent the order again. */
export const afterDenial = (order: OrderSoFar, failure: UpstreamFailure, moment: Moment): Move =>
  afterFailure({ ...order, unseen_at: null }, failure, moment);

/** The end that a look shows waits for an update of the token that was under way beside the order. Null: nothing is waited for. */
export function afterUpdate(order: OrderSoFar, look: LookContext): Move | null {
  const { nowMs, begunAtMs, updatedUntilMs } = look;
  if (updatedUntilMs === null || begunAtMs >= updatedUntilMs + CONFIRM_AFTER_UPDATE_MS) return null;
  const isSettled = updatedUntilMs <= nowMs;
  return waiting(
    order,
    isSettled ? updatedUntilMs + CONFIRM_AFTER_UPDATE_MS : nowMs + ABSENCE_GAP_MS,
    order.error_code,
  );
}

/** A look, and what else bears on what it means. */
export interface LookContext extends Moment {
  readonly begunAtMs: number;
  /** When the last update of the token was settled that was under way beside the order; far away while one is; null: none was. */
  readonly updatedUntilMs: number | null;
  /** Whether nothing here suspends the token any more. */
  readonly isLifted: boolean;
}

/** What a look makes of an order that PipeOps has acknowledged. */
export function afterLook(order: OrderSoFar, sight: Sight, look: LookContext): Move {
  if (sight === 'silent') return agreed({ ...order, error_code: null }, look);
  if (sight !== 'alive') {
    const confirmed: OrderSoFar = {
      ...order,
      state: 'confirmed',
      error_code: null,
      confirmed_at: look.nowMs,
      contradicted_at: null,
    };
    return afterUpdate(order, look) ?? agreed(confirmed, look);
  }
  if (look.begunAtMs - (order.acknowledged_at ?? 0) < CONTRADICTION_AFTER_MS) return agreed(order, look);
  if (order.mode === 'suspend' && look.isLifted)
    return still({ ...order, state: 'lifted', next_at: null, contradicted_at: null });
  return still({
    ...order,
    state: 'open',
    result: null,
    error_code: 'revocation_contradicted',
    next_at: look.nowMs + pauseMs(order.tries, look.chance),
    begun_at: null,
    acknowledged_at: null,
    confirmed_at: null,
    confirm_round: 0,
    contradicted_at: order.contradicted_at ?? look.nowMs,
  });
}

/** Whether a move reopens an order that a look contradicts. */
export const isReopening = (before: Pick<OrderSoFar, 'state'>, { columns }: Move): boolean =>
  before.state !== 'open' && columns.state === 'open';

/** Whether a move is the end of an order, as far as its driver is concerned: it is not sent again unless a look contradicts it. */
export const isEnd = (before: Pick<OrderSoFar, 'state'>, { columns }: Move): boolean =>
  before.state === 'open' && columns.state !== 'open';

const still = (columns: OrderColumns): Move => ({ columns, outcome: null, endsToken: false, endsRun: false });

const waiting = (order: OrderSoFar, nextAtMs: number, errorCode: ErrorCode | null): Move =>
  still({ ...order, next_at: nextAtMs, error_code: errorCode });

/** A look was had: the next one is that of the next round. */
const agreed = (order: OrderSoFar, { begunAtMs }: LookContext): Move =>
  still({
    ...order,
    tries: order.contradicted_at === null ? 0 : order.tries,
    begun_at: null,
    ...nextRound(order, begunAtMs),
  });

/** The first round that a look begun at that time has not served. */
function nextRound({ acknowledged_at: sinceMs }: Pick<OrderColumns, 'acknowledged_at'>, begunAtMs: number) {
  const round = CONFIRM_PAUSES_MS.findIndex((roundMs) => (sinceMs ?? 0) + roundMs > begunAtMs);
  const nextMs = CONFIRM_PAUSES_MS[round];
  return nextMs === undefined
    ? { confirm_round: CONFIRM_PAUSES_MS.length, next_at: null }
    : { confirm_round: round, next_at: (sinceMs ?? 0) + nextMs };
}

function givenUp(order: OrderSoFar, errorCode: ErrorCode): Move {
  // A look has agreed before: only the later ones could not be had.
  if (order.state === 'confirmed') return still({ ...order, error_code: errorCode, next_at: null });
  const { tries } = order;
  return {
    columns: { ...order, state: 'failed', error_code: errorCode, next_at: null },
    outcome: { status: 'failure', upstreamStatus: null, errorCode, detail: { tries } },
    endsToken: false,
    endsRun: false,
  };
}

function successOf({ tries }: OrderSoFar, result: OrderResult, upstreamStatus: number | null): EventOutcome {
  const detail = { tries };
  if (result === 'not_found') return { status: 'failure', upstreamStatus, errorCode: 'not_found', detail };
  return successOutcome(upstreamStatus, {
    ...detail,
    ...(result === 'already_gone' && { already_gone: true }),
    ...(result === 'expired' && { expired: true }),
  });
}
