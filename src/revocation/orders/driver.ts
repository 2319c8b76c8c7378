import { sql } from 'drizzle-orm';
import { type Budget, createBudget } from '../../kit/budget.ts';
import {
  ORDER_LOOK_MAX_QUERIES,
  ORDER_SEND_MAX_QUERIES,
  ORDERS_BATCH_ROWS,
  ORDERS_BULK_ROWS,
  ORDERS_REQUEST_RUN_MS,
  ORDERS_REQUEST_SHARE,
  ORDERS_RUN_MS,
  QUOTA_RUN_BLOCK_CALLS,
  UNKNOWN_WORKSPACES_TURN_MS,
} from '../../config/limits.ts';
import { takeLease } from '../../db/job-leases.ts';
import type { ReservedCalls } from '../../pipeops/quota-calls.ts';
import { selectQuotaNews } from '../../pipeops/quota-news.ts';
import type { Database } from '../../db/database.ts';
import type { Quota, Reservation } from '../../pipeops/quota.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { OrderState } from '../../vocabulary.ts';
import { lookAt } from './confirm.ts';
import type { DriverDependencies } from '../dependencies.ts';
import { createLists } from './lists.ts';
import { createRun, logNotDriven, type Run } from './run.ts';
import {
  claimDueOrders,
  type ClaimedOrder,
  type ClaimTerms,
  countClaimed,
  EXPIRED_RANKS,
  isInUnknownTurn,
  KNOWN_RANKS,
  type MovedOrder,
  releaseOrders,
  selectWork,
  UNKNOWN_RANKS,
  URGENT_RANKS,
} from './queue.ts';
import { makeOrdersLeft } from './queries.ts';
import { createSender, type Sender } from './sending.ts';
import { isEnd, isOneOf, LOOKED_AT, type Move, SENT, waitingTogether } from './states.ts';
import { recordMove, recordMoves } from './writing.ts';

export interface OrderDriver {
  /**
   * Drives the orders that are due: sends them, holds them against lists, and looks at those that PipeOps has acknowledged.
   * Says how many orders to send it found, and how many of them have ended.
   *
   * @param deliveryId of that delivery alone; null: of all.
   * @param budget what it may use up; default: what a request may.
   */
  run(
    context: RequestContext,
    deliveryId: string | null,
    budget?: Budget,
  ): Promise<{ readonly due: number; readonly ended: number }>;
}

/**
 * Drives revocation orders: from a webhook's request, which begins with its own, and from the cron, which goes on until all are
 * confirmed. An order is held by a lease, so no two drivers send it at once; a driver that died is followed by another.
 */
export function createOrderDriver(dependencies: DriverDependencies): OrderDriver {
  return {
    run: async (context, deliveryId, budget) =>
      await drive(
        dependencies,
        context,
        deliveryId,
        budget ?? createBudget(context.trace, dependencies.runtime, ORDERS_REQUEST_SHARE),
      ),
  };
}

/** What a batch of orders came to. */
interface Driven {
  readonly due: number;
  readonly ended: number;
}

async function drive(
  dependencies: DriverDependencies,
  context: RequestContext,
  deliveryId: string | null,
  budget: Budget,
): Promise<Driven> {
  const { quota, runtime } = dependencies;
  const reserved = quota.reservedCalls(QUOTA_RUN_BLOCK_CALLS);
  const lists = createLists(dependencies, context, reserved);
  const run = createRun(lists, deliveryId, budget, quota, runtime);
  const sender = createSender(dependencies, context, lists);
  const startedAtMs = runtime.now();
  const sendMs = deliveryId === null ? ORDERS_RUN_MS : ORDERS_REQUEST_RUN_MS;
  // A look is kept room for: what was sent is looked at in the same run.
  const maySend = (): boolean =>
    runtime.now() - startedAtMs <= sendMs && run.goesOn(ORDER_SEND_MAX_QUERIES + ORDER_LOOK_MAX_QUERIES);
  const driving: Driving = { dependencies, context, run, sender, maySend, reserved };

  // A leak first: PipeOps answers only so many calls a minute.
  const { urgent, work } = await driveUrgent(driving);
  if (work.unmade === 1) await makeOrdersLeft(dependencies, context, run);
  if (work.looks === 1 || urgent.ended > 0) await driveLooks(driving);
  const expired = work.expired === 1 || work.unmade === 1 ? await driveExpired(driving) : NOTHING;
  // What may be made up comes last, so that nothing waits for it.
  const unknown = work.unknown === 1 ? await driveUnknown(driving) : NOTHING;
  reserved.end();
  const news = quota.news(dependencies.database, runtime.now());
  if (news.length > 0) await dependencies.database.batch(context, news);
  return {
    due: urgent.due + expired.due + unknown.due,
    ended: urgent.ended + expired.ended + unknown.ended,
  };
}

