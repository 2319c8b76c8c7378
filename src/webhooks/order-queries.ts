import { and, eq, gt, isNull, or, sql, type SQL } from 'drizzle-orm';
import { attemptedRow } from '../audit/events.ts';
import { insertEventsFrom } from '../audit/insert-where.ts';
import type { Database, Query } from '../db/database.ts';
import {
  revocationOrders,
  subjectBlocks,
  tokens,
  webhookDeliveries,
  webhookItems,
  type DeliveryRow,
} from '../db/schema.ts';
import { selectedRow } from '../db/insert-select.ts';
import { newUuid } from '../db/uuid.ts';
import { ORDER_RANKS } from '../inventory/orders.ts';
import type { RequestContext } from '../request-context.ts';
import { labelKey } from '../subjects/labels.ts';
import type { RevocationMode } from '../vocabulary.ts';
import type { SubjectRef } from './adapter.ts';
import { sourceActor } from './actor.ts';

/** What the orders of a delivery have in common. */
export interface OrderTerms {
  readonly deliveryId: string;
  readonly source: string;
  readonly event: string;
  readonly mode: RevocationMode;
  /** Whether they are to be confirmed by a list once they are done. */
  readonly confirms: boolean;
  readonly nowMs: number;
}

/** An order for each token that a delivery named and that is one of ours. */
export const orderMatched = (database: Database, terms: OrderTerms) =>
  insertOrders(
    database,
    terms,
    sql`(select distinct ${webhookItems.workspace_uuid} as workspace_uuid, ${webhookItems.token_id} as token_id
      from ${webhookItems} where ${webhookItems.delivery_id} = ${terms.deliveryId} and ${webhookItems.found} = 'matched')`,
    sql`true`,
  );

/** An order for each live token of a leaver, where `condition` holds. */
export const orderOwned = (database: Database, terms: OrderTerms, subject: SubjectRef, condition: SQL) =>
  insertOrders(
    database,
    terms,
    sql`(select ${tokens.workspace_uuid} as workspace_uuid, ${tokens.token_id} as token_id from ${tokens} where ${isLiveOf(subject, terms.nowMs)})`,
    condition,
  );

/**
 * The row in the trail of each order of a delivery that has none yet: it is there before anything is sent.
 *
 * @param why what the rows say beside the delivery.
 */
export function recordOrders(
  database: Database,
  context: RequestContext,
  terms: Pick<OrderTerms, 'deliveryId' | 'source' | 'event' | 'mode' | 'nowMs'>,
  why: Readonly<Record<string, unknown>> = {},
) {
  const row = attemptedRow('', terms.nowMs, context, {
    action: terms.mode === 'revoke' ? 'service_account_token.revoke' : 'service_account_token.update',
    actor: sourceActor(terms.source),
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {
      delivery_id: terms.deliveryId,
      event: terms.event,
      ...why,
      ...(terms.mode === 'suspend' && { is_active: false }),
    },
  });
  const { id, workspace_uuid, token_id, delivery_id, state } = revocationOrders;
  return insertEventsFrom(
    database,
    row,
    { id: sql`${id}`, workspace_uuid: sql`${workspace_uuid}`, token_id: sql`${token_id}` },
    sql`from ${revocationOrders} where ${delivery_id} = ${terms.deliveryId} and ${state} = 'open'
      and not exists (select 1 from audit_events as e where e.id = ${id})`,
  );
}

/** Notes which delivery suspends a leaver's tokens: from then on none of its own roles resumes them. */
export const markSuspended = (database: Database, terms: OrderTerms, subject: SubjectRef, condition: SQL) =>
  database.build
    .update(tokens)
    .set({ suspended_by: terms.deliveryId })
    .where(and(isLiveOf(subject, terms.nowMs), condition));

/**
 * Blocks a leaver, where `condition` holds: by what the delivery named, and, where that is a label, each owner of tokens
 * who has it as well, since a label may change with the next login.
 */
