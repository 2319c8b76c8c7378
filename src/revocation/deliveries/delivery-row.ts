import { eq, exists, sql, type SQL } from 'drizzle-orm';
import { base64url } from 'jose';
import * as z from 'zod';
import {
  ACTOR_LABEL_MAX_BYTES,
  WEBHOOK_EVENT_NAME_MAX_BYTES,
  WEBHOOK_SENDER_ID_MAX_BYTES,
} from '../../config/limits.ts';
import type { Database } from '../../db/database.ts';
import { type DeliveryRow, webhookDeliveries } from '../../db/schema.ts';
import { selectedRow } from '../../db/sql.ts';
import { cutToBytes } from '../../kit/bytes.ts';
import { canonicalJson, sha256Hex } from '../../kit/digest.ts';
import { redact } from '../../kit/redaction.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Accepted, Signed } from './intake.ts';
import type { Instruction, NamedToken, SubjectRef } from '../senders/sender.ts';
import { labelKey } from '../../subjects/labels.ts';
import type { Fingerprints } from '../../tokens/fingerprints.ts';
import {
  type Actor,
  type EventOutcome,
  type EventSubject,
  finalRow,
  type NewAuditRow,
  type Origin,
  successOutcome,
} from '../../trail/event.ts';
import { insertEventWhere } from '../../trail/statements.ts';
import type { ErrorCode } from '../../vocabulary.ts';

/** A delivery that is not inserted yet. */
export type NewDelivery = Omit<DeliveryRow, 'seq'>;

/** When a delivery came, and the ids under which it is kept. */
interface Received {
  readonly id: string;
  readonly eventId: string;
  readonly nowMs: number;
}

/** A delivery as it is kept. Of its body only what it orders, and about whom, is kept, and its sender's texts are cut. */
export async function describeDelivery(
  { instruction, ...signed }: Accepted,
  received: Received,
  contentDigest: string | null,
): Promise<NewDelivery> {
  const subject = 'subject' in instruction ? instruction.subject : null;
  return {
    ...(await describeSigned(signed, received)),
    content_digest: contentDigest,
    rejected_items:
      'rejected' in instruction && !isEmpty(instruction.rejected) ? JSON.stringify(instruction.rejected) : null,
    former: 'former' in instruction && instruction.former ? 1 : 0,
    ignored: 'ignored' in instruction ? instruction.ignored : null,
    mode: 'mode' in instruction ? instruction.mode : null,
    subject_issuer: subject !== null && 'issuer' in subject ? subject.issuer : null,
    subject: subject !== null && 'subject' in subject ? subject.subject : null,
    subject_label: subject !== null && 'label' in subject ? storedLabel(subject.label) : null,
  };
}

/** What is kept of any delivery whose signature is good. */
export async function describeSigned(
  { source, body, message }: Signed,
  { id, eventId, nowMs }: Received,
): Promise<NewDelivery> {
  const senderId = message.senderId?.toWellFormed() ?? null;
  return {
    id,
    source: source.name,
    event: cutToBytes(redact(message.eventName.toWellFormed()), WEBHOOK_EVENT_NAME_MAX_BYTES),
    sender_id: senderId === null ? null : cutToBytes(redact(senderId), WEBHOOK_SENDER_ID_MAX_BYTES),
    dedupe_key: await dedupeKey(message.senderId, body),
    content_digest: null,
    id_reused: 0,
    event_id: eventId,
    received_at: nowMs,
    ignored: null,
    refused: null,
    refused_field: null,
    rejected_items: null,
    mode: null,
    subject_issuer: null,
    subject: null,
    subject_label: null,
    former: 0,
    orders_left: 0,
  };
}

/** What is stored and shown of a label, which may be as long as a JWT. It is found by the whole of it. */
export const storedLabel = (label: string): string => cutToBytes(redact(label), ACTOR_LABEL_MAX_BYTES);

const isEmpty = (object: object): boolean => Object.keys(object).length === 0;

/**
 * Inserts a delivery where `condition` holds.
 *
 * @param isIdReused whether another delivery has used its id.
 */
export const insertDelivery = ({ build }: Database, row: NewDelivery, condition: SQL, isIdReused: SQL = sql`0`) =>
  build
    .insert(webhookDeliveries)
    .select(sql`select ${selectedRow(webhookDeliveries, { ...row, id_reused: isIdReused })} where ${condition}`);