const NOTHING: Driven = { due: 0, ended: 0 };
const NO_WORK = { unmade: 0, looks: 0, expired: 0, unknown: 0 };
type Work = typeof NO_WORK;

interface Driving {
  readonly dependencies: DriverDependencies;
  readonly context: RequestContext;
  readonly run: Run;
  readonly sender: Sender;
  readonly maySend: () => boolean;
  readonly reserved: ReservedCalls;
}

/** A claim, and the orders that it holds. */
interface Claimed {
  readonly claim: string;
  readonly orders: readonly ClaimedOrder[];
}

/** What a claim is for; null: nothing more is begun. */
function claimTerms(
  { dependencies: { runtime }, run }: Driving,
  states: readonly OrderState[],
  ranks: readonly number[],
  limitRows: number,
): ClaimTerms | null {
  if (!run.goesOn(ORDER_LOOK_MAX_QUERIES)) return null;
  return { claim: runtime.newId(), states, ranks, deliveryId: run.deliveryId, limitRows, nowMs: runtime.now() };
}

async function claimOrders({ dependencies, context, reserved }: Driving, terms: ClaimTerms | null): Promise<Claimed> {
  if (terms === null) return { claim: '', orders: [] };
  const { database, runtime, quota } = dependencies;
  const reservation = reserveBlock(database, quota, terms);
  const queries = [...claimDueOrders(database, terms), selectQuotaNews(database, terms.nowMs, null)] as const;
  const claimed = await database.batch(context, [...queries, ...reservation.queries] as const);
  if (!claimed.ok) return { claim: terms.claim, orders: [] };
  const [, orders, limits, buckets] = claimed.value;
  quota.learn(limits, runtime.now());
  reserved.add(reservation.grant(buckets, { calls: blockCalls(orders.length) }));
  return { claim: terms.claim, orders };
}

/** The first calls of a claim: one for each of its orders, up to a block. */
const blockCalls = (orders: number): number => Math.min(QUOTA_RUN_BLOCK_CALLS, orders);

const reserveBlock = (database: Database, quota: Quota, terms: ClaimTerms): Reservation =>
  quota.reserve(database, 'revocation', sql`min(${QUOTA_RUN_BLOCK_CALLS}, ${countClaimed(terms)})`, terms.nowMs);

/** What nobody got round to is due at once: for the next run, or as soon as PipeOps has waited enough. */
async function release(
  { dependencies: { database, runtime, quota }, context }: Driving,
  claim: string,
  orders: readonly ClaimedOrder[],
): Promise<void> {
  const nowMs = runtime.now();
  const news = quota.news(database, nowMs);
  if (orders.length === 0 && news.length === 0) return;
  const ids = orders.map(({ id }) => id);
  await database.batch(context, [...(ids.length > 0 ? [releaseOrders(database, claim, ids, nowMs)] : []), ...news]);
}

/** Leaks and live tokens: each is a call. The same batch says what else there is to do. */
async function driveUrgent(driving: Driving): Promise<{ readonly urgent: Driven; readonly work: Work }> {
  const { database, runtime, quota } = driving.dependencies;
  const terms = claimTerms(driving, SENT, URGENT_RANKS, ORDERS_BATCH_ROWS);
  if (terms === null) return { urgent: NOTHING, work: NO_WORK };
  const { claim, nowMs, deliveryId } = terms;
  const reservation = reserveBlock(database, quota, terms);
  const reads = [selectQuotaNews(database, nowMs, null), selectWork(database, nowMs, deliveryId)] as const;
  const queries = [...claimDueOrders(database, terms), ...reads, ...reservation.queries] as const;
  const claimed = await database.batch(driving.context, queries);
  if (!claimed.ok) return { urgent: NOTHING, work: NO_WORK };
  const [, orders, limits, [work], buckets] = claimed.value;
  quota.learn(limits, runtime.now());
  driving.reserved.add(reservation.grant(buckets, { calls: blockCalls(orders.length) }));
  const { ended, left } = await sendAll(driving, claim, orders);
  await release(driving, claim, left);
  return { urgent: { due: orders.length, ended }, work: work ?? NO_WORK };
}

/** One after the other: PipeOps' answer to one says whether the next may be sent. */
async function sendAll(
  { dependencies, context, run, sender, maySend }: Driving,
  claim: string,
  orders: readonly ClaimedOrder[],
): Promise<{ readonly ended: number; readonly left: readonly ClaimedOrder[] }> {
  const left = [...orders];
  let ended = 0;
  while (left.length > 0 && maySend()) {
    const order = left.shift();
    if (order === undefined) break;
    try {
      const move = await sender.send(order);
      if (move.endsRun) run.end();
      const isWritten = await recordMove(dependencies, context, claim, order, move);
      if (isWritten && isEnd(order, move)) ended += 1;
    } catch (error) {
      logNotDriven(dependencies.runtime, order.id, error);
    }
  }
  return { ended, left };
}

