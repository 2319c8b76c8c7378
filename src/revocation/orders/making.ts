import { eq, sql } from 'drizzle-orm';
import { ORDERS_MAKE_BATCH_ROWS, ORDERS_MAKE_BATCHES_MAX_COUNT, ORDERS_MAKE_MAX_QUERIES } from '../../config/limits.ts';
import { webhookDeliveries } from '../../db/schema.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { DriverDependencies } from '../dependencies.ts';
import { makeOrders } from './queries.ts';
import type { Run } from './run.ts';

/**
 * Makes what is left of the orders of deliveries that are about more tokens than one batch takes: the oldest delivery first, up
 * to ORDERS_MAKE_BATCHES_MAX_COUNT batches. What is made is due at once.
 */
export async function makeOrdersLeft(
  { database, runtime }: DriverDependencies,
  context: RequestContext,
  run: Run,
): Promise<void> {
  for (let batches = 0; batches < ORDERS_MAKE_BATCHES_MAX_COUNT; batches += 1) {
    if (!run.goesOn(ORDERS_MAKE_MAX_QUERIES)) return;
    const next = database.build
      .select()
      .from(webhookDeliveries)
      // The literal of the partial index.
      .where(
        sql`${webhookDeliveries.orders_left} = 1 and ${run.deliveryId === null ? sql`true` : eq(webhookDeliveries.id, run.deliveryId)}`,
      )
      .orderBy(webhookDeliveries.seq)
      .limit(1);
    const read = await database.batch(context, [next]);
    const [delivery] = read.ok ? read.value[0] : [];
    if (delivery === undefined) return;
    const made = await database.batch(
      context,
      makeOrders(database, context, delivery, ORDERS_MAKE_BATCH_ROWS, runtime.now()),
    );
    if (!made.ok) return;
  }
}
