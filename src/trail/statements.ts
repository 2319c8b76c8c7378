import { and, eq, getTableColumns, not, notExists, sql, type SQL } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { compiled, selectedRow } from '../db/sql.ts';
import { blockedValues, isBlockedFilled } from '../subjects/blocks.ts';
import { type CallerMinute, callerMinuteOf, isDenialInFull, isWithinIdleRows } from './caller-rows.ts';
import type { Actor, NewAuditRow, SettledColumns } from './event.ts';

// What every mutation writes and reads of its row.

/**
 * Inserts the row of an attempt, and gives its id, where its caller has room for it in this minute: `undecided`, as for a denial
 * in full; `allowed`, as for whatever policy does not refuse.
 */
export const insertAttempt = (database: Database, row: NewAuditRow, room: AttemptRoom) =>
  INSERT_ATTEMPT[room](database, { ...row, begin_ms: callerMinuteOf(row).beginMs });

export type AttemptRoom = 'undecided' | 'allowed';

/** Whether an event is in the trail, as a condition of the batch that it stands in. */
export const isRecorded = (eventId: string): SQL =>
  sql`exists (select 1 from audit_events as a where a.id = ${eventId})`;

/** What a settlement must not pass: that an actor was offboarded by now, or what some other condition says. */
export type Unless = { readonly blocked: Actor } | { readonly holds: SQL };

/**
 * Settles an attempt that is open.
 *
 * @param unless settles nothing where this holds.
 */
export const settleEvent = (database: Database, eventId: string, columns: SettledColumns, unless?: Unless) => {
  if (unless === undefined) return SETTLE(database, { eventId, ...columns });
  if ('blocked' in unless) {
    return SETTLE_UNLESS_BLOCKED(database, { eventId, ...columns, ...blockedValues(unless.blocked) });
  }
  return settleEventWhere(database, eventId, columns, not(unless.holds));
};

/** The same where some condition holds. */
export const settleEventWhere = (
  { build }: Pick<Database, 'build'>,
  eventId: string,
  columns: Readonly<Record<keyof SettledColumns, unknown>>,
  condition: SQL,
) => {
  const { status, settled_at, token_id, upstream_status, error_code, outcome } = columns;
  return build
    .update(auditEvents)
    .set({
      status: sql`${status}`,
      settled_at: sql`${settled_at}`,
      token_id: sql`${token_id}`,
      upstream_status: sql`${upstream_status}`,
      error_code: sql`${error_code}`,
      outcome: sql`${outcome}`,
    })
    .where(and(eq(auditEvents.id, eventId), eq(auditEvents.status, 'attempted'), condition));
};

/** Whether an attempt is still open, or over, as a condition of the batch that it stands in. */
export const isOpen = (eventId: string): SQL =>
  sql`exists (select 1 from ${auditEvents} as a where a.id = ${eventId} and a.status = 'attempted')`;
export const isOver = (eventId: string): SQL =>
  sql`exists (select 1 from ${auditEvents} as a where a.id = ${eventId} and a.status <> 'attempted')`;

export const selectEvent = (database: Database, eventId: string) => SELECT(database, { eventId });

const isThisEvent = eq(auditEvents.id, sql.placeholder('eventId'));
const isThisAttempt = and(isThisEvent, eq(auditEvents.status, 'attempted'));

const THIS_MINUTE: CallerMinute = {
  issuer: sql.placeholder('actor_issuer'),
  subject: sql.placeholder('actor_subject'),
  beginMs: sql.placeholder('begin_ms'),
};

const insertWhere = (condition: SQL) =>
  compiled(({ build }) =>
    build
      .insert(auditEvents)
      .select(sql`select ${selectedRow(auditEvents, rowPlaceholders())} where ${condition}`)
      .returning({ id: auditEvents.id }),
  );

const INSERT_ATTEMPT = {
  undecided: insertWhere(isDenialInFull(THIS_MINUTE)),
  allowed: insertWhere(isWithinIdleRows(THIS_MINUTE)),
} as const satisfies Record<AttemptRoom, unknown>;

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
  return Object.fromEntries(names.map((name) => [name, sql.placeholder(name)]));
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

/**
 * Inserts a row where a condition holds and the row is not there yet, so that its batch may be repeated. The trail's guards
 * abort on a conflict, so ON CONFLICT cannot say this.
 */
export function insertEventWhere(database: Database, row: NewAuditRow, condition: SQL) {
  const isNew = notExists(
    database.build
      .select({ one: sql`1` })
      .from(auditEvents)
      .where(eq(auditEvents.id, row.id)),
  );
  return insertEventsFrom(database, row, {}, sql`where ${isNew} and ${condition}`);
}

/**
 * Inserts a row for each row of another table.
 *
 * @param row what all of them have in common.
 * @param each the columns that come from the other table.
 * @param source the rest of a SELECT, from its FROM or WHERE on.
 */
export function insertEventsFrom(
  { build }: Database,
  row: NewAuditRow,
  each: Readonly<Partial<Record<keyof NewAuditRow, SQL | SQL.Aliased>>>,
  source: SQL,
) {
  return build.insert(auditEvents).select(sql`select ${selectedRow(auditEvents, { ...row, ...each })} ${source}`);
}
