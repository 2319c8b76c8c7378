import { and, eq, getTableColumns, not, sql, type Placeholder } from 'drizzle-orm';
import { compiled } from '../db/compiled.ts';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { blockedValues, isBlockedFilled } from '../subjects/blocks.ts';
import type { Actor, NewAuditRow, SettledColumns } from './events.ts';

// What every mutation writes and reads of its row.

export const insertEvent = (database: Database, row: NewAuditRow) => INSERT(database, row);

/**
 * Settles an attempt that is open.
 *
 * @param unlessBlocked settles nothing if this actor was offboarded by now.
 */
export const settleEvent = (
  database: Database,
  eventId: string,
  columns: SettledColumns,
  unlessBlocked: Actor | undefined,
) =>
  unlessBlocked === undefined
    ? SETTLE(database, { eventId, ...columns })
    : SETTLE_UNLESS_BLOCKED(database, { eventId, ...columns, ...blockedValues(unlessBlocked) });

export const selectEvent = (database: Database, eventId: string) => SELECT(database, { eventId });

const isThisEvent = eq(auditEvents.id, sql.placeholder('eventId'));
const isThisAttempt = and(isThisEvent, eq(auditEvents.status, 'attempted'));

const INSERT = compiled(({ build }) => build.insert(auditEvents).values(rowPlaceholders()));

const SETTLE = compiled(({ build }) => build.update(auditEvents).set(settledPlaceholders()).where(isThisAttempt));

const SETTLE_UNLESS_BLOCKED = compiled((database) =>
  database.build
    .update(auditEvents)
    .set(settledPlaceholders())
    .where(and(isThisAttempt, not(isBlockedFilled(database)))),
);

const SELECT = compiled(({ build }) => build.select().from(auditEvents).where(isThisEvent));

/** D1 gives `seq`. */
function rowPlaceholders() {
  const names = Object.keys(getTableColumns(auditEvents)).filter((name) => name !== 'seq');
  const placeholders = names.map((name) => [name, sql.placeholder(name)]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one for each column but `seq`
  return Object.fromEntries(placeholders) as Record<keyof NewAuditRow, Placeholder>;
}

const settledPlaceholders = () => {
  const placeholder = (name: keyof SettledColumns) => sql`${sql.placeholder(name)}`;
  return {
    status: placeholder('status'),
    settled_at: placeholder('settled_at'),
    token_id: placeholder('token_id'),
    upstream_status: placeholder('upstream_status'),
    error_code: placeholder('error_code'),
    outcome: placeholder('outcome'),
  } satisfies Record<keyof SettledColumns, unknown>;
};
