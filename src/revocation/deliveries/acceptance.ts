import { and, desc, eq, gt, inArray, isNull, or, sql, type SQL } from 'drizzle-orm';
import { WEBHOOK_REFUSED_MAX_ROWS, WEBHOOK_SAME_BODY_MS } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { type DeliveryRow, type OwnerRow, webhookDeliveries, webhookItems } from '../../db/schema.ts';
import { type AuditFailure, codeOf, type RequestFailure } from '../../failures.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { minuteBeginMs } from '../../kit/time.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { callerMinuteOf, furtherRow, isIgnoredInFull } from '../../trail/caller-rows.ts';
import { countRead, readKey } from '../../trail/counted.ts';
import { finalRow } from '../../trail/event.ts';
import { rowsOf } from '../../trail/final-records.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import { carryOut } from './carry-out.ts';
import { selectOwners } from './deliveries.ts';
import {
  contentDigests,
  type ContentDigests,
  deliveryEvent,
  describeDelivery,
  describeSigned,
  insertDelivery,
  isDelivery,
  type NewDelivery,
  recordDelivery,
  refusedOutcome,
  senderActor,
} from './delivery-row.ts';
import type { Accepted, Signed } from './intake.ts';

/** The delivery as it was accepted: this one, or the one that it repeats. */
export interface Receipt {
  /** Null: it leads to nothing and is only counted, since its source has sent enough of the kind in this minute. */
  readonly delivery: DeliveryRow | null;
  readonly isRepeated: boolean;
  /** Positions of the named tokens that are ours, within the source's scope. */
  readonly matched: ReadonlySet<number>;
  /** Whom a delivery about a subject found. */
  readonly owners: readonly OwnerRow[];
}

/**
 * Accepts a delivery in one D1 batch: the delivery, its row in the trail, what was found of the tokens that it names, and
 * an order with a row of its own for each that is to go. One that repeats another changes nothing, however many of them
 * come at once: D1 takes one batch after the other. Of those of one source that lead to nothing a minute keeps
 * WEBHOOK_IGNORED_MAX_ROWS; the others are counted in one row of the trail for each reason.
 *
 * Fails with `audit_unavailable`: then the sender must send it again. If D1 took it all the same, that is a repetition. Fails
 * with `id_reused` where a delivery of its id was accepted that ordered something else; a leak is accepted even so.
 */
export async function acceptDelivery(
  dependencies: WebhookDependencies,
  context: RequestContext,
  accepted: Accepted,
): Promise<Result<Receipt, AuditFailure | { kind: 'id_reused' }>> {
  const { database, fingerprints, runtime } = dependencies;
  const { instruction } = accepted;
  const digests = 'ignored' in instruction ? null : await contentDigests(instruction, fingerprints);
  const received = { id: runtime.newId(), eventId: runtime.newId(), nowMs: runtime.now() };
  const row = await describeDelivery(accepted, received, digests?.[0] ?? null);
  const isLeak = 'leaks' in instruction;
  const before = earlierOnes(row, digests, isLeak);
  const isThisOne = isDelivery(database, row.id);
  const isNew = sql`not ${isThere(before.same)}`;
  const counting = 'ignored' in instruction ? await countIgnored(database, context, row, isNew) : null;
  const queries: readonly Query[] = [
    'ignored' in instruction
      ? insertDelivery(database, row, sql`${isNew} and ${isIgnoredInFull(minuteOf(row))}`)
      : isLeak
        ? insertDelivery(database, row, isNew, isThere(before.sameId))
        : insertDelivery(database, row, sql`not ${isThere(before.sameId)}`),
    recordDelivery(database, context, row, isThisOne),
    ...(counting ?? (await carryOut(dependencies, context, accepted, row, isThisOne))),
  ];
  // What was inserted is read after it.
  const committed = await database.batch(context, [...queries, ...readBack(database, before.same)] as const);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const answers = committed.value.slice(queries.length);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch gives results in the order of its queries
  const [[delivery], positions, owners] = answers as unknown as [DeliveryRow[], { position: number }[], OwnerRow[]];
  if (delivery === undefined && counting !== null) {
    context.trace.eventId = rowsOf(counting, committed.value.slice(RECORDING)).flat()[0]?.id ?? null;
    return ok({ delivery: null, isRepeated: false, matched: new Set(), owners: [] });
  }
  if (delivery === undefined) return err({ kind: 'id_reused' });
  context.trace.eventId = delivery.event_id;
  return ok({
    delivery,
    isRepeated: delivery.id !== row.id,
    matched: new Set(positions.map(({ position }) => position)),
    owners,
  });
}

/** The queries of every delivery, before those of what it orders or counts. */
const RECORDING = 2;

const minuteOf = ({ source, received_at }: NewDelivery) =>
  callerMinuteOf({ actor_issuer: null, actor_subject: source, occurred_at: received_at });

/** One row for all of a minute, whoever brought them. */
async function countIgnored(database: Database, { requestId }: RequestContext, row: NewDelivery, condition: SQL) {
  const nobody = { requestId, ip: null, userAgent: null };
  return countRead(database, await furtherRow(deliveryEvent(nobody, row)), condition);
}

