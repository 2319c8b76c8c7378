import { asc, sql } from 'drizzle-orm';
import { ORDERS_BEGIN_MAX_ROWS } from '../../config/aging-limits.ts';
import type { Database, Query, RowsOf } from '../../db/database.ts';
import { revocationOrders } from '../../db/schema.ts';
import { each, idsOf } from '../../db/sql.ts';
import { ORDER_RANKS } from '../../inventory/orders.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { attemptedRow, eventSubject, rowDetail, SYSTEM_ACTOR, systemOrigin } from '../../trail/event.ts';
import { insertListedEvents, listedRow } from '../../trail/statements.ts';
import { STATE_LITERALS, written } from './states.ts';

/**
 * Begins scheduled orders that are due, those that have waited longest first, up to ORDERS_BEGIN_MAX_ROWS: they are open and due from
 * now on, and each has its `attempted` row in the trail, which names the successor of its token.
 *
 * Both queries ask once more which orders are due, the first one changes none, and D1 takes a batch as a whole: however many runs race
 * or die, an order begins once, and never without its row. One whose token has expired by now is of the rank of those that a list settles.
 */
export async function beginDueOrders(database: Database, context: RequestContext, nowMs: number): Promise<void> {
  const read = await database.batch(context, [selectDue(database, nowMs)]);
  const due = read.ok ? read.value[0] : [];
  if (due.length > 0) await database.batch(context, beginOrders(database, context, due, nowMs));
}

type DueOrder = RowsOf<ReturnType<typeof selectDue>>[number];

const TOKEN = sql`tokens as t where t.workspace_uuid = revocation_orders.workspace_uuid and t.token_id = revocation_orders.token_id`;

const isDue = (nowMs: number) =>
  sql`rank = ${sql.raw(String(ORDER_RANKS.scheduled))} and next_at <= ${nowMs} and state = ${STATE_LITERALS.scheduled}`;

const selectDue = ({ build }: Database, nowMs: number) =>
  build
    .select({
      id: revocationOrders.id,
      workspace_uuid: revocationOrders.workspace_uuid,
      token_id: revocationOrders.token_id,
      replaced_by: sql<string | null>`(select t.replaced_by from ${TOKEN})`.as('replaced_by'),
    })
    .from(revocationOrders)
    .where(isDue(nowMs))
    .orderBy(asc(revocationOrders.next_at), sql`revocation_orders.rowid`)
    .limit(ORDERS_BEGIN_MAX_ROWS);

function beginOrders(
  database: Database,
  context: RequestContext,
  due: readonly DueOrder[],
  nowMs: number,
): readonly Query[] {
  const origin = systemOrigin(context);
  const row = attemptedRow('', nowMs, origin, eventSubject('service_account_token.revoke', SYSTEM_ACTOR));
  const items = due.map(({ id, workspace_uuid, token_id, replaced_by }) => ({
    event: listedRow(database, row, {
      id,
      workspace_uuid,
      token_id,
      detail: rowDetail({ replaced_by }, origin.policyVersion),
    }),
  }));
  return [
    insertListedEvents(
      database,
      row,
      items,
      'event',
      sql`from ${each(items)} join ${revocationOrders} on revocation_orders.id = e.value ->> '$.event.id' where ${isDue(nowMs)}`,
    ),
    database.build
      .update(revocationOrders)
      .set(
        written('begin', {
          next_at: nowMs,
          created_at: nowMs,
          rank: sql`iif(exists (select 1 from ${TOKEN} and t.expires_at <= ${nowMs}), ${ORDER_RANKS.expired}, ${ORDER_RANKS.live})`,
        }),
      )
      .where(sql`id in ${idsOf(due.map(({ id }) => id))} and ${isDue(nowMs)}`),
  ];
}
