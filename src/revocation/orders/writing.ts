import { sql, type SQL } from 'drizzle-orm';
import type { Database, Query } from '../../db/database.ts';
import { auditEvents } from '../../db/schema.ts';
import { each } from '../../db/sql.ts';
import { canonicalWorkspace } from '../../db/workspace-spelling.ts';
import { addSuspension } from '../../inventory/inventory.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { raiseGeneration } from '../../reads/generation.ts';
import {
  type EventOutcome,
  eventSubject,
  finalRow,
  type Origin,
  rowDetail,
  settledColumns,
  type SettledColumns,
  successOutcome,
  SYSTEM_ACTOR,
  systemOrigin,
} from '../../trail/event.ts';
import { announceLate, isPassed } from '../../trail/late-settlement.ts';
import { settledMac } from '../../trail/row-macs.ts';
import { insertListedEvents, listedRow } from '../../trail/statements.ts';
import type { AuditAction } from '../../vocabulary.ts';
import type { DriverDependencies } from '../dependencies.ts';
import {
  endTokens,
  isLeasedAs,
  isTokenOf,
  type LeasedOrder,
  type MovedOrder,
  moveOrders,
  reviveTokens,
} from './queue.ts';
import { isReopening, type Move } from './rules.ts';
import { isIn, isInState, ORDER_ACTIONS, ORDER_STATE, SENT } from './states.ts';

/**
 * Writes down what became of one order. If that settles the order's row in the trail, the recorder settles it as it does for
 * mutations, and the order, the inventory and the generation follow in the same batch.
 *
 * @returns whether D1 says that it is written.
 */
export async function recordMove(
  dependencies: DriverDependencies,
  context: RequestContext,
  lease: string,
  order: LeasedOrder,
  move: Move,
): Promise<boolean> {
  const { outcome } = move;
  const { database, recorder, runtime, quota } = dependencies;
  const { id, workspace_uuid: workspaceUuid, token_id: tokenId } = order;
  // The row of an order that a look has reopened is final already.
  if (outcome === null || order.attempted === 0) {
    return await recordMoves(dependencies, context, lease, [{ order, move }]);
  }
  const nowMs = runtime.now();
  // The ids are made before the batch, so that a repeated batch inserts no second row.
  const announcement = { eventId: runtime.newId(), nowMs };
  const row = {
    id,
    occurred_at: order.created_at,
    action: ORDER_ACTIONS[order.mode],
    workspace_uuid: workspaceUuid,
    token_id: tokenId,
    token_name: null,
  };
  const settlement = await recorder.settle(context, { eventId: id, tokenId }, outcome, (guard) => [
    moveOrders(database, [{ order, move }], guard),
    ...(move.endsToken ? [endTokens(database, [id], nowMs, guard)] : []),
    ...noteSuspensions(database, [{ order, move }], guard),
    raiseGeneration(database, workspaceUuid),
    ...quota.news(database, nowMs),
    ...announceLate(database, context, announcement, row, outcome, guard),
  ]);
  return settlement.kind === 'own';
}

/**
 * Writes down what became of any number of orders of a lease, in one batch, and settles those of their rows in the trail that are
 * still open. What D1 does not take is judged again when the lease ends.
 *
 * @returns whether D1 has taken it.
 */
export async function recordMoves(
  { database, runtime, quota }: DriverDependencies,
  context: RequestContext,
  lease: string,
  moved: readonly MovedOrder[],
): Promise<boolean> {
  const nowMs = runtime.now();
  const writing = { database, runtime };
  const ending = moved.filter(({ move }) => move.endsToken).map(({ order }) => order.id);
  const reopened = moved.filter(({ move }) => isReopening(move));
  const queries: readonly Query[] = [
    ...settleRows(writing, context, moved, nowMs),
    ...(moved.length > 0 ? [moveOrders(database, moved, isLeasedAs(lease))] : []),
    ...(ending.length > 0 ? [endTokens(database, ending, nowMs, sql`true`)] : []),
    ...noteSuspensions(database, moved, sql`true`),
    ...recordLateOnes(writing, context, moved, nowMs),
    ...(reopened.length > 0 ? contradict(writing, context, reopened, nowMs) : []),
    ...workspacesOf(moved.filter(mayChangeTokens)).map((workspaceUuid) => raiseGeneration(database, workspaceUuid)),
    ...quota.news(database, nowMs),
  ];
  if (queries.length === 0) return true;
  return (await database.batch(context, queries)).ok;
}

