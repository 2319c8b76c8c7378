import { and, eq, inArray, sql, type SQL } from 'drizzle-orm';
import type { Budget } from '../budget.ts';
import {
  ATTEMPT_MAX_QUERIES,
  COMPENSATION_TIMEOUT_MS,
  RECONCILE_RUN_MS,
  UPSTREAM_TIMEOUT_MS,
} from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { auditEvents, type AuditEventRow } from '../db/schema.ts';
import { callWithin } from '../pipeops/call.ts';
import { selectLimits } from '../pipeops/limits-table.ts';
import type { Quota } from '../pipeops/quota.ts';
import type { PipeOps, TokenList, TokenRef, UpstreamToken } from '../pipeops/types.ts';
import type { RequestContext } from '../request-context.ts';
import type { Runtime } from '../runtime.ts';
import { raiseGeneration } from '../snapshot/generation.ts';
import { sha256Hex } from '../text/digest.ts';
import type { EventOutcome } from './events.ts';
import { giveUp, judgeCreate, judgeRevoke, judgeUpdate, type Judgement } from './judgement.ts';
import { announceLate } from './late-settlement.ts';
import { markerOf } from './marker.ts';
import type { Recorder } from './recorder.ts';
import { parseStored } from './stored-json.ts';
import { claimDueAttempts, forgetReview, releaseAttempts } from './review-queue.ts';

export interface Reconciler {
  /**
   * Looks into attempts that are old enough, at most a batch of them. Says how many it found and settled.
   *
   * @param budget what it may use up.
   */
  run(context: RequestContext, budget: Budget): Promise<{ readonly due: number; readonly settled: number }>;
  /**
   * Revokes those of the listed tokens whose marker belongs to a create that failed: its row is their prior record. One
   * whose create is still open is left alone.
   */
  sweep(context: RequestContext, workspaceUuid: string, listed: readonly UpstreamToken[]): Promise<void>;
}

interface Dependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly pipeops: PipeOps;
  readonly quota: Quota;
  readonly runtime: Runtime;
  readonly reconcileAfterSeconds: number;
  /** Notes in the inventory that a token is gone, where `guard` holds. */
  readonly markRevoked: (ref: TokenRef, nowMs: number, guard: SQL) => Query;
  /** Frees the idempotency key that a create holds, where `guard` holds. */
  readonly freeKeyOf: (eventId: string, guard: SQL) => Query;
}

export function createReconciler(dependencies: Dependencies): Reconciler {
  return {
    run: async (context, budget) => await settleOpenAttempts(dependencies, context, budget),
    sweep: async (context, workspaceUuid, listed) =>
      await revokeUndelivered(dependencies, context, workspaceUuid, listed),
  };
}

async function settleOpenAttempts(dependencies: Dependencies, context: RequestContext, budget: Budget) {
  const { database, runtime, quota, reconcileAfterSeconds } = dependencies;
  const startedAtMs = runtime.now();
  // What is left of PipeOps' limits is not for looking into what is over.
  const mustWait = (): boolean => quota.permit('other', null, runtime.now()) !== null;
  if (mustWait()) return { due: 0, settled: 0 };
  const oldEnoughMs = startedAtMs - reconcileAfterSeconds * 1000;
  const claim = runtime.newId();
  const limits = selectLimits(database, startedAtMs, null);
  const queries = [...claimDueAttempts(database, oldEnoughMs, startedAtMs, claim), limits] as const;
  const claimed = await database.batch(context, queries);
  if (!claimed.ok) return { due: 0, settled: 0 };

  const due = claimed.value[1];
  quota.learn(claimed.value[2], runtime.now());
  let settled = 0;
  const lists = new Map<string, Promise<TokenList | null>>();
  const left = [...due];
  while (left.length > 0 && !mustWait() && budget.permits(ATTEMPT_MAX_QUERIES)) {
    // What is left is due again when its lease ends.
    if (runtime.now() - startedAtMs > RECONCILE_RUN_MS) break;
    const row = left.shift();
    if (row === undefined) break;
    try {
      const judgement = await judge(dependencies, context, row, lists);
      if (await carryOut(dependencies, context, row, judgement)) settled += 1;
    } catch (error) {
      // A row that cannot be judged must not keep the others from it.
      const name = error instanceof Error ? error.name : 'unknown';
      runtime.log({ level: 'error', event: 'attempt_not_judged', event_id: row.id, name });
    }
  }
  for (const [workspaceUuid, list] of lists) {
    await revokeUndelivered(dependencies, context, workspaceUuid, (await list)?.tokens ?? []);
  }
  await endRun(dependencies, context, claim, mustWait() ? left : []);
  return { due: due.length, settled };
}

/** Gives back what had to wait, and tells others why. */
async function endRun(
  { database, runtime, quota }: Dependencies,
  context: RequestContext,
  claim: string,
  waiting: readonly AuditEventRow[],
): Promise<void> {
  const nowMs = runtime.now();
  const ids = waiting.map(({ id }) => id);
  const queries = [
    ...(ids.length > 0 ? [releaseAttempts(database, claim, ids, nowMs)] : []),
    ...quota.news(database, nowMs),
  ];
  if (queries.length > 0) await database.batch(context, queries);
}

/** What comes again by itself: an attempt is looked into until it is settled. */
const LATER_AGAIN = { once: true } as const;

