import type { SQL } from 'drizzle-orm';
import { finalRow } from '../../trail/events.ts';
import { insertEventWhere } from '../../trail/insert-where.ts';
import { successOutcome } from '../../trail/outcomes.ts';
import { ORDERS_MAKE_BATCH_ROWS } from '../../config/limits.ts';
import type { Query } from '../../db/database.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Accepted } from './accepted.ts';
import { sourceActor } from './actor.ts';
import type { SubjectRef } from '../senders/sender.ts';
import { storedLabel, type NewDelivery } from './delivery-row.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import { insertItems } from './item-queries.ts';
import { soughtItems } from './matching.ts';
import { makeOrders, orderMatched, recordOrders, type OrderTerms } from '../orders/queries.ts';
import { blockSubject, insertOwners, unblockSubject } from './owner-queries.ts';

/** The queries that write down what a delivery orders, where it is this one that counts. */
export async function carryOut(
  { database, fingerprints, runtime, namedWorkspaces }: WebhookDependencies,
  context: RequestContext,
  { source, order }: Accepted,
  row: NewDelivery,
  isThisOne: SQL,
): Promise<readonly Query[]> {
  if ('ignored' in order) return [];
  const terms: OrderTerms = {
    deliveryId: row.id,
    source: row.source,
    event: order.event,
    mode: order.event === 'subject.offboarded' ? order.mode : 'revoke',
    nowMs: row.received_at,
  };
  const recordSubject = (action: 'subject.block' | 'subject.reinstate', subject: SubjectRef): Query => {
    const detail = {
      delivery_id: row.id,
      ...('label' in subject ? { label: storedLabel(subject.label) } : subject),
      ...('mode' in order && { mode: order.mode }),
      ...('former' in order && order.former && { former: true }),
    };
    const event = {
      action,
      actor: sourceActor(row.source),
      workspaceUuid: null,
      tokenId: null,
      tokenName: null,
      detail,
    };
    return insertEventWhere(
      database,
      finalRow(runtime.newId(), row.received_at, context, event, successOutcome(null)),
      isThisOne,
    );
  };
  switch (order.event) {
    case 'token.leaked':
    case 'token.revoke':
      return [
        ...insertItems(database, row.id, await soughtItems(order, fingerprints), source.workspaces, isThisOne),
        orderMatched(database, terms, order.event === 'token.leaked' ? 'leak' : 'command', namedWorkspaces),
        recordOrders(database, context, terms),
      ];
    case 'subject.offboarded':
      return [
        recordSubject('subject.block', order.subject),
        insertOwners(database, row.id, order.subject, order.former, isThisOne),
        blockSubject(database, { id: row.id, nowMs: row.received_at }, order.subject, isThisOne),
        // Of the owners found, so of no delivery that does not count.
        ...makeOrders(database, context, row, ORDERS_MAKE_BATCH_ROWS, row.received_at),
      ];
    case 'subject.reinstated':
      return [recordSubject('subject.reinstate', order.subject), unblockSubject(database, order.subject, isThisOne)];
  }
}
