import { sql, type SQL } from 'drizzle-orm';
import type { Budget } from '../../kit/budget.ts';
import { QUOTA_RUN_BLOCK_CALLS as BLOCK, RECONCILE_RUN_MS, RECONCILE_STEP_MAX_QUERIES } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { askAlone } from '../../inventory/drift.ts';
import { selectQuotaNews } from '../../pipeops/quota-news.ts';
import type { ReservedCalls } from '../../pipeops/quota-calls.ts';
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
  RENEWAL_UNKNOWN,
  UPDATE_UNKNOWN,
} from './judgement.ts';
import { createRunLooks, type RunLooks } from './looks.ts';
import type { RowMacs } from '../row-macs.ts';
import type { Recorder } from '../recorder.ts';
import { countLeased, type LeasedAttempt, leaseDueAttempts, releaseAttempts } from './queue.ts';
import { carryOut } from './carry-out.ts';
import { revokeUndelivered } from './undelivered.ts';

export interface Reconciler {
  /**
   * Looks into at most a batch of attempts that are old enough. Says how many it found due, and how many it settled.
   *
   * @param budget says before each further step whether so many more D1 queries may be sent. Default: they always may.
   */
  run(context: RequestContext, budget?: Budget): Promise<RunCount>;
  /**
   * Revokes those of the listed tokens whose marker belongs to a create that failed: its row is their prior record. A token whose
   * create is still open is left alone.
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

interface RunCount {
  readonly due: number;
  readonly settled: number;
}

export interface ReconcilerDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly pipeops: PipeOps;
  readonly quota: Quota;
  readonly runtime: Runtime;
  readonly reconcileAfterSeconds: number;
  readonly attempts: Pick<RowMacs, 'isAuthentic'>;
  /** Notes an attempt that this service has not recorded. */
  readonly noteUnauthentic: (eventId: string, nowMs: number) => readonly Query[];
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

async function settleOpenAttempts(
  dependencies: ReconcilerDependencies,
  context: RequestContext,
  budget: Budget,
): Promise<RunCount> {
  const { runtime, quota } = dependencies;
  const startedAtMs = runtime.now();
  // The last of PipeOps' quota is not for looking into what is over.
  const mustWait = (): boolean => quota.permit('reconciliation', null, runtime.now()) !== null;
  const isOver = (): boolean =>
    mustWait() || !budget.permits(RECONCILE_STEP_MAX_QUERIES) || runtime.now() - startedAtMs > RECONCILE_RUN_MS;
  if (mustWait()) return { due: 0, settled: 0 };

  const lease = await leaseAttempts(dependencies, context, startedAtMs);
  if (lease === null) return { due: 0, settled: 0 };
  const { due, reserved } = lease;
  const looks = createRunLooks({ ...dependencies, reserved }, context);
  let settled = 0;
  let looked = 0;
  for (const row of due) {
    if (isOver()) break;
    looked += 1;
    if (await settleAttempt(dependencies, context, lease.id, row, looks)) settled += 1;
  }
  for (const [workspaceUuid, { list, begunAtMs, findings }] of looks.answered()) {
    if (isOver()) break;
    await revokeUndelivered(dependencies, context, workspaceUuid, list.tokens, begunAtMs);
    if (isOver()) break;
    await askAlone(dependencies, context, workspaceUuid, findings.askAlone, { purpose: 'reconciliation' });
  }
  reserved.end();
  await endRun(dependencies, context, lease.id, due.slice(looked));
  return { due: due.length, settled };
}

/** What a run has leased, with the calls to PipeOps that were reserved for it. */
interface Lease {
  readonly id: string;
  readonly due: readonly LeasedAttempt[];
  readonly reserved: ReservedCalls;
}

/** Leases attempts that are due and reserves a call for each, in one batch. Null: D1 did not take it. */
async function leaseAttempts(
  { database, runtime, quota, reconcileAfterSeconds }: ReconcilerDependencies,
  context: RequestContext,
  nowMs: number,
): Promise<Lease | null> {
  const id = runtime.newId();
  const limits = selectQuotaNews(database, nowMs, null);
  const reservation = quota.reserve(database, 'reconciliation', sql`min(${BLOCK}, ${countLeased(id)})`, nowMs);
  const queries = [
    ...leaseDueAttempts(database, nowMs - reconcileAfterSeconds * 1000, nowMs, id),
    limits,
    ...reservation.queries,
  ] as const;
  const leased = await database.batch(context, queries);
  if (!leased.ok) return null;
  const [, due, told, buckets] = leased.value;
  quota.learn(told, runtime.now());
  const reserved = quota.reservedCalls(BLOCK);
  reserved.add(reservation.grant(buckets, { calls: Math.min(BLOCK, due.length) }));
  return { id, due, reserved };
}

/** Gives back attempts that the run did not get to, and tells other isolates what PipeOps said of its quota. */
async function endRun(
  { database, runtime, quota }: ReconcilerDependencies,
  context: RequestContext,
  leaseId: string,
  left: readonly LeasedAttempt[],
): Promise<void> {
  const nowMs = runtime.now();
  const ids = left.map(({ id }) => id);
  const queries = [
    ...(ids.length > 0 ? [releaseAttempts(database, leaseId, ids, nowMs)] : []),
    ...quota.news(database, nowMs),
  ];
  if (queries.length > 0) await database.batch(context, queries);
}

/** Says whether the attempt is settled by this. */
async function settleAttempt(
  dependencies: ReconcilerDependencies,
  context: RequestContext,
  leaseId: string,
  row: LeasedAttempt,
  looks: RunLooks,
): Promise<boolean> {
  // The end of a renewal gives nobody any power, and the cron records it.
  if (row.action !== 'credential.renew' && !dependencies.attempts.isAuthentic(row)) {
    dependencies.runtime.log({ level: 'error', event: 'row_unauthentic', kind: 'attempt', name: row.id });
    await dependencies.database.batch(context, dependencies.noteUnauthentic(row.id, dependencies.runtime.now()));
    return false;
  }
  try {
    return await carryOut(dependencies, context, leaseId, row, await judge(dependencies, row, looks));
  } catch (error) {
    // A row that cannot be judged must not keep the run from the others.
    const name = error instanceof Error ? error.name : 'unknown';
    dependencies.runtime.log({ level: 'error', event: 'attempt_not_judged', event_id: row.id, name });
    return false;
  }
}

/** Asks PipeOps about one attempt. What PipeOps cannot answer leaves the row waiting, for a day at the most. */
async function judge({ runtime }: ReconcilerDependencies, row: LeasedAttempt, looks: RunLooks): Promise<Judgement> {
  if (row.action === 'credential.renew') return RENEWAL_UNKNOWN;
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
