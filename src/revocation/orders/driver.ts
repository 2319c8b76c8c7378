import { sql } from 'drizzle-orm';
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
import type { Database } from '../../db/database.ts';
import { takeLease } from '../../db/job-leases.ts';
import { type Budget, createBudget } from '../../kit/budget.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { ReservedCalls } from '../../pipeops/quota-calls.ts';
import { selectQuotaNews } from '../../pipeops/quota-news.ts';
import type { Quota, Reservation } from '../../pipeops/quota.ts';
import type { DriverDependencies } from '../dependencies.ts';
import { lookAt } from './confirm.ts';
import { beginDueOrders } from './beginning.ts';
import { makeOrdersLeft } from './making.ts';
import {
  countLeased,
  EXPIRED_RANKS,
  isInUnknownTurn,
  KNOWN_RANKS,
  type LeasedOrder,
  leaseDueOrders,
  type LeaseTerms,
  type MovedOrder,
  type OrdersOf,
  releaseOrders,
  selectWork,
  UNKNOWN_RANKS,
  URGENT_RANKS,
} from './queue.ts';
import { isEnd, type Move, waitingTogether } from './rules.ts';
import { createRun, logNotDriven, type Run } from './run.ts';
import { createSending, type Sending } from './sending.ts';
import { DRIVEN, type DrivenState, isInState, LOOKED_AT, SENT } from './states.ts';
import { recordMove, recordMoves } from './writing.ts';

export interface OrderDriver {
  /**
   * Drives the orders that are due: sends them, compares them with lists, and looks at those that PipeOps has acknowledged. A run about
   * all begins the scheduled ones first whose time has come. Returns how many orders were to be sent, and how many of those have ended.
   *
   * @param deliveryId the orders of this delivery alone, or all if null.
   * @param budget what it may use up; by default what a request may.
   */
  run(context: RequestContext, deliveryId: string | null, budget?: Budget): Promise<Driven>;
  /** Drives one order if it is due: for the request that has made it. It may use up what a delivery's run may. */
  runOne(context: RequestContext, orderId: string): Promise<Driven>;
}

/**
 * Drives revocation orders: from a webhook's request, which begins with its own, and from the cron, which goes on until all are
 * confirmed. Each order is leased, so no two drivers send it at once, and another follows a driver that died.
 */
export function createOrderDriver(dependencies: DriverDependencies): OrderDriver {
  const ownBudget = (context: RequestContext): Budget =>
    createBudget(context.trace, dependencies.runtime, ORDERS_REQUEST_SHARE);
  return {
    run: async (context, deliveryId, budget) =>
      await drive(dependencies, context, deliveryId === null ? null : { deliveryId }, budget ?? ownBudget(context)),
    runOne: async (context, orderId) => await drive(dependencies, context, { orderId }, ownBudget(context)),
  };
}

/** How many orders a run, or a part of one, was to send, and how many of them have ended. */
interface Driven {
  readonly due: number;
  readonly ended: number;
}

