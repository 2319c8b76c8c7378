import { DRIVEN, isIn, LOOKED_AT, ORDER_STATE, STATE_LITERALS } from '../../revocation/orders/states.ts';
import { COMPENSATION_TIMEOUT_MS, CONTRADICTION_AFTER_MS, UNDELIVERED_BATCH_TOKENS } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { revocationOrders } from '../../db/schema.ts';
import { each } from '../../db/sql.ts';
import { canonicalWorkspace } from '../../db/workspace-spelling.ts';
import { acknowledgeOrder, contradictionRow, insertOrder, orderAnew, reopenOrders } from '../../inventory/orders.ts';
import { callWithin, type PipeOps, type TokenRef, type UpstreamToken } from '../../pipeops/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Runtime } from '../../kit/runtime.ts';
import { raiseGeneration } from '../../reads/generation.ts';
import { type EventSubject, eventSubject, finalRow, successOutcome, SYSTEM_ACTOR, systemOrigin } from '../event.ts';
import { insertEventWhere } from '../statements.ts';
import { markerOf } from '../../kit/marker.ts';
import type { ActorType, AuditAction } from '../../vocabulary.ts';
import type { RowMacs, RecordedAttempt } from '../row-macs.ts';
import type { Recorder } from '../recorder.ts';
import { LATER_AGAIN } from './looks.ts';
import { sql, type SQL } from 'drizzle-orm';

/** A revoke of a token whose secret nobody got. */
interface Undelivered extends TokenRef {
  /** The event of the token's create. */
  readonly createId: string;
}

/**
 * The queries that write down a revoke of an undelivered token which PipeOps has acknowledged, where `guard` holds: a row of its
 * own, and an order that has the token's end looked at.
 *
 * @param orderId the id of both. It is made up before the batch, so that a repeat of the batch writes nothing new.
 */
export function acknowledgedRevoke(
  database: Database,
  context: RequestContext,
  { createId, ...ref }: Undelivered,
  orderId: string,
  nowMs: number,
  upstreamStatus: number,
  guard: SQL,
): readonly Query[] {
  const subject = revokeSubject(ref, createId);
  const row = finalRow(orderId, nowMs, context, subject, successOutcome(upstreamStatus));
  const order = {
    id: orderId,
    cause: 'system',
    mode: 'revoke',
    state: ORDER_STATE.acknowledged,
    nowMs,
    ...ref,
  } as const;
  return [insertEventWhere(database, row, guard), insertOrder(database, order, guard)];
}

const revokeSubject = (ref: TokenRef, createId: string): EventSubject =>
  eventSubject('service_account_token.revoke', SYSTEM_ACTOR, { ...ref, detail: { undelivered_create: createId } });

interface Dependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly pipeops: Pick<PipeOps, 'revoke'>;
  readonly runtime: Runtime;
  /** Notes in the inventory that PipeOps has acknowledged a revoke, where `guard` holds. */
  readonly markRevoked: (ref: TokenRef, nowMs: number, guard: SQL) => Query;
  readonly attempts: Pick<RowMacs, 'isAuthentic'>;
  readonly noteUnauthentic: (eventId: string, nowMs: number) => readonly Query[];
}

/**
 * Revokes those of the listed tokens whose marker belongs to a create that failed, a few at a time. A token whose create is still
 * open is left alone. Each revoke has an order, which is driven on where the call here does not get through. A token that is still
 * listed a minute after PipeOps acknowledged its revoke contradicts the order.
 *
 * @param begunAtMs when the list was begun.
 */
export async function revokeUndelivered(
  dependencies: Dependencies,
  context: RequestContext,
  workspaceUuid: string,
  listed: readonly UpstreamToken[],
  begunAtMs: number,
): Promise<void> {
  const items = listed.flatMap(({ id, name, isRevoked }) => {
    const marker = markerOf(name);
    return marker === null || isRevoked ? [] : [{ id, marker }];
  });
  if (items.length === 0) return;
  const found = await dependencies.database.batch(context, [
    selectUndelivered(dependencies.database, workspaceUuid, items, begunAtMs),
  ]);
  for (const { listed_id: tokenId, is_contradicted, ...create } of found.ok ? found.value[0] : []) {
    const undelivered = { createId: create.id, workspaceUuid, tokenId };
    // Whoever can write to D1 could have any token revoked whose name ends like a marker.
    if (!dependencies.attempts.isAuthentic(create)) {
      const { database, noteUnauthentic, runtime } = dependencies;
      runtime.log({ level: 'error', event: 'row_unauthentic', kind: 'attempt', name: create.id });
      await database.batch(context, noteUnauthentic(create.id, runtime.now()));
    } else if (is_contradicted === 1) await contradict(dependencies, context, undelivered);
    else await orderAndRevoke(dependencies, context, undelivered);
  }
}

