import type { SQL } from 'drizzle-orm';
import { finalRow } from '../audit/events.ts';
import { insertEventWhere } from '../audit/insert-where.ts';
import { successOutcome } from '../audit/outcomes.ts';
import type { Query } from '../db/database.ts';
import type { RequestContext } from '../request-context.ts';
import type { Accepted } from './accepted.ts';
import { sourceActor } from './actor.ts';
import type { SubjectRef } from './adapter.ts';
import type { NewDelivery } from './delivery-row.ts';
import type { WebhookDependencies } from './dependencies.ts';
import { insertItems } from './item-queries.ts';
import { soughtLeak, soughtToken, type SoughtItem } from './matching.ts';
import {
  blockSubject,
  markSuspended,
  orderMatched,
  orderOwned,
  recordOrders,
  unblockSubject,
  type OrderTerms,
} from './order-queries.ts';

/** The queries that write down what a delivery orders, where it is this one that counts. */
export async function carryOut(
  { database, fingerprints, runtime }: WebhookDependencies,
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
    confirms: order.event === 'token.leaked',
    nowMs: row.received_at,
  };
  const recordSubject = (action: 'subject.block' | 'subject.reinstate', subject: SubjectRef): Query => {
    const detail = { delivery_id: row.id, ...subject, ...('mode' in order && { mode: order.mode }) };
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
    case 'token.revoke': {
      const sought: readonly SoughtItem[] =
        order.event === 'token.revoke'
          ? order.tokens.map(soughtToken)
          : await Promise.all(
              order.leaks.map(async (leak, position) => await soughtLeak(leak, position, fingerprints)),
            );
      return [
        insertItems(database, row.id, sought, source.workspaces, isThisOne),
        orderMatched(database, terms),
        recordOrders(database, context, terms),
      ];
    }
    case 'subject.offboarded':
      return [
        recordSubject('subject.block', order.subject),
        blockSubject(database, terms, order.subject, isThisOne),
        ...(order.mode === 'suspend' ? [markSuspended(database, terms, order.subject, isThisOne)] : []),
        orderOwned(database, terms, order.subject, isThisOne),
        recordOrders(database, context, terms),
      ];
    case 'subject.reinstated':
      return [recordSubject('subject.reinstate', order.subject), unblockSubject(database, order.subject, isThisOne)];
  }
}
