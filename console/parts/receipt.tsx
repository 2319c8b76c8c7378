import type { Delivery, Revocation, WholeDelivery } from '../../package/client/types.ts';
import { type Following, useFollowing } from './following.ts';
import { duration, plain } from './figures.ts';
import { isSettled, progressWords, TONES, type OrderStep, stepsOf, tookWords, totalOf } from './orders.ts';
import { Badge } from './states.tsx';
import { fullTime, useNow } from './time.tsx';

// How far a revocation is, followed until nothing more happens to it by itself.

/** Most revocations are over within seconds. One that waits for PipeOps takes minutes or hours. */
const QUICK_MS = 2_000;
const SLOW_MS = 15_000;
const QUICK_WITHIN_MS = 120_000;

/**
 * Follows a receipt until its revocations are over.
 *
 * @param kind a `revocation` is what somebody ordered here; a `delivery` may be that, or what came by webhook.
 */
export const useReceipt = (kind: 'revocation' | 'delivery', id: string): Following<WholeDelivery> =>
  useFollowing(
    `${kind} ${id}`,
    async (client, signal) =>
      await (kind === 'revocation' ? client.revocations.get(id, { signal }) : client.deliveries.get(id, { signal })),
    (seen) => {
      if (isSettled(seen)) return null;
      return Date.now() - Date.parse(seen.received_at) < QUICK_WITHIN_MS ? QUICK_MS : SLOW_MS;
    },
  );

/** How far the revocations of a receipt are. It is told by ear too as it goes on. */
export function Progress({ receipt }: { readonly receipt: Pick<Delivery, 'orders' | 'orders_left' | 'mode'> }) {
  const total = totalOf(receipt.orders);
  const { confirmed, failed } = receipt.orders;
  return (
    <div class="progress" role="status">
      {total > 0 && (
        <progress class={failed > 0 ? 'danger' : ''} max={total} value={confirmed} aria-label="Confirmed revocations" />
      )}
      <p>
        {progressWords(receipt)}
        {!isSettled(receipt) && <span class="quiet"> It goes on by itself.</span>}
      </p>
    </div>
  );
}

/** The state of one revocation as a badge. */
export function StateBadge({
  revocation: { state, contradicted_at: contradictedAt },
}: {
  readonly revocation: Revocation;
}) {
  if (contradictedAt !== null && state !== 'confirmed') {
    return (
      <Badge tone="danger" title={`A look contradicts it since ${fullTime(contradictedAt)}.`}>
        still alive
      </Badge>
    );
  }
  return <Badge tone={TONES[state]}>{state}</Badge>;
}

/** The steps of one revocation with the time that each took. */
export function Steps({ revocation }: { readonly revocation: Revocation }) {
  const took = tookWords(revocation);
  return (
    <ol class="steps">
      {stepsOf(revocation).map((step) => (
        <Step key={step.name} step={step} />
      ))}
      <Waiting revocation={revocation} />
      {took !== null && <li class="total">{took}</li>}
    </ol>
  );
}

const Step = ({ step: { name, at, afterMs } }: { readonly step: OrderStep }) => (
  <li title={fullTime(at)}>
    {name} <span class="quiet">{afterMs === null ? clock(at) : `+${duration(afterMs)}`}</span>
  </li>
);

/** What it waits for, while it does. */
function Waiting({ revocation: { state, tries, next_try_at: nextAt } }: { readonly revocation: Revocation }) {
  const nowMs = useNow();
  if (state !== 'open') return null;
  const inMs = nextAt === null ? 0 : Date.parse(nextAt) - nowMs;
  return (
    <li class="waits">
      {tries === 0 ? 'not tried yet' : `${plain(tries)} ${tries === 1 ? 'try' : 'tries'} failed`}
      {inMs > 1_000 && `, next in ${duration(inMs)}`}
    </li>
  );
}

const time = new Intl.DateTimeFormat('en', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
});

/** The time of a day with its milliseconds, in local time. */
const clock = (at: string): string => time.format(new Date(at));