/** The query for failed creates whose tokens a list shows, without those whose order is still driven. */
function selectUndelivered(
  { build }: Database,
  workspaceUuid: string,
  items: readonly { readonly id: string; readonly marker: string }[],
  begunAtMs: number,
) {
  const hasOrder = (condition: SQL): SQL =>
    sql`exists (select 1 from revocation_orders as o where o.workspace_uuid = ${workspaceUuid}
      and o.token_id = e.value ->> 'id' and o.mode = 'revoke' and ${condition})`;
  const isDone = isIn('o.state', LOOKED_AT);
  return build
    .select({
      ...RECORDED_OF_CREATE,
      listed_id: sql<string>`e.value ->> 'id'`.as('listed_id'),
      is_contradicted: sql<number>`${hasOrder(isDone)}`.as('is_contradicted'),
    })
    .from(sql`${each(items)} join audit_events as a on a.marker = e.value ->> 'marker'`)
    .where(
      // A marker counts only in the workspace that it was made for: whoever copies a name elsewhere has nothing revoked there.
      sql`${canonicalWorkspace('a.workspace_uuid')} = ${workspaceUuid} and a.status = 'failure' and not ${hasOrder(sql`o.state = ${STATE_LITERALS.open}`)}
        and not ${hasOrder(sql`${isDone} and o.acknowledged_at > ${begunAtMs - CONTRADICTION_AFTER_MS}`)}`,
    )
    .limit(UNDELIVERED_BATCH_TOKENS);
}

/** The columns of a create, `a`, that its MAC covers. */
const RECORDED_OF_CREATE = {
  id: ofCreate<string>('id'),
  occurred_at: ofCreate<number>('occurred_at'),
  action: ofCreate<AuditAction>('action'),
  actor_type: ofCreate<ActorType>('actor_type'),
  actor_issuer: ofCreate<string | null>('actor_issuer'),
  actor_subject: ofCreate<string | null>('actor_subject'),
  actor_label: ofCreate<string | null>('actor_label'),
  workspace_uuid: ofCreate<string | null>('workspace_uuid'),
  token_id: ofCreate<string | null>('token_id'),
  token_name: ofCreate<string | null>('token_name'),
  request_id: ofCreate<string | null>('request_id'),
  ip: ofCreate<string | null>('ip'),
  user_agent: ofCreate<string | null>('user_agent'),
  detail: ofCreate<string>('detail'),
  marker: ofCreate<string | null>('marker'),
  recorded_mac: ofCreate<string | null>('recorded_mac'),
} satisfies Record<keyof RecordedAttempt | 'recorded_mac', unknown>;

function ofCreate<T>(column: keyof RecordedAttempt | 'recorded_mac') {
  return sql<T>`${sql.raw(`a.${column}`)}`.as(column);
}

async function orderAndRevoke(
  { database, recorder, pipeops, runtime, markRevoked }: Dependencies,
  context: RequestContext,
  { createId, ...ref }: Undelivered,
): Promise<void> {
  const id = runtime.newId();
  const nowMs = runtime.now();
  const order = { id, cause: 'system', mode: 'revoke', state: ORDER_STATE.open, nowMs, ...ref } as const;
  const isOrdered = sql`exists (select 1 from revocation_orders as o where o.workspace_uuid = ${ref.workspaceUuid}
    and o.token_id = ${ref.tokenId} and o.mode = 'revoke' and ${isIn('o.state', DRIVEN)})`;
  const { detail } = revokeSubject(ref, createId);
  const own = database.build
    .select({ id: revocationOrders.id })
    .from(revocationOrders)
    .where(sql`id = ${id}`);
  const anew = orderAnew(database, systemOrigin(context), SYSTEM_ACTOR, order, detail, sql`not ${isOrdered}`);
  const made = await database.batch(context, [...anew, own]);
  // Another run may have ordered it meanwhile. Then that run sends the call.
  if (!made.ok || made.value.at(-1)?.length === 0) return;
  const call = callWithin(COMPENSATION_TIMEOUT_MS, runtime, context, id, LATER_AGAIN);
  const revoked = await pipeops.revoke(ref, call);
  runtime.log({ level: 'warn', event: 'undelivered_token_revoked', event_id: id, revoked: revoked.ok });
  if (!revoked.ok) {
    await database.batch(context, [raiseGeneration(database, ref.workspaceUuid)]);
    return;
  }
  const doneMs = runtime.now();
  await recorder.settle(
    context,
    { eventId: id, tokenId: ref.tokenId },
    successOutcome(revoked.value.status),
    (guard) => [
      acknowledgeOrder(database, id, doneMs, guard),
      markRevoked(ref, doneMs, guard),
      raiseGeneration(database, ref.workspaceUuid),
    ],
  );
}

async function contradict(
  { database, runtime }: Pick<Dependencies, 'database' | 'runtime'>,
  context: RequestContext,
  ref: TokenRef,
): Promise<void> {
  const nowMs = runtime.now();
  const recording = { database, context, workspaceUuid: ref.workspaceUuid, nowMs };
  await database.batch(context, [
    contradictionRow(recording, ref.tokenId, runtime.newId(), sql`true`),
    reopenOrders(database, ref, nowMs, sql`true`),
  ]);
}
