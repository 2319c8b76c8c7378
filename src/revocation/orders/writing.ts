import { sql, type SQL } from 'drizzle-orm';
import { AUDIT_ANNOUNCE_AFTER_MS } from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { auditEvents } from '../../db/schema.ts';
import { newUuid } from '../../db/sql.ts';
import { canonicalWorkspace } from '../../db/workspace-spelling.ts';
import { addSuspension } from '../../inventory/inventory.ts';
import { idsOf } from '../../inventory/recording.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { raiseGeneration } from '../../reads/generation.ts';
import {
  type EventOutcome,
  finalRow,
  type Origin,
  settledColumns,
  successOutcome,
  SYSTEM_ACTOR,
  systemOrigin,
} from '../../trail/event.ts';
import { announceLate, isPassed } from '../../trail/late-settlement.ts';
import { settledMac } from '../../trail/row-macs.ts';
import { insertEventsFrom } from '../../trail/statements.ts';
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
import { isIn, isInState, ORDER_STATE, SENT } from './states.ts';

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
    action: actionOf(order),
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
  const ending = moved.filter(({ move }) => move.endsToken).map(({ order }) => order.id);
  const reopened = moved.filter(({ move }) => isReopening(move));
  const queries: readonly Query[] = [
    ...settleRows(database, context, moved, nowMs),
    ...(moved.length > 0 ? [moveOrders(database, moved, isLeasedAs(lease))] : []),
    ...(ending.length > 0 ? [endTokens(database, ending, nowMs, sql`true`)] : []),
    ...noteSuspensions(database, moved, sql`true`),
    ...recordLateOnes(database, context, moved, nowMs),
    ...(reopened.length > 0 ? contradict(database, context, reopened, nowMs) : []),
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

const actionOf = ({ mode }: Pick<LeasedOrder, 'mode'>): AuditAction =>
  mode === 'revoke' ? 'service_account_token.revoke' : 'service_account_token.update';

/** Settles the rows of orders that are still open, and before that announces those that followers may have passed. */
function settleRows(
  database: Database,
  context: RequestContext,
  moved: readonly MovedOrder[],
  nowMs: number,
): readonly Query[] {
  const rows = moved.flatMap(({ order, move: { outcome } }) => {
    if (outcome === null || order.attempted === 0) return [];
    const columns = settledColumns(nowMs, order.token_id, outcome);
    const settled_mac = settledMac(database.rowMac, { id: order.id, ...columns });
    const { status, upstream_status, error_code, outcome: detail } = columns;
    return [
      { id: order.id, created_at: order.created_at, status, upstream_status, error_code, outcome: detail, settled_mac },
    ];
  });
  if (rows.length === 0) return [];
  const names = ['id', 'status', 'upstream_status', 'error_code', 'outcome', 'settled_mac'];
  const settled = sql`(select ${sql.raw(names.map((name) => `value ->> '${name}' as ${name}`).join(', '))}
    from json_each(${JSON.stringify(rows)})) as s`;
  const isLate = rows.some(({ created_at: atMs }) => isPassed(atMs, nowMs));
  return [
    ...(isLate ? [announceAll(database, context, settled, nowMs)] : []),
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
function announceAll(database: Database, context: RequestContext, settled: SQL, nowMs: number) {
  return insertEventsFrom(
    database,
    systemRow(context, 'audit.settled', successOutcome(null), nowMs),
    {
      id: newUuid,
      workspace_uuid: canonicalWorkspace('e.workspace_uuid'),
      token_id: sql`e.token_id`,
      token_name: sql`e.token_name`,
      detail: sql`json_object('event_id', e.id, 'action', e.action, 'status', s.status, 'error_code', s.error_code)`,
    },
    sql`from ${settled} join audit_events as e on e.id = s.id
      where e.status = 'attempted' and abs(e.occurred_at - ${nowMs}) >= ${AUDIT_ANNOUNCE_AFTER_MS}`,
  );
}

/**
 * An order may be acknowledged after its row in the trail was settled as a failure: it was given up, or its token was not found,
 * and a look has shown the token since. One more row says then that it was done.
 */
function recordLateOnes(
  database: Database,
  context: RequestContext,
  moved: readonly MovedOrder[],
  nowMs: number,
): readonly Query[] {
  const ids = moved.filter(isDoneLate).map(({ order }) => order.id);
  if (ids.length === 0) return [];
  const insert = insertEventsFrom(
    database,
    systemRow(systemOrigin(context), 'service_account_token.revoke', successOutcome(null), nowMs),
    {
      id: newUuid,
      action: sql`e.action`,
      workspace_uuid: sql`o.workspace_uuid`,
      token_id: sql`o.token_id`,
      detail: sql`json_object('order_id', o.id)`,
    },
    sql`from revocation_orders as o join audit_events as e on e.id = o.id
      where o.id in ${idsOf(ids)} and ${isIn('o.state', [ORDER_STATE.acknowledged])} and e.status = 'failure'
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
  database: Database,
  context: RequestContext,
  reopened: readonly MovedOrder[],
  nowMs: number,
): readonly Query[] {
  const ids = reopened.map(({ order }) => order.id);
  const outcome = {
    status: 'failure',
    upstreamStatus: null,
    errorCode: 'revocation_contradicted',
    detail: {},
  } as const;
  return [
    reviveTokens(database, ids, nowMs),
    insertEventsFrom(
      database,
      systemRow(systemOrigin(context), 'service_account_token.revoke', outcome, nowMs),
      {
        id: newUuid,
        action: sql`max(case o.mode when 'revoke' then 'service_account_token.revoke' else 'service_account_token.update' end)`,
        workspace_uuid: sql`o.workspace_uuid`,
        token_id: sql`o.token_id`,
        detail: sql`json_object('order_id', max(o.id))`,
      },
      sql`from revocation_orders as o where o.id in ${idsOf(ids)} and ${isIn('o.state', SENT)} and o.contradicted_at is not null
        and not exists (select 1 from audit_events as e indexed by audit_events_token_id
          where e.token_id = o.token_id and ${canonicalWorkspace('e.workspace_uuid')} = o.workspace_uuid
            and e.error_code = ${outcome.errorCode} and e.occurred_at >= ${nowMs - (nowMs % DAY_MS)})
        group by o.workspace_uuid, o.token_id`,
    ),
  ];
}

/** A final row by this service itself. What it says of a token comes from the orders or rows that it is inserted from. */
const systemRow = (origin: Origin, action: AuditAction, outcome: EventOutcome, nowMs: number) => {
  const subject = { action, actor: SYSTEM_ACTOR, workspaceUuid: null, tokenId: null, tokenName: null, detail: {} };
  return finalRow('', nowMs, origin, subject, outcome);
};