/** PipeOps may have carried out a call that it did not answer. It has not carried out one that it refused for its quota. */
const mayChangeTokens = ({ order, move }: MovedOrder): boolean =>
  isInState(order, SENT) ? move.columns.error_code !== 'upstream_rate_limited' : isReopening(move);

/**
 * Says of tokens that nobody uses why they are suspended, once PipeOps has acknowledged it. What a webhook suspends says why from its
 * order on, so that its owner cannot resume it before.
 */
function noteSuspensions(database: Database, moved: readonly MovedOrder[], guard: SQL): readonly Query[] {
  const ids = moved
    .filter(({ order, move }) => order.cause === 'unused' && move.transition === 'acknowledge')
    .map(({ order }) => order.id);
  return ids.length === 0 ? [] : [addSuspension(database, isTokenOf(ids, [ORDER_STATE.acknowledged]), 'unused', guard)];
}

const workspacesOf = (moved: readonly MovedOrder[]): readonly string[] => [
  ...new Set(moved.map(({ order }) => order.workspace_uuid)),
];

type Writing = Pick<DriverDependencies, 'database' | 'runtime'>;

/** Settles the rows of orders that are still open, and before that announces those that followers may have passed. */
function settleRows(
  { database, runtime }: Writing,
  context: RequestContext,
  moved: readonly MovedOrder[],
  nowMs: number,
): readonly Query[] {
  const settling = moved.flatMap(({ order, move: { outcome } }) =>
    outcome === null || order.attempted === 0
      ? []
      : [{ order, columns: settledColumns(nowMs, order.token_id, outcome) }],
  );
  if (settling.length === 0) return [];
  const rows = settling.map(({ order: { id }, columns }) => {
    const { status, upstream_status, error_code, outcome } = columns;
    const settled_mac = settledMac(database.rowMac, { id, ...columns });
    return { id, status, upstream_status, error_code, outcome, settled_mac };
  });
  const names = ['id', 'status', 'upstream_status', 'error_code', 'outcome', 'settled_mac'];
  const settled = sql`(select ${sql.raw(names.map((name) => `value ->> '${name}' as ${name}`).join(', '))}
    from json_each(${JSON.stringify(rows)})) as s`;
  const late = settling.filter(({ order }) => isPassed(order.created_at, nowMs));
  return [
    ...(late.length > 0 ? [announceAll({ database, runtime }, context, late, nowMs)] : []),
    database.build
      .update(auditEvents)
      .set({
        status: sql`s.status`,
        settled_at: nowMs,
        upstream_status: sql`s.upstream_status`,
        error_code: sql`s.error_code`,
        outcome: sql`s.outcome`,
        settled_mac: sql`s.settled_mac`,
      })
      .from(settled)
      .where(sql`audit_events.id = s.id and audit_events.status = 'attempted'`),
  ];
}

/** Announces rows as `announceLate` does one. It stands before the settling in its batch, since it looks for open rows. */
function announceAll(
  { database, runtime }: Writing,
  context: RequestContext,
  late: readonly { readonly order: LeasedOrder; readonly columns: SettledColumns }[],
  nowMs: number,
) {
  const row = systemRow(context, 'audit.settled', successOutcome(null), nowMs);
  const items = late.map(({ order, columns: { status, error_code } }) => ({
    order: order.id,
    event: listedRow(database, row, {
      ...ownOf(order, runtime.newId()),
      action: 'audit.settled',
      detail: rowDetail(
        { event_id: order.id, action: ORDER_ACTIONS[order.mode], status, error_code },
        context.policyVersion,
      ),
    }),
  }));
  return insertListedEvents(
    database,
    row,
    items,
    'event',
    sql`from ${each(items)} join audit_events as a on a.id = e.value ->> 'order' where a.status = 'attempted'`,
  );
}