async function drive(
  dependencies: DriverDependencies,
  context: RequestContext,
  of: OrdersOf,
  budget: Budget,
): Promise<Driven> {
  const { quota, runtime } = dependencies;
  const reserved = quota.reservedCalls(QUOTA_RUN_BLOCK_CALLS);
  const run = createRun(dependencies, context, { of, budget, reserved });
  const startedAtMs = runtime.now();
  const sendMs = of === null ? ORDERS_RUN_MS : ORDERS_REQUEST_RUN_MS;
  // What was sent is looked at in the same run, so room for a look is kept.
  const maySend = (): boolean =>
    runtime.now() - startedAtMs <= sendMs && run.goesOn(ORDER_SEND_MAX_QUERIES + ORDER_LOOK_MAX_QUERIES);
  const sending = createSending(dependencies, context, run.lists);
  const driving: Driving = { dependencies, context, run, sending, maySend, reserved };

  // Whether PipeOps takes calls or not: what is due is due, and shows as open from now on.
  if (of === null) await beginDueOrders(dependencies.database, context, startedAtMs);
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

interface Driving {
  readonly dependencies: DriverDependencies;
  readonly context: RequestContext;
  readonly run: Run;
  readonly sending: Sending;
  readonly maySend: () => boolean;
  readonly reserved: ReservedCalls;
}

/** Leaks and live tokens: each is a call. The batch that leases them says what else there is to do. */
async function driveUrgent(driving: Driving): Promise<{ readonly urgent: Driven; readonly work: typeof NO_WORK }> {
  const { database, runtime, quota } = driving.dependencies;
  const terms = leaseTerms(driving, SENT, URGENT_RANKS, ORDERS_BATCH_ROWS);
  if (terms === null) return { urgent: NOTHING, work: NO_WORK };
  const { lease, nowMs, of } = terms;
  const reservation = reserveBlock(database, quota, terms);
  const reads = [selectQuotaNews(database, nowMs, null), selectWork(database, nowMs, of)] as const;
  const queries = [...leaseDueOrders(database, terms), ...reads, ...reservation.queries] as const;
  const leased = await database.batch(driving.context, queries);
  if (!leased.ok) return { urgent: NOTHING, work: NO_WORK };
  const [, orders, limits, [work], buckets] = leased.value;
  quota.learn(limits, runtime.now());
  driving.reserved.add(reservation.grant(buckets, { calls: blockCalls(orders.length) }));
  const { ended, left } = await sendAll(driving, lease, orders);
  await release(driving, lease, left);
  return { urgent: { due: orders.length, ended }, work: work ?? NO_WORK };
}

/** Orders that PipeOps has acknowledged, in this run or before, and whose round is due. */
async function driveLooks(driving: Driving): Promise<void> {
  for (;;) {
    const terms = leaseTerms(driving, LOOKED_AT, KNOWN_RANKS, ORDERS_BULK_ROWS);
    if (terms === null) return;
    const orders = await leaseOrders(driving, terms);
    const left = await lookAt(driving.dependencies, driving.context, driving.run, terms.lease, orders);
    await release(driving, terms.lease, left);
    if (orders.length < ORDERS_BULK_ROWS) return;
  }
}

/** Tokens that have expired by our clock: a list settles any number of them, and those that it does not settle are sent. */
async function driveExpired(driving: Driving): Promise<Driven> {
  let due = 0;
  let ended = 0;
  for (;;) {
    const terms = leaseTerms(driving, SENT, EXPIRED_RANKS, ORDERS_BULK_ROWS);
    if (terms === null) return { due, ended };
    const { lease } = terms;
    const orders = await leaseOrders(driving, terms);
    const settled = await settleFromLists(driving, lease, orders);
    const sent = await sendAll(driving, lease, settled.alive);
    const left = [...settled.left, ...sent.left];
    await release(driving, lease, left);
    due += orders.length;
    ended += settled.ended + sent.ended;
    // Orders may be left though a list may still be asked for: a call that sends one needs more of the budget.
    if (orders.length < ORDERS_BULK_ROWS || left.length > 0) return { due, ended };
  }
}

/**
 * Orders in workspaces of which nothing was known here when they came: a few workspaces a minute, of whichever deliveries. The
 * orders of a workspace whose list fails wait together; where it does not fail, they go on as any other.
 */
async function driveUnknown(driving: Driving): Promise<Driven> {
  const { dependencies, context, run, sending } = driving;
  const { database } = dependencies;
  const terms = leaseTerms(driving, DRIVEN, UNKNOWN_RANKS, ORDERS_BULK_ROWS);
  if (terms === null) return NOTHING;
  const { lease, nowMs } = terms;
  const turn = takeLease(database, 'unknown_workspaces', lease, nowMs, UNKNOWN_WORKSPACES_TURN_MS);
  const hasTurn = sql`exists (select 1 from job_leases where holder = ${lease})`;
  const among = sql`${hasTurn} and ${isInUnknownTurn(nowMs)}`;
  const queries = [turn, ...leaseDueOrders(database, { ...terms, of: null, among })] as const;
  const leased = await database.batch(context, queries);
  if (!leased.ok) return NOTHING;
  const orders = leased.value[2];
  const left: LeasedOrder[] = [];
  let ended = 0;
  for (const [workspaceUuid, group] of Map.groupBy(orders, ({ workspace_uuid }) => workspace_uuid)) {
    if (!run.goesOn(ORDER_LOOK_MAX_QUERIES)) {
      left.push(...group);
      continue;
    }
    const sinceMs = Math.max(...group.map((order) => order.acknowledged_at ?? order.created_at));
    const look = await run.lists.unknown(workspaceUuid, group[0]?.id ?? '', sinceMs);
    const open = group.filter((order) => isInState(order, SENT));
    if (look.kind === 'listed') {
      const sent = await sendAll(driving, lease, open);
      ended += sent.ended;
      left.push(...sent.left);
    } else {
      const moved = open.flatMap((order) => movedBy(order, sending.settleFrom(look, order)));
      await recordMoves(dependencies, context, lease, waitingTogether(moved));
    }
    const acknowledged = group.filter((order) => isInState(order, LOOKED_AT));
    left.push(...(await lookAt(dependencies, context, run, lease, acknowledged)));
  }
  await release(driving, lease, left);
  return { due: orders.length, ended };
}

const movedBy = (order: LeasedOrder, move: Move | null): readonly MovedOrder[] =>
  move === null ? [] : [{ order, move }];

/** One after the other: PipeOps' answer to one says whether the next may be sent. */
async function sendAll(
  { dependencies, context, run, sending, maySend }: Driving,
  lease: string,
  orders: readonly LeasedOrder<'open'>[],
): Promise<{ readonly ended: number; readonly left: readonly LeasedOrder[] }> {
  const left = [...orders];
  let ended = 0;
  while (left.length > 0 && maySend()) {
    const order = left.shift();
    if (order === undefined) break;
    try {
      const move = await sending.send(order);
      if (move.endsRun) run.end();
      const isWritten = await recordMove(dependencies, context, lease, order, move);
      if (isWritten && isEnd(order, move)) ended += 1;
    } catch (error) {
      logNotDriven(dependencies.runtime, order.id, error);
    }
  }
  return { ended, left };
}

/** Settles what a list of each workspace settles. `alive` has to be sent; `left` was not compared. */
async function settleFromLists(
  { dependencies, context, run, sending }: Driving,
  lease: string,
  orders: readonly LeasedOrder<'open'>[],
) {
  const moved: MovedOrder[] = [];
  const alive: LeasedOrder<'open'>[] = [];
  const left: LeasedOrder[] = [];
  for (const [workspaceUuid, group] of Map.groupBy(orders, ({ workspace_uuid }) => workspace_uuid)) {
    if (!run.goesOn(ORDER_LOOK_MAX_QUERIES)) {
      left.push(...group);
      continue;
    }
    const sinceMs = Math.max(...group.map(({ created_at }) => created_at));
    const look = await run.lists.since(workspaceUuid, group[0]?.id ?? '', sinceMs);
    for (const order of group) {
      try {
        const move = sending.settleFrom(look, order);
        if (move?.endsRun === true) run.end();
        if (move === null) alive.push(order);
        else moved.push({ order, move });
      } catch (error) {
        logNotDriven(dependencies.runtime, order.id, error);
      }
    }
  }
  const isWritten = await recordMoves(dependencies, context, lease, moved);
  return { ended: isWritten ? moved.filter(({ order, move }) => isEnd(order, move)).length : 0, alive, left };
}

/** The terms of a lease, or null if nothing more is begun. */
function leaseTerms<S extends DrivenState>(
  { dependencies: { runtime }, run }: Driving,
  states: readonly S[],
  ranks: readonly number[],
  limitRows: number,
): LeaseTerms<S> | null {
  if (!run.goesOn(ORDER_LOOK_MAX_QUERIES)) return null;
  return { lease: runtime.newId(), states, ranks, of: run.of, limitRows, nowMs: runtime.now() };
}

async function leaseOrders<S extends DrivenState>(
  { dependencies, context, reserved }: Driving,
  terms: LeaseTerms<S>,
): Promise<readonly LeasedOrder<S>[]> {
  const { database, runtime, quota } = dependencies;
  const reservation = reserveBlock(database, quota, terms);
  const queries = [...leaseDueOrders(database, terms), selectQuotaNews(database, terms.nowMs, null)] as const;
  const leased = await database.batch(context, [...queries, ...reservation.queries] as const);
  if (!leased.ok) return [];
  const [, orders, limits, buckets] = leased.value;
  quota.learn(limits, runtime.now());
  reserved.add(reservation.grant(buckets, { calls: blockCalls(orders.length) }));
  return orders;
}

/** The first calls for leased orders: one for each, up to a block. */
const blockCalls = (orders: number): number => Math.min(QUOTA_RUN_BLOCK_CALLS, orders);

const reserveBlock = (database: Database, quota: Quota, terms: LeaseTerms): Reservation =>
  quota.reserve(database, 'revocation', sql`min(${QUOTA_RUN_BLOCK_CALLS}, ${countLeased(terms)})`, terms.nowMs);

/** Orders that this run did not get to are due at once: for the next run, or as soon as PipeOps takes calls again. */
async function release(
  { dependencies: { database, runtime, quota }, context }: Driving,
  lease: string,
  orders: readonly LeasedOrder[],
): Promise<void> {
  const nowMs = runtime.now();
  const news = quota.news(database, nowMs);
  if (orders.length === 0 && news.length === 0) return;
  const ids = orders.map(({ id }) => id);
  await database.batch(context, [...(ids.length > 0 ? [releaseOrders(database, lease, ids, nowMs)] : []), ...news]);
}
