import { and, eq, sql, type SQL } from 'drizzle-orm';
import { ORDERS_MAKE_BATCH_ROWS } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { subjectBlocks, webhookOwners } from '../../db/schema.ts';
import { isEndUnproven, selectedRow } from '../../db/sql.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { labelKey, meantByLabel } from '../../subjects/labels.ts';
import { finalRow, successOutcome } from '../../trail/event.ts';
import { insertEventWhere } from '../../trail/statements.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import { makeOrders, orderMatched, type OrderTerms, recordOrders } from '../orders/making.ts';
import type { SubjectRef } from '../senders/sender.ts';
import { type NewDelivery, senderActor, storedLabel } from './delivery-row.ts';
import type { Accepted } from './intake.ts';
import { insertItems, soughtItems } from './matching.ts';

/**
 * The queries that carry out what a delivery orders, where it is the one that counts: what it named and an order for each token
 * of ours; or whom it is about, their block and their orders; or the end of a block.
 */
export async function carryOut(
  { database, fingerprints, runtime, namedWorkspaces }: WebhookDependencies,
  context: RequestContext,
  { source, instruction }: Accepted,
  row: NewDelivery,
  isThisOne: SQL,
): Promise<readonly Query[]> {
  if ('ignored' in instruction) return [];
  const terms: OrderTerms = {
    deliveryId: row.id,
    source: row.source,
    event: instruction.event,
    mode: instruction.event === 'subject.offboarded' ? instruction.mode : 'revoke',
    nowMs: row.received_at,
  };
  const recordSubject = (action: 'subject.block' | 'subject.reinstate', subject: SubjectRef): Query => {
    const detail = {
      delivery_id: row.id,
      ...('label' in subject ? { label: storedLabel(subject.label) } : subject),
      ...('mode' in instruction && { mode: instruction.mode }),
      ...('former' in instruction && instruction.former && { former: true }),
    };
    const event = {
      action,
      actor: senderActor(row.source),
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
  switch (instruction.event) {
    case 'token.leaked':
    case 'token.revoke':
      return [
        ...insertItems(database, row.id, await soughtItems(instruction, fingerprints), source.workspaces, isThisOne),
        orderMatched(database, terms, instruction.event === 'token.leaked' ? 'leak' : 'command', namedWorkspaces),
        recordOrders(database, context, terms),
      ];
    case 'subject.offboarded':
      return [
        recordSubject('subject.block', instruction.subject),
        insertOwners(database, row.id, instruction.subject, instruction.former, isThisOne),
        blockSubject(database, { id: row.id, nowMs: row.received_at }, instruction.subject, isThisOne),
        // These follow from the owners that were found, so a delivery that does not count makes none.
        ...makeOrders(database, context, row, ORDERS_MAKE_BATCH_ROWS, row.received_at),
      ];
    case 'subject.reinstated':
      return [
        recordSubject('subject.reinstate', instruction.subject),
        unblockSubject(database, instruction.subject, isThisOne),
      ];
  }
}

/**
 * Inserts the owners that a delivery about a subject finds, each with the number of its tokens that are left, where `condition`
 * holds. An owner that the delivery names is found even if it has no token.
 *
 * @param former whether a label means its former holders too.
 */
function insertOwners({ build }: Database, deliveryId: string, subject: SubjectRef, former: boolean, condition: SQL) {
  const people =
    'label' in subject
      ? meantByLabel(labelKey(subject.label), former)
      : sql`select ${subject.issuer} as issuer, ${subject.subject} as subject, 'owner' as found`;
  const row = {
    delivery_id: deliveryId,
    issuer: sql`who.issuer`,
    subject: sql`who.subject`,
    found: sql`who.found`,
    tokens: sql`(select count(*) from tokens as t
      where t.owner_issuer = who.issuer and t.owner_subject = who.subject and ${isEndUnproven('t')})`,
  };
  return build
    .insert(webhookOwners)
    .select(sql`select ${selectedRow(webhookOwners, row)} from (${people}) as who where ${condition}`);
}

/**
 * Blocks a leaver, where `condition` holds: by what the delivery named, and, if that is a label, each owner that it means as well,
 * since a label may change with the next login.
 */
function blockSubject(
  { build }: Database,
  delivery: { readonly id: string; readonly nowMs: number },
  subject: SubjectRef,
  condition: SQL,
) {
  const label = 'label' in subject ? labelKey(subject.label) : null;
  const [issuer, name] = 'label' in subject ? [null, null] : [subject.issuer, subject.subject];
  const row = {
    issuer: sql`who.issuer`,
    subject: sql`who.subject`,
    label,
    delivery_id: delivery.id,
    created_at: delivery.nowMs,
  };
  return build.insert(subjectBlocks).select(sql`
    select ${selectedRow(subjectBlocks, row)}
    from (select ${issuer} as issuer, ${name} as subject
      union select o.issuer, o.subject from webhook_owners as o where o.delivery_id = ${delivery.id} and o.found = 'owner') as who
    where ${condition} and not exists (select 1 from subject_blocks as b
      where b.issuer is who.issuer and b.subject is who.subject and b.label is ${label})`);
}

/** Lifts the blocks of a subject, where `condition` holds. Those of a label include the blocks of owners because of it. */
const unblockSubject = ({ build }: Database, subject: SubjectRef, condition: SQL) =>
  build
    .delete(subjectBlocks)
    .where(
      and(
        'label' in subject
          ? eq(subjectBlocks.label, labelKey(subject.label))
          : and(eq(subjectBlocks.issuer, subject.issuer), eq(subjectBlocks.subject, subject.subject)),
        condition,
      ),
    );
