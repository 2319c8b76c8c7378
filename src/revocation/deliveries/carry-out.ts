import { sql, type SQL } from 'drizzle-orm';
import { ORDERS_MAKE_BATCH_ROWS } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { subjectBlocks, webhookOwners } from '../../db/schema.ts';
import { isEndUnproven, selectedRow } from '../../db/sql.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { labelKey, meantByLabel } from '../../subjects/labels.ts';
import { type Actor, eventSubject, finalRow, successOutcome } from '../../trail/event.ts';
import { insertEventWhere } from '../../trail/statements.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import { makeOrders, orderMatched, type OrderTerms } from '../orders/making.ts';
import type { Offboarding, SubjectRef } from '../senders/sender.ts';
import { type NewDelivery, senderActor, storedLabel } from './delivery-row.ts';
import type { Accepted } from './intake.ts';
import { insertItems, soughtItems } from './matching.ts';

/**
 * The queries that carry out what a webhook orders, where it is the delivery that counts: what it named and an order for each token
 * of ours; or whom it is about, their block and their orders; or the end of a block.
 */
export async function carryOut(
  dependencies: WebhookDependencies,
  context: RequestContext,
  { source, instruction }: Accepted,
  row: NewDelivery,
  isThisOne: SQL,
): Promise<readonly Query[]> {
  if ('ignored' in instruction) return [];
  const { database, fingerprints, namedWorkspaces } = dependencies;
  const actor = senderActor(row.source);
  switch (instruction.event) {
    case 'token.leaked':
    case 'token.revoke': {
      const sought = await soughtItems(instruction, fingerprints);
      const { id: deliveryId, received_at: nowMs } = row;
      const terms: OrderTerms = { deliveryId, event: instruction.event, mode: 'revoke', nowMs, actor };
      const cause = instruction.event === 'token.leaked' ? 'leak' : 'command';
      return [
        ...insertItems(database, row.id, sought, source.workspaces, isThisOne),
        ...orderMatched(dependencies, context, terms, cause, namedWorkspaces, sought.length),
      ];
    }
    case 'subject.offboarded':
      return offboard(dependencies, context, actor, instruction, row, isThisOne);
    case 'subject.reinstated': {
      const { subject } = instruction;
      return [
        recordSubject(dependencies, context, 'subject.reinstate', actor, row, subjectDetail(subject), isThisOne),
        ...reinstate(database, subject, row.id, isThisOne),
      ];
    }
  }
}

/**
 * The queries that offboard a subject, where `condition` holds: the row of the block, the owners who are meant, their blocks, and their
 * first orders.
 */
export const offboard = (
  dependencies: Pick<WebhookDependencies, 'database' | 'runtime'>,
  context: RequestContext,
  actor: Actor,
  { subject, mode, former }: Omit<Offboarding, 'event'>,
  row: NewDelivery,
  condition: SQL,
): readonly Query[] => {
  const { database } = dependencies;
  const detail = { ...subjectDetail(subject), mode, ...(former && { former }) };
  return [
    recordSubject(dependencies, context, 'subject.block', actor, row, detail, condition),
    insertOwners(database, row.id, subject, former, condition),
    blockSubject(database, { id: row.id, nowMs: row.received_at }, subject, condition),
    // These follow from the owners that were found, so a delivery that does not count makes none.
    ...makeOrders(dependencies, context, actor, row, ORDERS_MAKE_BATCH_ROWS, row.received_at),
  ];
};

/** The queries that lift the blocks of a subject, where `condition` holds. The owners whose blocks they were stand in the receipt. */
export const reinstate = (
  database: Database,
  subject: SubjectRef,
  deliveryId: string,
  condition: SQL,
): readonly Query[] => [
  insertOwnersOf(
    database,
    deliveryId,
    sql`select distinct b.issuer, b.subject, 'owner' as found from subject_blocks as b
      where ${isBlockOf('b', subject)} and b.issuer is not null and b.subject is not null`,
    condition,
  ),
  database.build.delete(subjectBlocks).where(sql`${isBlockOf('subject_blocks', subject)} and ${condition}`),
];

/**
 * The `outcome` of the row of a reinstatement, in the batch that lifts the blocks and before it does: how many there are. `still_blocked`:
 * one of those whom they block is blocked by another as well, such as an owner by its label.
 */
export const blocksLifted = (subject: SubjectRef, outcome: Readonly<Record<string, unknown>>): SQL => sql`json_patch(
  json_set(${JSON.stringify(outcome)}, '$.blocks_lifted', (select count(*) from subject_blocks as b where ${isBlockOf('b', subject)})),
  iif(exists (select 1 from subject_blocks as b join subject_blocks as other
      on (other.issuer = b.issuer and other.subject = b.subject) or (other.issuer is null and other.label = b.label)
    where ${isBlockOf('b', subject)} and not coalesce(${isBlockOf('other', subject)}, 0)), '{"still_blocked":true}', '{}'))`;

/** Whether a block is one of those that reinstating a subject lifts. Those of a label include the blocks of owners because of it. */
function isBlockOf(name: string, subject: SubjectRef): SQL {
  const block = sql.raw(name);
  return 'label' in subject
    ? sql`(${block}.label = ${labelKey(subject.label)})`
    : sql`(${block}.issuer = ${subject.issuer} and ${block}.subject = ${subject.subject})`;
}

/** What rows in the trail say of a subject. */
export const subjectDetail = (subject: SubjectRef): Readonly<Record<string, string>> =>
  'label' in subject ? { label: storedLabel(subject.label) } : { issuer: subject.issuer, subject: subject.subject };

function recordSubject(
  { database, runtime }: Pick<WebhookDependencies, 'database' | 'runtime'>,
  context: RequestContext,
  action: 'subject.block' | 'subject.reinstate',
  actor: Actor,
  row: NewDelivery,
  detail: Readonly<Record<string, unknown>>,
  condition: SQL,
): Query {
  const event = eventSubject(action, actor, { detail: { delivery_id: row.id, ...detail } });
  return insertEventWhere(
    database,
    finalRow(runtime.newId(), row.received_at, context, event, successOutcome(null)),
    condition,
  );
}

/**
 * Inserts the owners that a delivery about a subject finds, each with the number of its tokens that are left, where `condition`
 * holds. An owner that the delivery names is found even if it has no token.
 *
 * @param former whether a label means its former holders too.
 */
function insertOwners(database: Database, deliveryId: string, subject: SubjectRef, former: boolean, condition: SQL) {
  const people =
    'label' in subject
      ? meantByLabel(labelKey(subject.label), former)
      : sql`select ${subject.issuer} as issuer, ${subject.subject} as subject, 'owner' as found`;
  return insertOwnersOf(database, deliveryId, people, condition);
}

/** @param people a query with the columns `issuer`, `subject` and `found`. */
function insertOwnersOf({ build }: Database, deliveryId: string, people: SQL, condition: SQL) {
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