/** What PipeOps has acknowledged, in this run or before, and whose round is due. */
async function driveLooks(driving: Driving): Promise<void> {
  for (;;) {
    const { claim, orders } = await claimOrders(driving, claimTerms(driving, LOOKED_AT, KNOWN_RANKS, ORDERS_BULK_ROWS));
    const left = await lookAt(driving.dependencies, driving.context, driving.run, claim, orders);
    await release(driving, claim, left);
    if (orders.length < ORDERS_BULK_ROWS || left.length > 0) return;
  }
}

/** Tokens that have expired by our clock: a list settles any number of them, and those that it does not are sent. */
async function driveExpired(driving: Driving): Promise<Driven> {
  let due = 0;
  let ended = 0;
  for (;;) {
    const { claim, orders } = await claimOrders(driving, claimTerms(driving, SENT, EXPIRED_RANKS, ORDERS_BULK_ROWS));
    const held = await holdAll(driving, claim, orders);
    const sent = await sendAll(driving, claim, held.alive);
    const left = [...held.left, ...sent.left];
    await release(driving, claim, left);
    due += orders.length;
    ended += held.ended + sent.ended;
    if (orders.length < ORDERS_BULK_ROWS || left.length > 0) return { due, ended };
  }
}

async function holdAll(
  { dependencies, context, run, sender }: Driving,
  claim: string,
  orders: readonly ClaimedOrder[],
) {
  const moved: MovedOrder[] = [];
  const alive: ClaimedOrder[] = [];
  const left: ClaimedOrder[] = [];
  for (const [workspaceUuid, group] of Map.groupBy(orders, ({ workspace_uuid }) => workspace_uuid)) {
    if (!run.goesOn(ORDER_LOOK_MAX_QUERIES)) {
      left.push(...group);
      continue;
    }
    const sinceMs = Math.max(...group.map(({ created_at }) => created_at));
    const look = await run.lists.since(workspaceUuid, group[0]?.id ?? '', sinceMs);
    for (const order of group) {
      try {
        const move = sender.hold(order, look);
        if (move?.endsRun === true) run.end();
        if (move === null) alive.push(order);
        else moved.push({ order, move });
      } catch (error) {
        logNotDriven(dependencies.runtime, order.id, error);
      }
    }
  }
  const isWritten = await recordMoves(dependencies, context, claim, moved);
  return { ended: isWritten ? moved.filter(({ order, move }) => isEnd(order, move)).length : 0, alive, left };
}

/**
 * Orders in workspaces of which nothing was known here when they came: a few workspaces within a minute, of whichever deliveries.
 * Those whose list cannot be had wait together; where it can, they go on as any other.
 */
async function driveUnknown(driving: Driving): Promise<Driven> {
  const { dependencies, context, run, sender } = driving;
  const { database } = dependencies;
  const terms = claimTerms(driving, [...SENT, ...LOOKED_AT], UNKNOWN_RANKS, ORDERS_BULK_ROWS);
  if (terms === null) return NOTHING;
  const { claim, nowMs } = terms;
  const turn = takeLease(database, 'unknown_workspaces', claim, nowMs, UNKNOWN_WORKSPACES_TURN_MS);
  const hasTurn = sql`exists (select 1 from job_leases where holder = ${claim})`;
  const among = sql`${hasTurn} and ${isInUnknownTurn(nowMs)}`;
  const queries = [turn, ...claimDueOrders(database, { ...terms, deliveryId: null, among })] as const;
  const claimed = await database.batch(context, queries);
  if (!claimed.ok) return NOTHING;
  const orders = claimed.value[2];
  const left: ClaimedOrder[] = [];
  let ended = 0;
  for (const [workspaceUuid, group] of Map.groupBy(orders, ({ workspace_uuid }) => workspace_uuid)) {
    if (!run.goesOn(ORDER_LOOK_MAX_QUERIES)) {
      left.push(...group);
      continue;
    }
    const sinceMs = Math.max(...group.map((order) => order.acknowledged_at ?? order.created_at));
    const look = await run.lists.unknown(workspaceUuid, group[0]?.id ?? '', sinceMs);
    const open = group.filter(({ state }) => isOneOf(state, SENT));
    if (look.kind === 'listed') {
      const sent = await sendAll(driving, claim, open);
      ended += sent.ended;
      left.push(...sent.left);
    } else {
      const moved = open.flatMap((order) => movedBy(order, sender.hold(order, look)));
      await recordMoves(dependencies, context, claim, waitingTogether(moved));
    }
    const acknowledged = group.filter(({ state }) => isOneOf(state, LOOKED_AT));
    left.push(...(await lookAt(dependencies, context, run, claim, acknowledged)));
  }
  await release(driving, claim, left);
  return { due: orders.length, ended };
}

const movedBy = (order: ClaimedOrder, move: Move | null): readonly MovedOrder[] =>
  move === null ? [] : [{ order, move }];
