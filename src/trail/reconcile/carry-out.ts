import { ORDER_STATE } from '../../revocation/orders/states.ts';
import { COMPENSATION_TIMEOUT_MS } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { recordChanges } from '../../inventory/grant.ts';
import { insertOrder, isOvertaken, orderAnew } from '../../inventory/orders.ts';
import { callWithin, type TokenRef } from '../../pipeops/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { raiseGeneration } from '../../reads/generation.ts';
import type { RevocationMode } from '../../vocabulary.ts';
import { type EventOutcome, settledColumns, SYSTEM_ACTOR, systemOrigin } from '../event.ts';
import type { Judgement } from './judgement.ts';
import { announceLate } from '../late-settlement.ts';
import { settleEventWhere } from '../statements.ts';
import { LATER_AGAIN } from './looks.ts';
import type { ReconcilerDependencies } from './run.ts';
import { forgetReview, type LeasedAttempt, noteUnseen } from './queue.ts';
import { parseStored } from '../../kit/json.ts';
import { acknowledgedRevoke } from './undelivered.ts';
import { sql, type SQL } from 'drizzle-orm';
import * as z from 'zod';

/** Does what was judged about an attempt, and writes it down. Says whether the attempt is settled by this. */
export async function carryOut(
  dependencies: ReconcilerDependencies,
  context: RequestContext,
  leaseId: string,
  row: LeasedAttempt,
  judgement: Judgement,
): Promise<boolean> {
  switch (judgement.kind) {
    case 'wait':
      return false;
    case 'unseen':
      await dependencies.database.batch(context, [
        noteUnseen(dependencies.database, leaseId, row.id, judgement.begunAtMs),
      ]);
      return false;
    case 'revoke':
      return await revokeAndSettle(dependencies, context, row, judgement);
    case 'settle': {
      if (mayStand(row, judgement.outcome)) return await settleChange(dependencies, context, row, judgement.outcome);
      const end = (guard: SQL): readonly Query[] =>
        judgement.end === undefined
          ? []
          : [dependencies.markRevoked(refOf(row), dependencies.runtime.now(), guard, judgement.end)];
      return await settle(dependencies, context, row, judgement.outcome, end);
    }
  }
}

/**
 * Whether an update may stand against an order or a block that came meanwhile: it took effect, or is a resume that may have taken
 * effect. Whatever else an unknown update did keeps no token from being revoked or suspended.
 */
function mayStand({ action, detail }: LeasedAttempt, { status, errorCode }: EventOutcome): boolean {
  if (action !== 'service_account_token.update') return false;
  return status === 'success' || (errorCode === 'outcome_unknown' && parseStored(detail)['is_active'] === true);
}

const refOf = (row: LeasedAttempt): TokenRef => ({
  workspaceUuid: row.workspace_uuid ?? '',
  tokenId: row.token_id ?? '',
});

/**
 * Revokes a token and then settles the row. An acknowledged revoke leaves an order that has it looked at. After any other answer it
 * is tried again later, also after a 404, which proves nothing.
 */
async function revokeAndSettle(
  dependencies: ReconcilerDependencies,
  context: RequestContext,
  row: LeasedAttempt,
  { tokenId, outcome }: Extract<Judgement, { kind: 'revoke' }>,
): Promise<boolean> {
  const { database, runtime, pipeops, markRevoked } = dependencies;
  const ref = { workspaceUuid: row.workspace_uuid ?? '', tokenId };
  const call = callWithin(COMPENSATION_TIMEOUT_MS, runtime, context, row.id, LATER_AGAIN);
  const revoked = await pipeops.revoke(ref, call);
  if (!revoked.ok) return false;
  const nowMs = runtime.now();
  const orderId = runtime.newId();
  const order = {
    id: row.id,
    cause: 'system',
    mode: 'revoke',
    state: ORDER_STATE.acknowledged,
    nowMs,
    ...ref,
  } as const;
  const checked = (guard: SQL): readonly Query[] =>
    row.action === 'service_account_token.create'
      ? acknowledgedRevoke(database, context, { createId: row.id, ...ref }, orderId, nowMs, revoked.value.status, guard)
      : [insertOrder(database, order, guard)];
  return await settle(dependencies, context, row, outcome, (guard) => [
    ...checked(guard),
    markRevoked(ref, nowMs, guard),
  ]);
}

