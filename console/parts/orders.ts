import type { Delivery, Revocation, WholeDelivery } from '../../package/client/types.ts';
import type { OrderResult, OrderState } from '../../package/client/vocabulary.ts';
import { count, plain } from './figures.ts';

// How far revocations are, in words.

type Tone = 'good' | 'warning' | 'danger' | 'quiet';

/** A state in words. docs/webhooks.md says what each means. */
export const STATES: Readonly<
  Record<OrderState, { readonly word: string; readonly tone: Tone; readonly meaning: string }>
> = {
  scheduled: { word: 'Scheduled', tone: 'quiet', meaning: 'Its time has not come.' },
  open: { word: 'Open', tone: 'warning', meaning: 'PipeOps has not acknowledged it. It is tried again by itself.' },
  acknowledged: {
    word: 'Acknowledged',
    tone: 'quiet',
    meaning: 'PipeOps said that it is done. A look has still to agree.',
  },
  confirmed: { word: 'Confirmed', tone: 'good', meaning: 'A later look at PipeOps agrees.' },
  failed: { word: 'Given up', tone: 'danger', meaning: 'It was tried for 72 hours. The token may still work.' },
  retried: { word: 'Replaced', tone: 'quiet', meaning: 'Somebody had it tried again, under a new order.' },
  lifted: { word: 'Lifted', tone: 'quiet', meaning: 'The token was resumed, so it is not suspended any more.' },
};

/** What came of an order, as a sentence. */
export const RESULTS: Readonly<Record<OrderResult, string>> = {
  revoked: 'PipeOps revoked it.',
  suspended: 'PipeOps suspended it.',
  already_gone: 'It was gone before.',
  expired: 'It had expired.',
  not_found: 'PipeOps has no such token.',
};

type Orders = Delivery['orders'];

/** How many orders there are. One that another took the place of is not counted. */
export const totalOf = ({ open, acknowledged, confirmed, failed, lifted = 0 }: Orders): number =>
  open + acknowledged + confirmed + failed + lifted;

/** Whether nothing more happens to it by itself. */
export const isSettled = ({ orders, orders_left: isLeft }: Pick<Delivery, 'orders' | 'orders_left'>): boolean =>
  orders.open === 0 && orders.acknowledged === 0 && isLeft !== true;

/** How far the orders are, as a sentence: `2 of 3 confirmed, 1 open.` */
export function progressWords({ orders, orders_left: isLeft }: Pick<Delivery, 'orders' | 'orders_left'>): string {
  const { open, acknowledged, confirmed, failed, lifted = 0 } = orders;
  const total = totalOf(orders);
  if (total === 0) return isLeft === true ? 'The revocations are being ordered.' : 'There was nothing to revoke.';
  const others = [
    acknowledged > 0 && `${plain(acknowledged)} acknowledged`,
    open > 0 && `${plain(open)} open`,
    failed > 0 && `${plain(failed)} given up`,
    lifted > 0 && `${plain(lifted)} lifted`,
    isLeft === true && 'more to be ordered',
  ].filter((part) => part !== false);
  return `${[confirmed === total ? allConfirmed(total) : `${plain(confirmed)} of ${plain(total)} confirmed`, ...others].join(', ')}.`;
}

const allConfirmed = (total: number): string => (total === 1 ? 'Confirmed' : `All ${plain(total)} confirmed`);

/** A delivery's orders in one word for a list; null: it has none. */
export function progressBadge({ orders, orders_left: isLeft }: Pick<Delivery, 'orders' | 'orders_left'>): {
  readonly tone: Tone;
  readonly text: string;
} | null {
  const { open, acknowledged, confirmed, failed } = orders;
  const total = totalOf(orders);
  if (failed > 0) return { tone: 'danger', text: `${plain(failed)} given up` };
  if (open > 0 || isLeft === true) return { tone: 'warning', text: `${plain(open)} open` };
  if (acknowledged > 0) return { tone: 'quiet', text: `${plain(acknowledged)} acknowledged` };
  if (confirmed > 0) return { tone: 'good', text: `${plain(confirmed)} confirmed` };
  return total > 0 ? { tone: 'quiet', text: 'Lifted' } : null;
}

/** How many revocations a retry would have tried again at once, as far as a receipt tells. */
export const leftToRetry = (revocations: readonly Pick<Revocation, 'state' | 'result'>[]): number =>
  revocations.filter(
    ({ state, result }) =>
      state === 'open' ||
      state === 'acknowledged' ||
      state === 'failed' ||
      (state === 'confirmed' && result === 'not_found'),
  ).length;

/** What a retry did, as a sentence. */
export const retriedWords = (retried: number): string =>
  retried === 0
    ? 'Nothing was left to try again.'
    : `${count(retried, 'revocation is', 'revocations are')} being tried again now.`;

/** A step in the life of a revocation, and how long after the one before it was. */
export interface OrderStep {
  readonly name: 'received' | 'matched' | 'revoked' | 'suspended' | 'confirmed';
  readonly at: string;
  /** Null: it is the first. */
  readonly afterMs: number | null;
}

/** The steps that a revocation has taken, in their order. */
export function stepsOf(revocation: Revocation): readonly OrderStep[] {
  const { mode, received_at, matched_at, revoked_at, suspended_at, confirmed_at } = revocation;
  const isRevoked = mode === 'revoke';
  const taken = [
    { name: 'received', at: received_at },
    { name: 'matched', at: matched_at },
    { name: isRevoked ? 'revoked' : 'suspended', at: (isRevoked ? revoked_at : suspended_at) ?? null },
    { name: 'confirmed', at: confirmed_at },
  ] as const;
  const known = taken.flatMap(({ name, at }) => (at === null ? [] : [{ name, at }]));
  return known.map((step, index) => {
    const before = known[index - 1];
    return { ...step, afterMs: before === undefined ? null : Math.max(0, Date.parse(step.at) - Date.parse(before.at)) };
  });
}

/** How long a revocation took from its receipt to its last step; null: it has not come so far. In milliseconds. */
export function tookMs(revocation: Revocation): number | null {
  const last = stepsOf(revocation).at(-1);
  return last === undefined || last.name === 'received' || last.name === 'matched'
    ? null
    : Math.max(0, Date.parse(last.at) - Date.parse(revocation.received_at));
}

/** Whether a receipt is of what somebody ordered here, and of no webhook. */
export const isByCaller = ({ source }: Pick<WholeDelivery, 'source'>): boolean => source === null;
