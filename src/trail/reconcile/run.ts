import { sql, type SQL } from 'drizzle-orm';
import type { Budget } from '../../kit/budget.ts';
import { QUOTA_RUN_BLOCK_CALLS as BLOCK, RECONCILE_RUN_MS, RECONCILE_STEP_MAX_QUERIES } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { askAlone } from '../../inventory/drift.ts';
import { selectQuotaNews } from '../../pipeops/quota-news.ts';
import type { Quota } from '../../pipeops/quota.ts';
import type { PipeOps, TokenRef, UpstreamToken } from '../../pipeops/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { Runtime } from '../../kit/runtime.ts';
import { sha256Hex } from '../../kit/digest.ts';
import type { TokenEnd } from '../../vocabulary.ts';
import {
  giveUp,
  isSuperseded,
  judgeCreate,
  type Judgement,
  judgeRevoke,
  judgeUpdate,
  UPDATE_UNKNOWN,
} from './judgement.ts';
import { createRunLooks, type RunLooks } from './looks.ts';
import type { Recorder } from '../recorder.ts';
import { claimDueAttempts, type ClaimedAttempt, countClaimed, releaseAttempts } from './queue.ts';
import { carryOut } from './carry-out.ts';
import { revokeUndelivered } from './undelivered.ts';

export interface Reconciler {
  /**
   * Looks into attempts that are old enough, at most a batch of them. Says how many it found and settled.
   *
   * @param budget says before each further step whether so many more D1 queries may be sent; absent: they may.
   */
  run(context: RequestContext, budget?: Budget): Promise<{ readonly due: number; readonly settled: number }>;
  /**
   * Revokes those of the listed tokens whose marker belongs to a create that failed: its row is their prior record. One
   * whose create is still open is left alone.
   *
   * @param begunAtMs when the list was begun.
   */
  sweep(
    context: RequestContext,
    workspaceUuid: string,
    listed: readonly UpstreamToken[],
    begunAtMs: number,
  ): Promise<void>;
}

export interface ReconcilerDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly pipeops: PipeOps;
  readonly quota: Quota;
  readonly runtime: Runtime;
  readonly reconcileAfterSeconds: number;
  /** Notes in the inventory that a token has ended, where `guard` holds. */
  readonly markRevoked: (ref: TokenRef, nowMs: number, guard: SQL, end?: TokenEnd) => Query;
  /** Frees the idempotency key that a create holds, where `guard` holds. */
  readonly freeKeyOf: (eventId: string, guard: SQL) => Query;
}

export function createReconciler(dependencies: ReconcilerDependencies): Reconciler {
  return {
    run: async (context, budget = { permits: () => true }) => await settleOpenAttempts(dependencies, context, budget),
    sweep: async (context, workspaceUuid, listed, begunAtMs) =>
      await revokeUndelivered(dependencies, context, workspaceUuid, listed, begunAtMs),
  };
}

async function settleOpenAttempts(dependencies: ReconcilerDependencies, context: RequestContext, budget: Budget) {
  const { database, runtime, quota, reconcileAfterSeconds } = dependencies;
  const startedAtMs = runtime.now();
  // What is left of PipeOps' limits is not for looking into what is over.
  const mustWait = (): boolean => quota.permit('reconciliation', null, runtime.now()) !== null;
  if (mustWait()) return { due: 0, settled: 0 };
  const oldEnoughMs = startedAtMs - reconcileAfterSeconds * 1000;
  const claim = runtime.newId();
  const limits = selectQuotaNews(database, startedAtMs, null);
  const reservation = quota.reserve(
    database,
    'reconciliation',
    sql`min(${BLOCK}, ${countClaimed(claim)})`,
    startedAtMs,
  );
  const queries = [...claimDueAttempts(database, oldEnoughMs, startedAtMs, claim), limits] as const;
  const claimed = await database.batch(context, [...queries, ...reservation.queries] as const);
  if (!claimed.ok) return { due: 0, settled: 0 };

  const due = claimed.value[1];
  quota.learn(claimed.value[2], runtime.now());
  const reserved = quota.reservedCalls(BLOCK);
  reserved.add(reservation.grant(claimed.value[3], { calls: Math.min(BLOCK, due.length) }));
  let settled = 0;
  const looks = createRunLooks({ ...dependencies, reserved }, context);
  const left = [...due];
  const isOver = (): boolean =>
    mustWait() || !budget.permits(RECONCILE_STEP_MAX_QUERIES) || runtime.now() - startedAtMs > RECONCILE_RUN_MS;
  while (left.length > 0 && !isOver()) {
    const row = left.shift();
    if (row === undefined) break;
    try {
      const judgement = await judge(dependencies, row, looks);
      if (await carryOut(dependencies, context, claim, row, judgement)) settled += 1;
    } catch (error) {
      // A row that cannot be judged must not keep the others from it.
      const name = error instanceof Error ? error.name : 'unknown';
      runtime.log({ level: 'error', event: 'attempt_not_judged', event_id: row.id, name });
    }
  }
  for (const [workspaceUuid, { list, begunAtMs, findings }] of looks.answered()) {
    if (isOver()) break;
    await revokeUndelivered(dependencies, context, workspaceUuid, list.tokens, begunAtMs);
    if (!isOver())
      await askAlone(dependencies, context, workspaceUuid, findings.askAlone, { purpose: 'reconciliation' });
  }
  reserved.end();
  await endRun(dependencies, context, claim, left);
  return { due: due.length, settled };
}

/** Gives back what nobody got round to, and tells others why. */
async function endRun(
  { database, runtime, quota }: ReconcilerDependencies,
  context: RequestContext,
  claim: string,
  left: readonly ClaimedAttempt[],
): Promise<void> {
  const nowMs = runtime.now();
  const ids = left.map(({ id }) => id);
  const queries = [
    ...(ids.length > 0 ? [releaseAttempts(database, claim, ids, nowMs)] : []),
    ...quota.news(database, nowMs),
  ];
  if (queries.length > 0) await database.batch(context, queries);
}

/** Asks PipeOps about one attempt. Whatever it cannot answer leaves the row waiting, for a day at the most. */
async function judge({ runtime }: ReconcilerDependencies, row: ClaimedAttempt, looks: RunLooks): Promise<Judgement> {
  if (row.action === 'service_account_token.create') {
    // One list serves every create of a workspace: all of them were old enough before it was begun.
    const look = await looks.listOf(row);
    return look === null ? giveUp(row, runtime.now()) : judgeCreate(row, look, runtime.now());
  }
  if (isSuperseded(row)) return UPDATE_UNKNOWN;
  const sight = await looks.sightOf(row);
  if (row.action === 'service_account_token.revoke') return judgeRevoke(row, sight, runtime.now());
  const description = sight.kind === 'seen' ? sight.token.description : null;
  return judgeUpdate(row, sight, description === null ? null : await sha256Hex(description), runtime.now());
}
