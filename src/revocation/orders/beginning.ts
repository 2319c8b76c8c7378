import { sql } from 'drizzle-orm';
import { ORDERS_BEGIN_MAX_ROWS } from '../../config/aging-limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { revocationOrders } from '../../db/schema.ts';
import { ORDER_RANKS } from '../../inventory/orders.ts';
import { attemptedRow, eventSubject, type Origin, SYSTEM_ACTOR, systemOrigin } from '../../trail/event.ts';
import { insertEventsFrom } from '../../trail/statements.ts';
import { STATE_LITERALS, written } from './states.ts';

/**
 * Begins scheduled orders that are due, those that have waited longest first, up to ORDERS_BEGIN_MAX_ROWS: they are open and due from
 * now on, and each has its `attempted` row in the trail, which names the successor of its token.
 *
 * Both queries name the same orders, since the first changes none, and D1 takes a batch as a whole: however many runs race or die, an
 * order begins once, and never without its row. One whose token has expired by now is of the rank of those that a list settles.
 */
export function beginDueOrders(database: Database, origin: Origin, nowMs: number): readonly Query[] {
  const due = sql`(select rowid from revocation_orders
    where rank = ${sql.raw(String(ORDER_RANKS.scheduled))} and next_at <= ${nowMs} and state = ${STATE_LITERALS.scheduled}
    order by next_at, rowid limit ${ORDERS_BEGIN_MAX_ROWS})`;
  const subject = eventSubject('service_account_token.revoke', SYSTEM_ACTOR);
  const token = sql`tokens as t where t.workspace_uuid = revocation_orders.workspace_uuid and t.token_id = revocation_orders.token_id`;
  const { id, workspace_uuid, token_id } = revocationOrders;
  return [
    insertEventsFrom(
      database,
      attemptedRow('', nowMs, systemOrigin(origin), subject),
      {
        id: sql`${id}`,
        workspace_uuid: sql`${workspace_uuid}`,
        token_id: sql`${token_id}`,
        detail: sql`json_object('replaced_by', (select t.replaced_by from ${token}))`,
      },
      sql`from revocation_orders where rowid in ${due}`,
    ),
    database.build
      .update(revocationOrders)
      .set(
        written('begin', {
          next_at: nowMs,
          created_at: nowMs,
          rank: sql`iif(exists (select 1 from ${token} and t.expires_at <= ${nowMs}), ${ORDER_RANKS.expired}, ${ORDER_RANKS.live})`,
        }),
      )
      .where(sql`rowid in ${due}`),
  ];
}