/**
 * An order may be acknowledged after its row in the trail was settled as a failure: it was given up, or its token was not found,
 * and a look has shown the token since. One more row says then that it was done.
 */
function recordLateOnes(
  { database, runtime }: Writing,
  context: RequestContext,
  moved: readonly MovedOrder[],
  nowMs: number,
): readonly Query[] {
  const late = moved.filter(isDoneLate);
  if (late.length === 0) return [];
  const row = systemRow(systemOrigin(context), 'service_account_token.revoke', successOutcome(null), nowMs);
  const items = late.map(({ order }) => ({
    order: order.id,
    event: listedRow(database, row, {
      ...ownOf(order, runtime.newId()),
      detail: rowDetail({ order_id: order.id }, context.policyVersion),
    }),
  }));
  const insert = insertListedEvents(
    database,
    row,
    items,
    'event',
    sql`from ${each(items)} join revocation_orders as o on o.id = e.value ->> 'order' join audit_events as a on a.id = o.id
      where ${isIn('o.state', [ORDER_STATE.acknowledged])} and a.status = 'failure'
        and not exists (select 1 from audit_events as done indexed by audit_events_token_id
          where done.token_id = o.token_id and ${canonicalWorkspace('done.workspace_uuid')} = o.workspace_uuid and done.status = 'success'
            and done.detail ->> 'order_id' = o.id)`,
  );
  return [insert];
}

const isDoneLate = ({ order, move: { transition, columns } }: MovedOrder): boolean =>
  order.attempted === 0 && transition === 'acknowledge' && columns.result !== 'already_gone';

const DAY_MS = 24 * 60 * 60 * 1000;

/** The tokens of orders that a look has reopened have no end, and the trail says so in one row a token and day. */
function contradict(
  { database, runtime }: Writing,
  context: RequestContext,
  reopened: readonly MovedOrder[],
  nowMs: number,
): readonly Query[] {
  const outcome = {
    status: 'failure',
    upstreamStatus: null,
    errorCode: 'revocation_contradicted',
    detail: {},
  } as const;
  const row = systemRow(systemOrigin(context), 'service_account_token.revoke', outcome, nowMs);
  const items = reopened
    .map(({ order }) => ({
      order: order.id,
      event: listedRow(database, row, {
        ...ownOf(order, runtime.newId()),
        detail: rowDetail({ order_id: order.id }, context.policyVersion),
      }),
    }))
    .toSorted((one, other) => (one.order < other.order ? -1 : 1));
  const ids = items.map(({ order }) => order);
  return [
    reviveTokens(database, ids, nowMs),
    insertListedEvents(
      database,
      row,
      items,
      'event',
      // Beside max(), a bare column is of the row that has the greatest one (SQLite, "Bare columns in an aggregate query").
      sql`from (select i.value as value, max(i.key) from json_each(${JSON.stringify(items)}) as i
          join revocation_orders as o on o.id = i.value ->> 'order'
        where ${isIn('o.state', SENT)} and o.contradicted_at is not null
          and not exists (select 1 from audit_events as a indexed by audit_events_token_id
            where a.token_id = o.token_id and ${canonicalWorkspace('a.workspace_uuid')} = o.workspace_uuid
              and a.error_code = ${outcome.errorCode} and a.occurred_at >= ${nowMs - (nowMs % DAY_MS)})
        group by o.workspace_uuid, o.token_id) as e`,
    ),
  ];
}

/** What a row about an order says of its token. */
const ownOf = ({ mode, workspace_uuid, token_id }: LeasedOrder, id: string) => ({
  id,
  action: ORDER_ACTIONS[mode],
  workspace_uuid,
  token_id,
});

/** A final row by this service itself. What it says of a token comes from the orders that it is about. */
const systemRow = (origin: Origin, action: AuditAction, outcome: EventOutcome, nowMs: number) =>
  finalRow('', nowMs, origin, eventSubject(action, SYSTEM_ACTOR), outcome);
