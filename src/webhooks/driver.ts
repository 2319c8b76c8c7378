import { COMPENSATION_TIMEOUT_MS, ORDERS_REQUEST_RUN_MS, ORDERS_RUN_MS } from '../config/limits.ts';
import type { RequestContext } from '../request-context.ts';
import { selectLimits } from '../pipeops/limits-table.ts';
import { confirmGone } from './confirmation.ts';
import type { DriverDependencies } from './dependencies.ts';
import { createLists } from './lists.ts';
import { logNotDriven } from './not-driven.ts';
import { recordVerdict } from './order-outcome.ts';
import { claimDueOrders, releaseOrders, type ClaimedOrder } from './order-queue.ts';
import { sendOrder } from './order-sending.ts';

export interface OrderDriver {
  /**
   * Sends the orders that are due, a batch of them at the most, and confirms those that are done. Says how many it found,
   * and how many of them have ended.
   *
   * @param deliveryId of that delivery alone; null: of all.
   */
  run(context: RequestContext, deliveryId: string | null): Promise<{ readonly due: number; readonly ended: number }>;
}

/**
 * Drives revocation orders: from a webhook's request, which begins with its own, and from the cron, which goes on until
 * all are done. An order is held by a lease, so no two drivers send it at once, and it is sent again until PipeOps says that
 * its token is gone: after a driver died in the middle, that answer is the proof.
 */
export function createOrderDriver(dependencies: DriverDependencies): OrderDriver {
  return { run: async (context, deliveryId) => await drive(dependencies, context, deliveryId) };
}

async function drive(dependencies: DriverDependencies, context: RequestContext, deliveryId: string | null) {
  const { database, runtime, pipeops, quota } = dependencies;
  const startedAtMs = runtime.now();
  const mustWait = (): boolean => quota.permit('revocation', null, runtime.now()) !== null;
  if (mustWait()) return { due: 0, ended: 0 };
  const claim = runtime.newId();
  const limits = selectLimits(database, startedAtMs, null);
  const queries = [...claimDueOrders(database, startedAtMs, claim, deliveryId), limits] as const;
  const claimed = await database.batch(context, queries);
  if (!claimed.ok) return { due: 0, ended: 0 };

  const orders = claimed.value[1];
  quota.learn(claimed.value[2], runtime.now());
  const lists = createLists(pipeops, runtime, context);
  const waiting = orders.filter(({ state }) => state === 'open');
  const unconfirmed = orders.filter(({ state }) => state === 'acknowledged');
  const runMs = deliveryId === null ? ORDERS_RUN_MS : ORDERS_REQUEST_RUN_MS;
  const isWithin = (ms: number): boolean => runtime.now() - startedAtMs <= ms;
  let ended = 0;
  let isOver = false;
  while (waiting.length > 0 && !isOver && !mustWait() && isWithin(runMs)) {
    const order = waiting.shift();
    if (order === undefined) break;
    try {
      // One after the other: PipeOps' answer to one says whether the next may be sent.
      const verdict = await sendOrder(dependencies, order, lists);
      isOver = verdict.kind === 'later' && verdict.endsRun;
      if (await recordVerdict(dependencies, context, claim, order, verdict)) {
        ended += 1;
        if (verdict.kind === 'done' && order.confirms === 1 && verdict.result !== 'not_found')
          unconfirmed.push(asConfirmed(order, runtime.now()));
      }
    } catch (error) {
      logNotDriven(runtime, order.id, error);
    }
  }
  const isInTime = (): boolean => isWithin(runMs + COMPENSATION_TIMEOUT_MS);
  const left = isOver ? unconfirmed : await confirmGone(dependencies, context, claim, unconfirmed, lists, isInTime);
  // What nobody got round to is due at once: for the next run, or as soon as PipeOps has waited enough.
  const untried = [...waiting, ...left].map(({ id }) => id);
  if (untried.length > 0) {
    const nowMs = runtime.now();
    const releases = [releaseOrders(database, claim, untried, nowMs), ...quota.news(database, nowMs)];
    await database.batch(context, releases);
  }
  return { due: orders.length, ended };
}

/** As `finishOrder` leaves it: its confirmation has a time and tries of its own. */
const asConfirmed = (order: ClaimedOrder, nowMs: number): ClaimedOrder => ({
  ...order,
  state: 'acknowledged',
  tries: 1,
  begun_at: nowMs,
});
