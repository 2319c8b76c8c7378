import type { Runtime } from '../../kit/runtime.ts';

/** A bug keeps an order from its end. The others of its run go on, and it is due again when its lease ends. */
export function logNotDriven(runtime: Pick<Runtime, 'log'>, orderId: string, error: unknown): void {
  const name = error instanceof Error ? error.name : 'unknown';
  runtime.log({ level: 'error', event: 'order_not_driven', event_id: orderId, name });
}
