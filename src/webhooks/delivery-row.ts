import { sql, type SQL } from 'drizzle-orm';
import { finalRow, type EventSubject } from '../audit/events.ts';
import { insertEventWhere } from '../audit/insert-where.ts';
import { successOutcome } from '../audit/outcomes.ts';
import { ACTOR_LABEL_MAX_BYTES, WEBHOOK_EVENT_NAME_MAX_BYTES, WEBHOOK_SENDER_ID_MAX_BYTES } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { selectedRow } from '../db/insert-select.ts';
import { webhookDeliveries, type DeliveryRow } from '../db/schema.ts';
import type { RequestContext } from '../request-context.ts';
import { cutToBytes } from '../text/caps.ts';
import { redact } from '../text/redaction.ts';
import type { Accepted } from './accepted.ts';
import { sourceActor } from './actor.ts';
import { dedupeKey } from './dedupe-key.ts';

/** A delivery that is not inserted yet. */
export type NewDelivery = Omit<DeliveryRow, 'seq'>;

/** A delivery as it is kept: nothing of its body but what it orders about whom, and of its sender's texts a part. */
export async function describeDelivery(
  { source, body, message, order }: Accepted,
  id: string,
  eventId: string,
  nowMs: number,
): Promise<NewDelivery> {
  const subject = 'subject' in order ? order.subject : null;
  const senderId = message.senderId?.toWellFormed() ?? null;
  return {
    id,
    source: source.name,
    event: cutToBytes(redact(message.eventName.toWellFormed()), WEBHOOK_EVENT_NAME_MAX_BYTES),
    sender_id: senderId === null ? null : cutToBytes(redact(senderId), WEBHOOK_SENDER_ID_MAX_BYTES),
    dedupe_key: await dedupeKey(message.senderId, body),
    content_digest: null,
    id_reused: 0,
    refused: null,
    refused_field: null,
    rejected_items: null,
    former: 'former' in order && order.former ? 1 : 0,
    orders_left: 0,
    event_id: eventId,
    received_at: nowMs,
    ignored: 'ignored' in order ? order.ignored : null,
    mode: 'mode' in order ? order.mode : null,
    subject_issuer: subject !== null && 'issuer' in subject ? subject.issuer : null,
    subject: subject !== null && 'subject' in subject ? subject.subject : null,
    subject_label: subject !== null && 'label' in subject ? cutToBytes(subject.label, ACTOR_LABEL_MAX_BYTES) : null,
  };
}

/** Inserts a delivery unless there is the same already. */
export const insertDelivery = ({ build }: Database, row: NewDelivery, same: SQL | undefined) =>
  build
    .insert(webhookDeliveries)
    .select(
      sql`select ${selectedRow(webhookDeliveries, row)} where not exists (select 1 from ${webhookDeliveries} where ${same})`,
    );

/** The row in the trail that says a delivery came in, where it is this one that counts. */
export function recordDelivery(database: Database, context: RequestContext, row: NewDelivery, isThisOne: SQL) {
  const subject: EventSubject = {
    action: 'webhook.receive',
    actor: sourceActor(row.source),
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: { delivery_id: row.id, event: row.event, ...(row.sender_id !== null && { sender_id: row.sender_id }) },
  };
  const outcome =
    row.ignored === null
      ? successOutcome(null)
      : ({ status: 'failure', upstreamStatus: null, errorCode: ignoredCode(row.ignored), detail: {} } as const);
  return insertEventWhere(database, finalRow(row.event_id, row.received_at, context, subject, outcome), isThisOne);
}

const ignoredCode = (ignored: string): 'event_not_allowed' | 'event_unknown' =>
  ignored === 'event_unknown' ? 'event_unknown' : 'event_not_allowed';