async function settle(
  dependencies: ReconcilerDependencies,
  context: RequestContext,
  row: LeasedAttempt,
  outcome: EventOutcome,
  following: (guard: SQL) => readonly Query[],
): Promise<boolean> {
  const { database, recorder, runtime } = dependencies;
  const attempt = { eventId: row.id, tokenId: row.token_id };
  // The id is made up before the batch, so that a repeat of the batch writes nothing new.
  const announcement = { eventId: runtime.newId(), nowMs: runtime.now() };
  const settlement = await recorder.settle(context, attempt, outcome, (guard) => [
    forgetReview(database, row.id, guard),
    ...following(guard),
    ...createsUndone(row, outcome).map((eventId) => dependencies.freeKeyOf(eventId, guard)),
    ...announceLate(database, context, announcement, row, outcome, guard),
    raiseGeneration(database, row.workspace_uuid ?? ''),
  ]);
  return settlement.kind === 'own';
}

/** The creates that are now known to have left nothing upstream: their idempotency keys are free for another try. */
function createsUndone(row: LeasedAttempt, { status, errorCode }: EventOutcome): readonly string[] {
  if (row.action === 'service_account_token.create') return errorCode === 'outcome_unknown' ? [] : [row.id];
  // A compensating revoke is named after its create, which itself says success.
  const create = parseStored(row.detail)['undelivered_create'];
  return status === 'success' && typeof create === 'string' ? [create] : [];
}

/** What an update that took effect has granted is recorded beside its token, as if its request had settled it. */
function recordedChanges(
  database: Pick<Database, 'build' | 'rowMac'>,
  row: LeasedAttempt,
  guard: SQL,
  { status }: EventOutcome,
): readonly Query[] {
  const { scopes } = updateDetail.parse(parseStored(row.detail));
  const name = row.token_name ?? undefined;
  if (status !== 'success' || (name === undefined && scopes === undefined)) return [];
  return [recordChanges(database, refOf(row), { name, scopes }, guard)];
}

const updateDetail = z.object({ scopes: z.array(z.string()).optional().catch(undefined) });

/**
 * Settles an update that took effect, or a resume that may have taken effect. It must not stand if its token was ordered meanwhile
 * or its owner was blocked: then it is a failure, and an order in the same batch undoes it.
 */
async function settleChange(
  { database, runtime }: ReconcilerDependencies,
  context: RequestContext,
  row: LeasedAttempt,
  outcome: EventOutcome,
): Promise<boolean> {
  const ref = refOf(row);
  const nowMs = runtime.now();
  const orderId = runtime.newId();
  const undone: EventOutcome = {
    status: 'failure',
    upstreamStatus: null,
    errorCode: outcome.errorCode ?? 'revocation_pending',
    detail: { ...outcome.detail, order: orderId },
  };
  const settleAs = (as: EventOutcome, condition: SQL) =>
    settleEventWhere(database, row.id, settledColumns(nowMs, row.token_id, as), condition);
  const carries = (as: EventOutcome): SQL => sql`exists (select 1 from audit_events as a where a.id = ${row.id}
    and a.status = ${as.status} and a.settled_at = ${nowMs} and a.outcome = ${JSON.stringify(as.detail)})`;
  const order = { id: orderId, cause: 'system', state: ORDER_STATE.open, nowMs, ...ref } as const;
  const orderIn = (mode: RevocationMode, condition: SQL): readonly Query[] =>
    orderAnew(
      database,
      systemOrigin(context),
      SYSTEM_ACTOR,
      { ...order, mode },
      { overtaken: row.id },
      sql`${carries(undone)} and ${condition}`,
    );
  const isToRevoke = isOvertaken(database, row.id, ref, 'revoke');
  const isOwn = sql`(${carries(undone)} or ${carries(outcome)})`;
  const announced = [undone, outcome].flatMap((as) =>
    announceLate(database, context, { eventId: runtime.newId(), nowMs }, row, as, carries(as)),
  );
  const settled = await database.batch(context, [
    settleAs(undone, isOvertaken(database, row.id, ref)),
    settleAs(outcome, sql`true`),
    database.build
      .select({ one: sql<number>`1`.as('one') })
      .from(sql`(select 1)`)
      .where(isOwn),
    ...orderIn('revoke', isToRevoke),
    ...orderIn('suspend', sql`not ${isToRevoke}`),
    ...recordedChanges(database, row, carries(outcome), outcome),
    forgetReview(database, row.id, isOwn),
    ...announced,
    raiseGeneration(database, ref.workspaceUuid),
  ]);
  return settled.ok && settled.value[2].length > 0;
}
