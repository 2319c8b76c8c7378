import type { Delivery, Revocation, WholeDelivery } from '../../package/client/types.ts';
import type { OrderState } from '../../package/client/vocabulary.ts';
import { count, duration, plain } from './figures.ts';

// How far revocations are, in words.

type Tone = 'good' | 'warning' | 'danger' | 'quiet';

/** The tone of each state. docs/webhooks.md says what each means, and its name is the word for it. */
export const TONES: Readonly<Record<OrderState, Tone>> = {
  scheduled: 'quiet',
  open: 'warning',
  acknowledged: 'quiet',
  confirmed: 'good',
  failed: 'danger',
  retried: 'quiet',
  lifted: 'quiet',
};

type Orders = Delivery['orders'];

/** How many orders there are. One that another took the place of is not counted. */
export const totalOf = ({ open, acknowledged, confirmed, failed, lifted = 0 }: Orders): number =>
  open + acknowledged + confirmed + failed + lifted;

/** Whether nothing more happens to it by itself. */
export const isSettled = ({ orders, orders_left: isLeft }: Pick<Delivery, 'orders' | 'orders_left'>): boolean =>
  orders.open === 0 && orders.acknowledged === 0 && isLeft !== true;

type Ordered = Pick<Delivery, 'orders' | 'orders_left' | 'mode'>;

/** How far the orders are, as a sentence: `2 of 3 revocations confirmed, 1 open.` */
export function progressWords({ orders, orders_left: isLeft, mode }: Ordered): string {
  const { open, acknowledged, confirmed, failed, lifted = 0 } = orders;
  const noun = mode === 'suspend' ? 'suspension' : 'revocation';
  const total = totalOf(orders);
  if (total === 0)
    return isLeft === true ? `The ${noun}s are being ordered.` : `There was nothing to ${mode ?? 'revoke'}.`;
  const others = [
    acknowledged > 0 && `${plain(acknowledged)} acknowledged`,
    open > 0 && `${plain(open)} open`,
    failed > 0 && `${plain(failed)} failed`,
    lifted > 0 && `${plain(lifted)} lifted`,
    isLeft === true && 'more are being ordered',
  ].filter((part) => part !== false);
  return `${[confirmedWords(confirmed, total, noun), ...others].join(', ')}.`;
}

function confirmedWords(confirmed: number, total: number, noun: string): string {
  if (confirmed < total) return `${plain(confirmed)} of ${count(total, noun)} confirmed`;
  return total === 1 ? `The ${noun} is confirmed` : `All ${plain(total)} ${noun}s are confirmed`;
}

/** A delivery's orders in one word for a list; null: it has none. */
export function progressBadge({ orders, orders_left: isLeft }: Pick<Delivery, 'orders' | 'orders_left'>): {
  readonly tone: Tone;
  readonly text: string;
} | null {
  const { open, acknowledged, confirmed, failed } = orders;
  const total = totalOf(orders);
  if (failed > 0) return { tone: 'danger', text: `${plain(failed)} failed` };
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
  /** `concluded`: PipeOps has no such token, or it ended in another way. `last confirmed`: it is looked at more than once. */
  readonly name: 'received' | 'matched' | 'revoked' | 'suspended' | 'concluded' | 'last confirmed';
  readonly at: string;
  /** Null: it is the first. */
  readonly afterMs: number | null;
}

/** The steps that a revocation has taken, in their order. */
export function stepsOf(revocation: Revocation): readonly OrderStep[] {
  const { result, received_at, matched_at, revoked_at, suspended_at, confirmed_at } = revocation;
  const taken = [
    { name: 'received', at: received_at },
    { name: 'matched', at: matched_at },
    {
      name: result === 'revoked' || result === 'suspended' ? result : 'concluded',
      at: revoked_at ?? suspended_at ?? null,
    },
    { name: 'last confirmed', at: confirmed_at },
  ] as const;
  const known = taken.flatMap(({ name, at }) => (at === null ? [] : [{ name, at }]));
  return known.map((step, index) => {
    const before = known[index - 1];
    return { ...step, afterMs: before === undefined ? null : Math.max(0, Date.parse(step.at) - Date.parse(before.at)) };
  });
}

/** How long it took from the receipt of an order until PipeOps did what it says: `Revoked within 61 ms`; null: PipeOps has not. */
export function tookWords({ result, received_at, revoked_at, suspended_at }: Revocation): string | null {
  const at = revoked_at ?? suspended_at ?? null;
  if (at === null || (result !== 'revoked' && result !== 'suspended')) return null;
  const took = duration(Date.parse(at) - Date.parse(received_at));
  return `${result === 'revoked' ? 'Revoked' : 'Suspended'} within ${took}`;
}

/** Whether a receipt is of what somebody ordered here, and of no webhook. */
export const isByCaller = ({ source }: Pick<WholeDelivery, 'source'>): boolean => source === null;
