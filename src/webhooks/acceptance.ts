import { and, desc, eq, exists, gt, sql } from 'drizzle-orm';
import { WEBHOOK_SAME_BODY_MS } from '../config/limits.ts';
import type { Query } from '../db/database.ts';
import { webhookDeliveries, webhookItems, type DeliveryRow } from '../db/schema.ts';
import type { AuditFailure } from '../failures.ts';
import type { RequestContext } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import type { Accepted } from './accepted.ts';
import { carryOut } from './carry-out.ts';
import { describeDelivery, insertDelivery, recordDelivery } from './delivery-row.ts';
import type { WebhookDependencies } from './dependencies.ts';

/** The delivery as it was accepted: this one, or the one that it repeats. */
export interface Receipt {
  readonly delivery: DeliveryRow;
  readonly isRepeated: boolean;
  /** Positions of the named tokens that are ours, within the source's scope. */
  readonly matched: ReadonlySet<number>;
}

/**
 * Accepts a delivery in one D1 batch: the delivery, its row in the trail, what was found of the tokens that it names, and
 * an order with a row of its own for each that is to go. One that repeats another changes nothing, however many of them
 * come at once: D1 takes one batch after the other.
 *
 * Fails with `audit_unavailable`: then the sender must send it again. If D1 took it all the same, that is a repetition.
 */
export async function acceptDelivery(
  dependencies: WebhookDependencies,
  context: RequestContext,
  accepted: Accepted,
): Promise<Result<Receipt, AuditFailure>> {
  const { database, runtime } = dependencies;
  const { build } = database;
  const row = await describeDelivery(accepted, runtime.newId(), runtime.newId(), runtime.now());
  const sameBodySinceMs = row.sender_id === null ? row.received_at - WEBHOOK_SAME_BODY_MS : 0;
  const same = and(
    eq(webhookDeliveries.source, row.source),
    eq(webhookDeliveries.dedupe_key, row.dedupe_key),
    gt(webhookDeliveries.received_at, sameBodySinceMs),
  );
  const isThisOne = exists(
    build
      .select({ one: sql`1` })
      .from(webhookDeliveries)
      .where(eq(webhookDeliveries.id, row.id)),
  );
  const first = build.select().from(webhookDeliveries).where(same).orderBy(desc(webhookDeliveries.seq)).limit(1);
  const matched = build
    .select({ position: webhookItems.position })
    .from(webhookItems)
    .where(
      and(
        eq(webhookItems.delivery_id, sql`(select id from webhook_deliveries where ${same} order by seq desc limit 1)`),
        eq(webhookItems.found, 'matched'),
      ),
    );
  const queries: readonly Query[] = [
    insertDelivery(database, row, same),
    recordDelivery(database, context, row, isThisOne),
    ...(await carryOut(dependencies, context, accepted, row, isThisOne)),
  ];
  const batch = [first, matched] as const;
  // What was inserted is read after it.
  const committed = await database.batch(context, [...queries, ...batch] as const);
  const answers = committed.ok ? committed.value.slice(queries.length) : [];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch gives results in the order of its queries
  const [[delivery] = [], positions = []] = answers as unknown as [DeliveryRow[]?, { position: number }[]?];
  if (delivery === undefined) return err({ kind: 'audit_unavailable' });
  context.trace.eventId = delivery.event_id;
  return ok({
    delivery,
    isRepeated: delivery.id !== row.id,
    matched: new Set(positions.map(({ position }) => position)),
  });
}