/** Whether a delivery of this id was inserted. */
export const isDelivery = ({ build }: Database, id: string): SQL =>
  exists(
    build
      .select({ one: sql`1` })
      .from(webhookDeliveries)
      .where(eq(webhookDeliveries.id, id)),
  );

/** Inserts the row in the trail that says a delivery came in, where this is the one that counts. */
export const recordDelivery = (database: Database, context: RequestContext, row: NewDelivery, isThisOne: SQL) =>
  insertEventWhere(database, deliveryEvent(context, row), isThisOne);

export function deliveryEvent(origin: Origin, row: NewDelivery): NewAuditRow {
  const subject: EventSubject = {
    action: 'webhook.receive',
    actor: senderActor(row.source),
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {
      delivery_id: row.id,
      event: row.event,
      ...(row.sender_id !== null && { sender_id: row.sender_id }),
      ...(row.refused_field !== null && { field: row.refused_field }),
      ...(row.rejected_items !== null && { rejected_items: rejectedItemsOf(row) }),
    },
  };
  const errorCode = row.refused ?? row.ignored;
  const outcome = errorCode === null ? successOutcome(null) : refusedOutcome(errorCode);
  return finalRow(row.event_id, row.received_at, origin, subject, outcome);
}

/** The outcome of a delivery that led to nothing. */
export const refusedOutcome = (errorCode: ErrorCode): EventOutcome => ({
  status: 'failure',
  upstreamStatus: null,
  errorCode,
  detail: {},
});

/** How many items of a delivery could not be acted on, by reason, or null if all could. */
export const rejectedItemsOf = ({ rejected_items: json }: Pick<DeliveryRow, 'rejected_items'>) =>
  json === null ? null : z.record(z.string(), z.number()).parse(JSON.parse(json));

/** What tells one delivery of a sender from another: a digest of the id that the sender gave it, or of its body if it gave none. */
async function dedupeKey(senderId: string | null, body: Uint8Array): Promise<string> {
  const bytes = senderId === null ? body : new TextEncoder().encode(senderId);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return `${senderId === null ? 'body' : 'id'}:${base64url.encode(digest)}`;
}

/** A sender of webhooks as the trail names it. */
export const senderActor = (name: string): Actor => ({ type: 'webhook', issuer: null, subject: name, label: null });

/** Digests of what a delivery orders: the one that is stored, and those that an earlier key or version of this service would give. */
export type ContentDigests = readonly [current: string, ...earlier: string[]];

/**
 * What tells a repetition from another delivery under the same id: a digest of what it orders, so that the same
 * JSON written in another way is the same. The digest of a leak is keyed as fingerprints are, since it is made from a secret. Two
 * leak reports are the same only if every item says the same.
 */
export async function contentDigests(instruction: Instruction, fingerprints: Fingerprints): Promise<ContentDigests> {
  const digestOf = async (content: unknown): Promise<string> => await sha256Hex(canonicalJson(content));
  const hex = await digestOf(contentOf(instruction));
  if (
    instruction.event === 'token.revoke' &&
    instruction.tokens.some(({ workspaceSpelled }) => workspaceSpelled !== undefined)
  ) {
    // Before workspaces had one spelling, a digest was made from the spelling that was sent.
    return [hex, await digestOf(namedTokens(instruction, (token) => token.workspaceSpelled ?? token.workspaceUuid))];
  }
  if (instruction.event !== 'token.leaked') return [hex];
  const [current, ...earlier] = (await fingerprints.candidates(hex)).map(({ value }) => value);
  return [current ?? hex, ...earlier];
}

function contentOf(instruction: Instruction): unknown {
  switch (instruction.event) {
    case 'token.leaked':
      return instruction;
    case 'token.revoke':
      return namedTokens(instruction, ({ workspaceUuid }) => workspaceUuid);
    case 'subject.offboarded':
    case 'subject.reinstated':
      return { ...instruction, subject: subjectOf(instruction.subject) };
  }
}

/** The same tokens in another order, or named twice, are the same. */
function namedTokens(
  { event, tokens }: Extract<Instruction, { event: 'token.revoke' }>,
  workspaceOf: (token: NamedToken) => string | null,
): unknown {
  const named = tokens.map((token) => `${token.tokenId} ${workspaceOf(token) ?? ''}`);
  return { event, tokens: [...new Set(named)].toSorted() };
}

const subjectOf = (subject: SubjectRef): SubjectRef =>
  'label' in subject ? { label: labelKey(subject.label) } : { issuer: subject.issuer, subject: subject.subject };