export function blockSubject({ build }: Database, terms: OrderTerms, subject: SubjectRef, condition: SQL) {
  const label = 'label' in subject ? labelKey(subject.label) : null;
  const [issuer, name] = 'label' in subject ? [null, null] : [subject.issuer, subject.subject];
  const owners = sql`select ${tokens.owner_issuer}, ${tokens.owner_subject} from ${tokens} where ${tokens.owner_label} = ${label}`;
  const row = {
    issuer: sql`who.issuer`,
    subject: sql`who.subject`,
    label,
    delivery_id: terms.deliveryId,
    created_at: terms.nowMs,
  };
  return build.insert(subjectBlocks).select(sql`
    select ${selectedRow(subjectBlocks, row)}
    from (select ${issuer} as issuer, ${name} as subject union ${owners}) as who
    where ${condition} and not exists (select 1 from subject_blocks as b
      where b.issuer is who.issuer and b.subject is who.subject and b.label is ${label})`);
}

/** Lifts what blocked a subject, where `condition` holds. */
export const unblockSubject = ({ build }: Database, subject: SubjectRef, condition: SQL) =>
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

/** Neither revoked nor expired, and owned by the subject. */
const isLiveOf = (subject: SubjectRef, nowMs: number): SQL | undefined =>
  and(
    'label' in subject
      ? eq(tokens.owner_label, labelKey(subject.label))
      : and(eq(tokens.owner_issuer, subject.issuer), eq(tokens.owner_subject, subject.subject)),
    isNull(tokens.revoked_at),
    or(isNull(tokens.expires_at), gt(tokens.expires_at, nowMs)),
  );

function insertOrders({ build }: Database, terms: OrderTerms, from: SQL, condition: SQL) {
  const { deliveryId, mode, confirms, nowMs, event } = terms;
  const row = {
    id: newUuid,
    cause: event === 'token.leaked' ? 'leak' : event === 'token.revoke' ? 'command' : 'offboarding',
    delivery_id: deliveryId,
    workspace_uuid: sql`target.workspace_uuid`,
    token_id: sql`target.token_id`,
    mode,
    rank: confirms ? 0 : 1,
    state: 'open',
    tries: 0,
    next_at: nowMs,
    created_at: nowMs,
    confirm_round: 0,
  };
  return build
    .insert(revocationOrders)
    .select(sql`select ${selectedRow(revocationOrders, row)} from ${from} as target where ${condition}`);
}

/** Makes the next orders of a delivery about a leaver, `limitRows` at the most, live tokens first, each with its row in the trail. */
export function makeOrders(
  database: Database,
  context: RequestContext,
  delivery: DeliveryRow,
  limitRows: number,
  nowMs: number,
): readonly Query[] {
  const { build } = database;
  const mode = delivery.mode ?? 'revoke';
  const terms = { deliveryId: delivery.id, source: delivery.source, event: delivery.event, mode, nowMs } as const;
  const row = {
    id: newUuid,
    cause: 'offboarding',
    delivery_id: delivery.id,
    workspace_uuid: sql`target.workspace_uuid`,
    token_id: sql`target.token_id`,
    mode,
    rank: sql`target.rank`,
    state: 'open',
    tries: 0,
    next_at: nowMs,
    created_at: nowMs,
    confirm_round: 0,
  };
  const isOwned =
    delivery.subject_label === null
      ? sql`t.owner_issuer = ${delivery.subject_issuer} and t.owner_subject = ${delivery.subject}`
      : sql`t.owner_label = ${labelKey(delivery.subject_label)}`;
  const unordered = sql`from tokens as t where ${isOwned} and (t.ended_by is null or t.ended_by = 'listed')
    and not exists (select 1 from revocation_orders as r
      where r.delivery_id = ${delivery.id} and r.workspace_uuid = t.workspace_uuid and r.token_id = t.token_id)`;
  const rank = sql`iif(t.expires_at <= ${delivery.received_at}, ${ORDER_RANKS.expired}, ${ORDER_RANKS.live})`;
  return [
    build.insert(revocationOrders).select(
      sql`select ${selectedRow(revocationOrders, row)} from (
        select t.workspace_uuid, t.token_id, ${rank} as rank ${unordered} order by rank limit ${limitRows}) as target`,
    ),
    recordOrders(database, context, terms),
    build
      .update(webhookDeliveries)
      .set({ orders_left: sql`exists (select 1 ${unordered})` })
      .where(eq(webhookDeliveries.id, delivery.id)),
  ];
}
