import type { Budget } from '../../kit/budget.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { Quota } from '../../pipeops/quota.ts';
import type { Lists } from './lists.ts';

/** One run of the driver, as its steps share it. */
export interface Run {
  readonly lists: Lists;
  /** Of that delivery alone; null: of all. */
  readonly deliveryId: string | null;
  /** Whether a step may begin that sends so many statements to D1: PipeOps takes calls, and the share is not used up. */
  goesOn(d1Queries: number): boolean;
  /** PipeOps would answer everything alike, so nothing more is asked of it. */
  end(): void;
}

export function createRun(
  lists: Lists,
  deliveryId: string | null,
  budget: Budget,
  quota: Pick<Quota, 'permit' | 'mayTry'>,
  runtime: Pick<Runtime, 'now'>,
): Run {
  let isOver = false;
  return {
    lists,
    deliveryId,
    goesOn: (d1Queries) => !isOver && mayCall(quota, runtime.now()) && budget.permits(d1Queries),
    end: () => {
      isOver = true;
    },
  };
}

const mayCall = (quota: Pick<Quota, 'permit' | 'mayTry'>, nowMs: number): boolean =>
  quota.permit('revocation', null, nowMs) === null || quota.mayTry(nowMs);

/** A bug keeps an order from its end. The others of its run go on, and it is due again when its lease ends. */
export function logNotDriven(runtime: Pick<Runtime, 'log'>, orderId: string, error: unknown): void {
  const name = error instanceof Error ? error.name : 'unknown';
  runtime.log({ level: 'error', event: 'order_not_driven', event_id: orderId, name });
}
