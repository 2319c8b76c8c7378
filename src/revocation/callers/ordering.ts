import { and, not, sql, type SQL } from 'drizzle-orm';
import type { Database, Query } from '../../db/database.ts';
import { webhookItems } from '../../db/schema.ts';
import { selectedRow } from '../../db/sql.ts';
import type { Failure, RequestFailure } from '../../failures.ts';
import type { KeyedRequest } from '../../idempotency/sealing.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Caller } from '../../policy/types.ts';
import { barOf, isBarred, selectsBar } from '../../subjects/bars.ts';
import { labelKey, meantByLabel } from '../../subjects/labels.ts';
import { callerMinuteOf, isWithinIdleRows, outOfRows } from '../../trail/caller-rows.ts';
import { type Actor, actorOf, type EventSubject, eventSubject, finalRow, successOutcome } from '../../trail/event.ts';
import { rowsOf } from '../../trail/final-records.ts';
import { insertEvent } from '../../trail/statements.ts';
import { blocksLifted, offboard, reinstate, subjectDetail } from '../deliveries/carry-out.ts';
import { BY_CALLER, presentWhole, selectDelivery, selectItems, selectOrders } from '../deliveries/deliveries.ts';
import { insertDelivery, isDelivery, type NewDelivery, storedLabel } from '../deliveries/delivery-row.ts';
import { describeUse } from '../deliveries/retry.ts';
import type { WebhookDependencies } from '../dependencies.ts';
import { orderMatched, type OrderTerms } from '../orders/making.ts';
import type { SubjectRef } from '../senders/sender.ts';
import type { CallerOrder } from './requests.ts';

/** What a caller is answered. */
export interface Ordered {
  readonly receipt: ReturnType<typeof presentWhole>;
  /** Whether an earlier request with the same `Idempotency-Key` has ordered it, so that this one did nothing. */
  readonly isRepeated: boolean;
}

/**
 * Accepts what a caller orders as a webhook's delivery is accepted: in one D1 batch with its row in the trail, the block, and an order
 * with a row of its own for each token. Whatever drives, retries and looks at the orders of deliveries does so with these. The caller is
 * the actor of each row that follows, whoever makes it.
 *
 * Under an `Idempotency-Key` the first request counts, however many come at once, and for good, since its receipt is kept. A repeat is
 * answered with the receipt as it is by now, and recorded as a read of it.
 *
 * Fails with `forbidden`, unless one role with `tokens: 'any'` may revoke in the workspace, or in all of them where it is about a
 * subject; with `validation_failed` where callers would lock themselves out; with `idempotency_key_reused`; with `subject_blocked`,
 * `rate_limited` and `audit_unavailable` as whatever a caller does. Then nothing is done; but D1 may have taken what it did not confirm.
 *
 * @param keyed null if the request came without a key.
 */
export async function orderByCaller(
  dependencies: WebhookDependencies,
  context: RequestContext,
  caller: Caller,
  order: CallerOrder,
  keyed: KeyedRequest | null,
): Promise<Result<Ordered, Failure>> {
  const { database, decide, recorder, runtime } = dependencies;
  const actor = actorOf(caller);
  const asked = describeOrder(order, actor);
  const workspaceUuid = order.event === 'token.revoke' ? order.workspaceUuid : '*';
  const decision = decide(caller, { operation: 'order', workspaceUuid });
  if (!decision.allowed) return await recorder.refuse(context, asked, decision.failure);
  const isOffboarding = order.event === 'subject.offboarded';
  if (isOffboarding && namesCaller(order.subject, caller)) return err(LOCKED_OUT);

  const nowMs = runtime.now();
  const row = describeRow(order, { id: runtime.newId(), eventId: runtime.newId(), nowMs }, keyed);
  const detail = { delivery_id: row.id, ...asked.detail, reason: order.reason };
  const { role } = decision.grant;
  const event = finalRow(row.event_id, nowMs, context, { ...asked, detail }, successOutcome(null, { role }));
  const first = sql`(select d.id from webhook_deliveries as d where d.source = ${BY_CALLER} and d.dedupe_key = ${row.dedupe_key})`;
  const meansCaller = isOffboarding ? meansCallerToo(order.subject, caller) : sql`0`;
  const isThisOne = isDelivery(database, row.id);
  const condition = and(
    not(isBarred(database, actor)),
    isWithinIdleRows(callerMinuteOf(event)),
    sql`not exists ${first}`,
    sql`not ${meansCaller}`,
  );
  const writing: readonly Query[] = [
    insertDelivery(database, row, condition ?? sql`true`),
    insertEvent(database, event, isThisOne, lifted(order, role)),
    ...carryOut(dependencies, context, actor, order, row, isThisOne),
  ];
  // What was written is read after it; what stands in the way was not changed by it.
  const reading = [
    selectDelivery(database, first),
    selectItems(database, first),
    selectOrders(database, first),
    database.build
      .select({
        blocked: selectsBar(database, actor).as('blocked'),
        meant: sql<number>`${meansCaller}`.as('meant'),
      })
      .from(sql`(select 1)`),
  ] as const;
  const committed = await database.batch(context, [...writing, ...reading]);
  if (!committed.ok) return err({ kind: 'audit_unavailable' });
  const [[delivery], items, orders, [obstacle]] = rowsOf(reading, committed.value.slice(writing.length));
  if (delivery === undefined) {
    const bar = barOf(obstacle);
    if (bar !== null) return await recorder.refuse(context, asked, bar);
    return err(obstacle?.meant === 1 ? LOCKED_OUT : outOfRows(nowMs));
  }
  const isRepeated = delivery.id !== row.id;
  if (isRepeated && delivery.content_digest !== row.content_digest) {
    return await recorder.refuse(context, asked, { kind: 'idempotency_key_reused', heldBy: delivery.event_id });
  }
  if (isRepeated) {
    const read = describeUse('webhook.query', caller, { delivery_id: delivery.id });
    const recorded = await recorder.recordRead(context, read, []);
    if (!recorded.ok) return recorded;
  } else {
    context.trace.eventId = delivery.event_id;
  }
  return ok({ receipt: presentWhole(delivery, items, orders, dependencies), isRepeated });
}

