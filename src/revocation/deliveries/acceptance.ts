import { and, desc, eq, gt, inArray, isNull, or, sql, type SQL } from 'drizzle-orm';
import { WEBHOOK_REFUSED_MAX_ROWS, WEBHOOK_SAME_BODY_MS } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { type DeliveryRow, type OwnerRow, webhookDeliveries, webhookItems } from '../../db/schema.ts';
import { type AuditFailure, codeOf, type RequestFailure } from '../../failures.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { minuteBeginMs } from '../../kit/time.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { callerMinuteOf, isIgnoredInFull } from '../../trail/caller-rows.ts';
import { countRead, furtherRow, readKey } from '../../trail/counted.ts';
import { finalRow, systemOrigin } from '../../trail/event.ts';
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

/** What was accepted: this delivery, or the one that it repeats. */
export interface Receipt {
  /** Null if it leads to nothing and is only counted, since its sender has sent enough of its kind in this minute. */
  readonly delivery: DeliveryRow | null;
  readonly isRepeated: boolean;
  /** Positions of the named tokens that are ours and within the sender's workspaces. */
  readonly matched: ReadonlySet<number>;
  /** The owners that a delivery about a subject found. */
  readonly owners: readonly OwnerRow[];
}

/**
 * Accepts a delivery in one D1 batch: the delivery, its row in the trail, what was found of the tokens that it names, and an order
 * with a row of its own for each token that is to go. A delivery that repeats another changes nothing, however many come at once,
 * since D1 takes one batch after the other. Of a sender's deliveries that lead to nothing, WEBHOOK_IGNORED_MAX_ROWS a minute are
 * kept; further ones are counted in one row of the trail for each reason.
 *
 * Fails with `audit_unavailable`, and the sender must send it again: if D1 has taken it all the same, that is a repetition. Fails
 * with `id_reused` if a delivery of the same id that ordered something else was accepted. A leak is accepted even then.
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

/** How many queries of every delivery stand before those that carry it out or count it. */
const RECORDING = 2;

const minuteOf = ({ source, received_at }: NewDelivery) =>
  callerMinuteOf({ actor_issuer: null, actor_subject: source, occurred_at: received_at });

/** One row counts all of a minute, whoever sent them. */
async function countIgnored(database: Database, context: RequestContext, row: NewDelivery, condition: SQL) {
  return countRead(database, await furtherRow(deliveryEvent(systemOrigin(context), row)), condition);
}

/**
 * Which earlier deliveries this one may repeat: those that say the same under its id, and those that were carried out under its
 * id, whatever they say. A delivery that was refused or led to nothing does not use its id up, so that it may be sent again once
 * the body or the policy is mended. Deliveries that lead to nothing and say the same are one.
 *
 * @param digests null if this delivery leads to nothing.
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
  // Without an id, the body itself was compared.
  if (!hasId) return { same: sameId, sameId };
  const digest = webhookDeliveries.content_digest;
  // A delivery that an earlier version of this service accepted has no digest. A leak under its id is carried out again, so that
  // none is lost; anything else is taken for a repetition.
  const saysTheSame = or(inArray(digest, [...digests]), isLeak ? undefined : isNull(digest));
  return { same: sql`${sameId} and ${saysTheSame}`, sameId };
}

const isThere = (condition: SQL): SQL => sql`exists (select 1 from ${webhookDeliveries} where ${condition})`;

/** The last delivery that fulfils `same`, the tokens of ours that it named, and the owners that it found. */
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
 * Records a delivery whose signature is good and that is refused: among the deliveries, with a row in the trail, in one D1 batch.
 * That is done for WEBHOOK_REFUSED_MAX_ROWS deliveries of a sender a minute, since a broken sender must not fill the database.
 * Further ones are counted in one row of the trail for each error code.
 *
 * Fails with `audit_unavailable`, and the sender must send it again, or nobody would ever know of it.
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
  // The plus keeps SQLite from the index by source, which would read every delivery of the sender.
  const isWithinLimit = sql`(select count(*) from ${webhookDeliveries} where ${webhookDeliveries.refused} is not null
    and ${webhookDeliveries.received_at} >= ${minuteMs} and +${webhookDeliveries.source} = ${source}) < ${WEBHOOK_REFUSED_MAX_ROWS}`;
  const isThisOne = isDelivery(database, row.id);
  // One row counts all of a minute, whoever sent them.
  const subject = {
    action: 'webhook.receive',
    actor: senderActor(source),
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {},
  } as const;
  const further = finalRow(runtime.newId(), nowMs, systemOrigin(context), subject, refusedOutcome(code));
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

/** The path of the first field at fault, or null if the failure is not about a field. */
function fieldOf(failure: RequestFailure): string | null {
  if (failure.kind === 'too_many_tokens') return 'data.tokens';
  return 'errors' in failure ? (Object.keys(failure.errors)[0] ?? null) : null;
}