/**
 * Which earlier deliveries a delivery may repeat: those that say the same under its id; and those that were carried out under
 * its id, whatever they say. One that was refused or led to nothing uses no id up, so that it may be sent again once the body or
 * the policy is mended; sent again without that, what leads to nothing is one delivery.
 *
 * @param digests null: this one leads to nothing.
 */
function earlierOnes(
  row: NewDelivery,
  digests: ContentDigests | null,
  isLeak: boolean,
): { readonly same: SQL; readonly sameId: SQL } {
  const hasId = row.sender_id !== null;
  const underId = sql`${and(
    eq(webhookDeliveries.source, row.source),
    eq(webhookDeliveries.dedupe_key, row.dedupe_key),
    gt(webhookDeliveries.received_at, hasId ? 0 : row.received_at - WEBHOOK_SAME_BODY_MS),
    isNull(webhookDeliveries.refused),
  )}`;
  const sameId = sql`${underId} and ${webhookDeliveries.ignored} is null`;
  if (digests === null) {
    const { ignored, event } = webhookDeliveries;
    return { same: sql`${underId} and ${ignored} = ${row.ignored} and ${event} = ${row.event}`, sameId };
  }
  // Without an id it is the body that was compared.
  if (!hasId) return { same: sameId, sameId };
  const digest = webhookDeliveries.content_digest;
  // A delivery of an earlier version of this service has no digest. A leak under its id is carried out once more, so that none
  // is lost; anything else is taken for its repetition.
  const saysTheSame = or(inArray(digest, [...digests]), isLeak ? undefined : isNull(digest));
  return { same: sql`${sameId} and ${saysTheSame}`, sameId };
}

const isThere = (condition: SQL): SQL => sql`exists (select 1 from ${webhookDeliveries} where ${condition})`;

/** The last delivery of which `same` holds, the tokens of ours that it named, and the owners that it found. */
function readBack(database: Database, same: SQL) {
  const { build } = database;
  const id = sql`(select id from ${webhookDeliveries} where ${same} order by seq desc limit 1)`;
  return [
    build.select().from(webhookDeliveries).where(same).orderBy(desc(webhookDeliveries.seq)).limit(1),
    build
      .select({ position: webhookItems.position })
      .from(webhookItems)
      .where(and(eq(webhookItems.delivery_id, id), eq(webhookItems.found, 'matched'))),
    selectOwners(database, id),
  ] as const;
}

/**
 * Records a delivery that is rightly signed and is refused: among the deliveries, with a row in the trail, in one D1 batch. Of one
 * source that is done WEBHOOK_REFUSED_MAX_ROWS times a minute, since a sender that is out of order must not fill the database;
 * those beyond are counted in one row of the trail for each error code.
 *
 * Fails with `audit_unavailable`: then the sender must send it again, or nobody would ever know of it.
 */
export async function refuseDelivery(
  { database, runtime }: Pick<WebhookDependencies, 'database' | 'runtime'>,
  context: RequestContext,
  signed: Signed,
  failure: RequestFailure,
): Promise<Result<null, AuditFailure>> {
  const code = codeOf(failure);
  const field = fieldOf(failure);
  const source = signed.source.name;
  runtime.log({ level: 'warn', event: 'webhook_refused', request_id: context.requestId, source, code, field });

  const nowMs = runtime.now();
  const received = { id: runtime.newId(), eventId: runtime.newId(), nowMs };
  const row = { ...(await describeSigned(signed, received)), refused: code, refused_field: field };
  const minuteMs = minuteBeginMs(nowMs);
  // The plus keeps SQLite from the index that begins with the source and holds every delivery of it.
  const isWithinLimit = sql`(select count(*) from ${webhookDeliveries} where ${webhookDeliveries.refused} is not null
    and ${webhookDeliveries.received_at} >= ${minuteMs} and +${webhookDeliveries.source} = ${source}) < ${WEBHOOK_REFUSED_MAX_ROWS}`;
  const isThisOne = isDelivery(database, row.id);
  // One row for all of a minute, whoever brought them.
  const nobody = { requestId: context.requestId, ip: null, userAgent: null };
  const subject = {
    action: 'webhook.receive',
    actor: senderActor(source),
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {},
  } as const;
  const further = finalRow(runtime.newId(), nowMs, nobody, subject, refusedOutcome(code));
  const [add, insert] = countRead(database, { ...further, read_key: await readKey(further) }, sql`not ${isThisOne}`);
  const committed = await database.batch(context, [
    insertDelivery(database, row, isWithinLimit),
    recordDelivery(database, context, row, isThisOne),
    add,
    insert,
  ] as const);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [, , added, inserted] = committed.value;
  context.trace.eventId = [...added, ...inserted][0]?.id ?? row.event_id;
  return ok(null);
}

/** The path of the field at fault, the first of several. Null: it is not about one. */
function fieldOf(failure: RequestFailure): string | null {
  if (failure.kind === 'too_many_tokens') return 'data.tokens';
  return 'errors' in failure ? (Object.keys(failure.errors)[0] ?? null) : null;
}