/** An administrator who is locked out can lift nothing, the own block least of all. */
const LOCKED_OUT: RequestFailure = {
  kind: 'validation_failed',
  errors: {
    subject: ['This is you, and you would lock yourself out at once. Have another administrator offboard you.'],
  },
};

const namesCaller = (subject: SubjectRef, { issuer, subject: name, label }: Caller): boolean =>
  'label' in subject
    ? label !== null && labelKey(label) === labelKey(subject.label)
    : subject.issuer === issuer && subject.subject === name;

/** Whether a label means the caller although its JWT has another by now, as a condition of the batch. */
const meansCallerToo = (subject: SubjectRef, caller: Caller): SQL =>
  'label' in subject
    ? sql`exists (select 1 from (${meantByLabel(labelKey(subject.label), false)}) as who
        where who.issuer = ${caller.issuer} and who.subject = ${caller.subject} and who.found = 'owner')`
    : sql`0`;

/** What the trail says of an order. A refusal of it does not repeat its `reason`, which is the name of why it is refused. */
const describeOrder = (order: CallerOrder, actor: Actor): EventSubject =>
  eventSubject(order.event === 'subject.reinstated' ? 'subject.reinstate' : 'revocation.order', actor, {
    workspaceUuid: order.event === 'token.revoke' ? order.workspaceUuid : null,
    detail: {
      ...(order.event === 'token.revoke' ? { tokens: order.tokenIds.length } : subjectDetail(order.subject)),
      ...(order.event === 'subject.offboarded' && { mode: order.mode }),
    },
  });

/** What the outcome of a reinstatement says that D1 alone knows: which blocks it lifts. */
const lifted = (order: CallerOrder, role: string) =>
  order.event === 'subject.reinstated' ? { outcome: blocksLifted(order.subject, { role }) } : {};

/** The delivery that stands for a caller's order. */
function describeRow(
  order: CallerOrder,
  { id, eventId, nowMs }: { readonly id: string; readonly eventId: string; readonly nowMs: number },
  keyed: KeyedRequest | null,
): NewDelivery {
  const subject = 'subject' in order ? order.subject : null;
  const [issuer, name] = subject !== null && 'issuer' in subject ? [subject.issuer, subject.subject] : [null, null];
  return {
    id,
    source: BY_CALLER,
    event: order.event,
    sender_id: null,
    dedupe_key: keyed === null ? `call:${id}` : `key:${keyed.keyHash}`,
    content_digest: keyed?.fingerprint ?? null,
    id_reused: 0,
    event_id: eventId,
    received_at: nowMs,
    ignored: null,
    refused: null,
    refused_field: null,
    rejected_items: null,
    mode: order.event === 'subject.offboarded' ? order.mode : null,
    subject_issuer: issuer,
    subject: name,
    subject_label: subject !== null && 'label' in subject ? storedLabel(subject.label) : null,
    former: 0,
    orders_left: 0,
  };
}

function carryOut(
  dependencies: WebhookDependencies,
  context: RequestContext,
  actor: Actor,
  order: CallerOrder,
  row: NewDelivery,
  isThisOne: SQL,
): readonly Query[] {
  const { database, namedWorkspaces } = dependencies;
  switch (order.event) {
    case 'token.revoke': {
      const { id: deliveryId, event, received_at: nowMs } = row;
      const terms: OrderTerms = { deliveryId, event, mode: 'revoke', nowMs, actor };
      return [
        insertNamed(database, row.id, order, isThisOne),
        ...orderMatched(dependencies, context, terms, 'command', namedWorkspaces, order.tokenIds.length),
      ];
    }
    case 'subject.offboarded':
      return offboard(dependencies, context, actor, { ...order, former: false }, row, isThisOne);
    case 'subject.reinstated':
      return reinstate(database, order.subject, row.id, isThisOne);
  }
}

/**
 * Inserts the tokens that an order names, where `condition` holds. Its caller may revoke in their workspace, so each counts as found. The
 * driver asks PipeOps for those that the inventory lacks.
 */
function insertNamed(
  { build }: Database,
  deliveryId: string,
  { workspaceUuid, tokenIds }: Extract<CallerOrder, { event: 'token.revoke' }>,
  condition: SQL,
) {
  const row = {
    // SQLite gives the number.
    seq: sql.raw('null'),
    delivery_id: deliveryId,
    position: sql.raw('named.key'),
    found: 'matched',
    workspace_uuid: workspaceUuid,
    token_id: sql.raw('named.value'),
  };
  return build.insert(webhookItems).select(sql`select ${selectedRow(webhookItems, row)}
    from json_each(${JSON.stringify(tokenIds)}) as named where ${condition} order by named.key`);
}