/** Asks PipeOps about one attempt. Whatever it cannot answer leaves the row waiting, for a day at the most. */
async function judge(
  dependencies: Dependencies,
  context: RequestContext,
  row: AuditEventRow,
  lists: Map<string, Promise<TokenList | null>>,
): Promise<Judgement> {
  const { runtime, pipeops } = dependencies;
  const workspaceUuid = row.workspace_uuid ?? '';
  if (row.action === 'service_account_token.create') {
    // One list serves every create of a workspace: all of them were old enough before it was begun.
    const asked = lists.get(workspaceUuid) ?? listOrNull(dependencies, context, row, workspaceUuid);
    lists.set(workspaceUuid, asked);
    const list = await asked;
    return list === null ? giveUp(row, runtime.now()) : judgeCreate(row, list, runtime.now());
  }
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, row.id, LATER_AGAIN);
  const got = await pipeops.get({ workspaceUuid, tokenId: row.token_id ?? '' }, call);
  if (!got.ok && got.error.kind !== 'upstream_not_found') return giveUp(row, runtime.now());
  const token = got.ok ? got.value.data : null;
  if (row.action === 'service_account_token.revoke') return judgeRevoke(row, token);
  const description = token?.description ?? null;
  return judgeUpdate(row, token, description === null ? null : await sha256Hex(description), runtime.now());
}

async function carryOut(
  dependencies: Dependencies,
  context: RequestContext,
  row: AuditEventRow,
  judgement: Judgement,
): Promise<boolean> {
  if (judgement.verdict === 'wait') return false;
  if (judgement.verdict === 'revoke') {
    const ref = { workspaceUuid: row.workspace_uuid ?? '', tokenId: judgement.tokenId };
    const call = callWithin(COMPENSATION_TIMEOUT_MS, dependencies.runtime, context, row.id, LATER_AGAIN);
    const revoked = await dependencies.pipeops.revoke(ref, call);
    if (!revoked.ok) return false;
  }
  const { database, recorder, runtime } = dependencies;
  const attempt = { eventId: row.id, tokenId: row.token_id };
  // Made up before the batch, so that a repeat of it repeats the same.
  const announcement = { eventId: runtime.newId(), nowMs: runtime.now() };
  const settlement = await recorder.settle(context, attempt, judgement.outcome, (guard) => [
    forgetReview(database, row.id, guard),
    ...noteRevoked(dependencies, row, judgement.outcome, guard),
    ...createsUndone(row, judgement.outcome).map((eventId) => dependencies.freeKeyOf(eventId, guard)),
    ...announceLate(database, context, announcement, row, judgement.outcome, guard),
    raiseGeneration(database, row.workspace_uuid ?? ''),
  ]);
  return settlement.kind === 'own';
}

/** The create that left nothing upstream, now that this is known: its key is free for another try. */
function createsUndone(row: AuditEventRow, { status, errorCode }: EventOutcome): readonly string[] {
  if (row.action === 'service_account_token.create') return errorCode === 'outcome_unknown' ? [] : [row.id];
  // A compensating revoke, where the create itself says success.
  const create = parseStored(row.detail)['undelivered_create'];
  return status === 'success' && typeof create === 'string' ? [create] : [];
}

/** A revoke that turns out to have taken effect is one in the inventory as well. */
function noteRevoked(
  { markRevoked, runtime }: Dependencies,
  row: AuditEventRow,
  outcome: EventOutcome,
  guard: SQL,
): readonly Query[] {
  const { action, workspace_uuid: workspaceUuid, token_id: tokenId } = row;
  if (action !== 'service_account_token.revoke' || outcome.status !== 'success') return [];
  return workspaceUuid === null || tokenId === null
    ? []
    : [markRevoked({ workspaceUuid, tokenId }, runtime.now(), guard)];
}

async function revokeUndelivered(
  dependencies: Dependencies,
  context: RequestContext,
  workspaceUuid: string,
  listed: readonly UpstreamToken[],
): Promise<void> {
  const { database, runtime, pipeops } = dependencies;
  const marked = new Map<string, UpstreamToken>();
  for (const token of listed) {
    const marker = markerOf(token.name);
    if (marker !== null && !token.isRevoked) marked.set(marker, token);
  }
  if (marked.size === 0) return;
  const markers = sql`(select value from json_each(${JSON.stringify([...marked.keys()])}))`;
  const query = database.build
    .select()
    .from(auditEvents)
    .where(and(inArray(auditEvents.marker, markers), eq(auditEvents.status, 'failure')));
  const failed = await database.batch(context, [query]);
  if (!failed.ok) return;
  for (const row of failed.value[0]) {
    const token = marked.get(row.marker ?? '');
    // A marker counts only in the workspace that it was made for: a name alone moves nothing elsewhere.
    if (token === undefined || row.workspace_uuid !== workspaceUuid) continue;
    const call = callWithin(COMPENSATION_TIMEOUT_MS, runtime, context, row.id, LATER_AGAIN);
    const revoked = await pipeops.revoke({ workspaceUuid, tokenId: token.id }, call);
    const raise = raiseGeneration(database, workspaceUuid);
    await database.batch(context, [raise]);
    runtime.log({ level: 'warn', event: 'undelivered_token_revoked', event_id: row.id, revoked: revoked.ok });
  }
}

async function listOrNull(
  dependencies: Dependencies,
  context: RequestContext,
  row: AuditEventRow,
  workspaceUuid: string,
): Promise<TokenList | null> {
  const call = callWithin(UPSTREAM_TIMEOUT_MS, dependencies.runtime, context, row.id, LATER_AGAIN);
  const listed = await dependencies.pipeops.list(workspaceUuid, call);
  return listed.ok ? listed.value.data : null;
}
