import { sql, type SQL } from 'drizzle-orm';
import {
  USAGE_ADVANCED_WITHIN_SECONDS,
  USE_SWEEPS_LEAST_COUNT,
  USE_UNCHANGED_LEAST_MS,
} from '../config/aging-limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { auditEvents, revocationOrders, tokens, workspaces } from '../db/schema.ts';
import { each, idsOf, selectedRow } from '../db/sql.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import { ORDER_RANKS } from '../inventory/orders.ts';
import { ITEM_ID, orderRow, type Recording } from '../inventory/recording.ts';
import { rfc3339OrNull } from '../kit/time.ts';
import { isNotIn, ORDER_STATE, WITHDRAWN } from '../revocation/orders/states.ts';
import { rowDetail } from '../trail/event.ts';
import { insertListedEvents, listedRow } from '../trail/statements.ts';
import type { Hindrance, UnusedToken } from './unused.ts';

// How an unused token is suspended: by an order of the system, with the evidence in its row. What was judged is asked once more in the
// batch that makes the order, so that no use, change or order meanwhile is overlooked.

/** Whether an order of a token, `t`, stands: one that is neither lifted nor retried by another. */
const isOrdered = (workspaceUuid: string): SQL => sql`exists (select 1 from ${revocationOrders} as o
  where o.workspace_uuid = ${workspaceUuid} and o.token_id = t.token_id and ${isNotIn('o.state', WITHDRAWN)})`;

/** The changes of a token, `t`, in the trail, by the index of its life. */
const changesOf = (workspaceUuid: string, condition: SQL): SQL => sql`from ${auditEvents} as a
  where a.token_id = t.token_id and a.read_key is null and ${canonicalWorkspace('a.workspace_uuid')} = ${workspaceUuid}
    and a.action in ('service_account_token.update', 'service_account_token.revoke') and ${condition}`;

const isChanging = (workspaceUuid: string): SQL =>
  sql`(exists (select 1 ${changesOf(workspaceUuid, sql`a.status = 'attempted'`)})
    or exists (select 1 from ${auditEvents} as r where r.id = t.rotation_event_id and r.status = 'attempted'))`;

/** A resume counts from when it was asked for, whatever came of it but a failure. */
const IS_RESUME = sql`a.status <> 'failure' and a.detail ->> 'is_active' = 1`;

/** Selects what D1 knows of tokens that may be suspended. */
export const selectHindrances = ({ build }: Database, workspaceUuid: string, tokenIds: readonly string[]) =>
  build
    .select({
      token_id: sql<string>`t.token_id`.as('token_id'),
      busy: sql<number>`${isOrdered(workspaceUuid)} or ${isChanging(workspaceUuid)}`.as('busy'),
      resumed_at: sql<number | null>`(select max(a.occurred_at) ${changesOf(workspaceUuid, IS_RESUME)})`.as(
        'resumed_at',
      ),
    })
    .from(sql`${tokens} as t`)
    .where(sql`t.workspace_uuid = ${workspaceUuid} and t.token_id in ${idsOf(tokenIds)}`);

export const hindrancesOf = (rows: RowsOf<ReturnType<typeof selectHindrances>>): ReadonlyMap<string, Hindrance> =>
  new Map(rows.map(({ token_id, busy, resumed_at }) => [token_id, { isBusy: busy === 1, resumedAtMs: resumed_at }]));

/**
 * The orders that suspend these tokens, and their `attempted` rows in the trail, in the batch that has kept what their look told. They
 * are made only where the workspace's last nightly look is this one and all that was judged still holds.
 */
export function suspensionQueries(recording: Recording, chosen: readonly UnusedToken[]): readonly Query[] {
  if (chosen.length === 0) return [];
  const { database, workspaceUuid, begunAtMs, nowMs, newId } = recording;
  const event = orderRow(recording, 'suspend', {});
  const items = chosen.map((token) => ({
    id: token.row.token_id,
    event: listedRow(database, event, {
      id: newId(),
      token_id: token.row.token_id,
      detail: rowDetail(evidenceOf(token), recording.context.policyVersion),
    }),
    used: token.use.last_used_at,
    // A token that was used or resumed after this is not unused.
    idle_since: nowMs - token.unusedAfterMs,
  }));
  const orderId = sql.raw(`e.value ->> '$.event.id'`);
  const idleSince = sql.raw(`e.value ->> 'idle_since'`);
  const order = {
    id: orderId,
    cause: 'unused',
    workspace_uuid: workspaceUuid,
    token_id: ITEM_ID,
    mode: 'suspend',
    rank: ORDER_RANKS.live,
    state: ORDER_STATE.open,
    tries: 0,
    next_at: nowMs,
    created_at: nowMs,
    confirm_round: 0,
  };
  const isThisLook = sql`exists (select 1 from ${workspaces} as w where w.workspace_uuid = ${workspaceUuid}
    and w.usage_swept_at = ${begunAtMs} and w.usage_advanced_at >= ${nowMs - USAGE_ADVANCED_WITHIN_SECONDS * 1000})`;
  return [
    database.build.insert(revocationOrders).select(
      sql`select ${selectedRow(revocationOrders, order)} from ${each(items)}
        cross join ${tokens} as t on t.workspace_uuid = ${workspaceUuid} and t.token_id = ${ITEM_ID}
        where ${isThisLook} and t.revoked_at is null and t.ended_by is null and t.unseen_at is null and t.suspended_by is null
          and t.retires_at is null and t.replaced_by is null and t.owner_subject is not null
          and (t.expires_at is null or t.expires_at > ${nowMs}) and t.created_at <= ${idleSince}
          and t.last_used_at is e.value ->> 'used' and coalesce(t.last_used_at <= ${idleSince}, true)
          and t.usage_doubted_at is null and t.usage_sweeps >= ${USE_SWEEPS_LEAST_COUNT}
          and t.usage_since <= ${nowMs - USE_UNCHANGED_LEAST_MS}
          and not ${isOrdered(workspaceUuid)} and not ${isChanging(workspaceUuid)}
          and not exists (select 1 ${changesOf(workspaceUuid, sql`${IS_RESUME} and a.occurred_at > ${idleSince}`)})`,
    ),
    insertListedEvents(
      database,
      event,
      items,
      'event',
      sql`from ${each(items)} where exists (select 1 from ${revocationOrders} as o where o.id = ${orderId})`,
    ),
  ];
}

/** What the row of a suspension says of why it was ordered. */
const evidenceOf = ({ row, use, unusedAfterMs }: UnusedToken) => ({
  is_active: false,
  unused: {
    last_used_at: rfc3339OrNull(use.last_used_at) ?? 'never',
    unchanged_since: rfc3339OrNull(use.usage_since),
    nightly_looks: use.usage_sweeps,
    unused_after_seconds: unusedAfterMs / 1000,
    role: row.role,
  },
});
