import { and, eq, getTableColumns, not, notExists, sql, type SQL } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { compiled, selectedRow } from '../db/sql.ts';
import type { TokenRef } from '../pipeops/types.ts';
import { blockedValues, isBlockedFilled } from '../subjects/blocks.ts';
import { type CallerMinute, callerMinuteOf, isDenialInFull, isWithinIdleRows } from './caller-rows.ts';
import type { Actor, NewAuditRow, SettledColumns } from './event.ts';
import { type LeftOut, recordedMac, settledMac } from './row-macs.ts';

// The statements that write the trail, and the conditions of a batch that ask about its rows. What every mutation sends is built
// once and then only filled in.

/**
 * Inserts the row of an attempt, and gives its id, where its caller has room for it in this minute.
 *
 * @param nameOf the token of the actor's own in the row's workspace whose name the row gets.
 * @param room `undecided`: the attempt may still be denied, so it needs room for a denial in full. `allowed`: policy has said yes.
 */
export function insertAttempt(database: Database, row: NewAuditRow, room: AttemptRoom, nameOf?: TokenRef) {
  const mac = recordedMac(database.rowMac, row, nameOf === undefined ? 'nothing' : 'name');
  const values = { ...row, recorded_mac: mac, begin_ms: callerMinuteOf(row).beginMs };
  if (nameOf === undefined) return INSERT_ATTEMPT[room](database, values);
  return INSERT_NAMED_ATTEMPT[room](database, { ...values, name_of: nameOf.tokenId });
}

export type AttemptRoom = 'undecided' | 'allowed';

/**
 * Inserts a row where a condition holds and the row is not there yet, so that its batch may be repeated. ON CONFLICT cannot say
 * this: the trail's guards abort on a conflict.
 */
export function insertEventWhere(database: Database, row: NewAuditRow, condition: SQL) {
  const isNew = notExists(
    database.build
      .select({ one: sql`1` })
      .from(auditEvents)
      .where(eq(auditEvents.id, row.id)),
  );
  return insertEvent(database, row, sql`${isNew} and ${condition}`);
}

/** The columns of a row that differ from one row of a list to the next. */
type OwnColumns = Pick<NewAuditRow, 'id'> &
  Partial<
    Pick<
      NewAuditRow,
      | 'action'
      | 'actor_type'
      | 'actor_issuer'
      | 'actor_subject'
      | 'actor_label'
      | 'workspace_uuid'
      | 'token_id'
      | 'token_name'
      | 'detail'
    >
  >;

/** The columns of one row of a list, with the MAC of the whole row. */
export type ListedRow = OwnColumns & Pick<NewAuditRow, 'recorded_mac'>;

/**
 * The own columns of a row of a list, for an item of the JSON that `insertListedEvents` reads.
 *
 * @param row what all rows of the list have in common.
 */
export const listedRow = (
  { rowMac }: Pick<Database, 'rowMac'>,
  row: NewAuditRow,
  own: OwnColumns,
  leftOut?: LeftOut,
): ListedRow => ({ ...own, recorded_mac: recordedMac(rowMac, { ...row, ...own }, leftOut) });

/**
 * Inserts a row for each item of a JSON list, `e`, that `source` selects. The Worker has made the id and the MAC of each, so `source` may
 * leave items out and repeat none.
 *
 * @param row what all of them have in common.
 * @param items each with its own columns under `name`, all with the same ones.
 * @param source the rest of the SELECT, from its FROM on.
 */
export function insertListedEvents<const N extends string>(
  { build }: Pick<Database, 'build'>,
  row: NewAuditRow,
  items: readonly Readonly<Record<N, ListedRow>>[],
  name: N,
  source: SQL,
) {
  const names = Object.keys(items[0]?.[name] ?? {});
  const own = Object.fromEntries(names.map((column) => [column, sql.raw(`e.value ->> '$.${name}.${column}'`)]));
  return build.insert(auditEvents).select(sql`select ${selectedRow(auditEvents, { ...row, ...own })} ${source}`);
}

/**
 * Inserts the rows of orders that D1 makes, of which it alone knows the tokens.
 *
 * @param row what all of them have in common.
 * @param each what differs. The Worker has made the id and the MAC, which leaves the token out.
 * @param source the rest of the SELECT, from its FROM on.
 */
export const insertOrderEvents = (
  { build }: Pick<Database, 'build'>,
  row: NewAuditRow,
  each: Readonly<Record<'id' | 'workspace_uuid' | 'token_id' | 'recorded_mac', SQL>>,
  source: SQL,
) => build.insert(auditEvents).select(sql`select ${selectedRow(auditEvents, { ...row, ...each })} ${source}`);

/**
 * Inserts a row where a condition holds.
 *
 * @param filled what D1 alone knows: the `seq` behind a gap, which it gives to every other row, or the outcome.
 */
export function insertEvent(
  { build, rowMac }: Database,
  row: NewAuditRow,
  condition: SQL,
  filled: { readonly seq?: SQL; readonly outcome?: SQL } = {},
) {
  const recorded_mac = recordedMac(rowMac, row, filled.outcome === undefined ? 'nothing' : 'outcome');
  return build
    .insert(auditEvents)
    .select(sql`select ${selectedRow(auditEvents, { ...row, ...filled, recorded_mac })} where ${condition}`);
}

/** What must not hold when an attempt is settled: that an actor is offboarded by now, or some other condition. */
export type Unless = { readonly blocked: Actor } | { readonly holds: SQL };

/**
 * Settles an attempt that is open.
 *
 * @param unless settles nothing where this holds.
 */
export const settleEvent = (database: Database, eventId: string, columns: SettledColumns, unless?: Unless) => {
  const values = { eventId, ...columns, settled_mac: settledMac(database.rowMac, { id: eventId, ...columns }) };
  if (unless === undefined) return SETTLE(database, values);
  if ('blocked' in unless) {
    return SETTLE_UNLESS_BLOCKED(database, { ...values, ...blockedValues(unless.blocked) });
  }
  return settleEventWhere(database, eventId, columns, not(unless.holds));
};

/** Settles an attempt that is open, where a condition holds. The outcome may be an expression of the statement, and has no MAC then. */
export const settleEventWhere = (
  { build, rowMac }: Pick<Database, 'build' | 'rowMac'>,
  eventId: string,
  columns: Omit<SettledColumns, 'outcome'> & { readonly outcome: string | SQL },
  condition: SQL,
) => {
  const outcome = typeof columns.outcome === 'string' ? columns.outcome : null;
  const settled_mac = settledMac(rowMac, { id: eventId, ...columns, outcome });
  return build
    .update(auditEvents)
    .set(settledBy({ ...columns, settled_mac }))
    .where(and(eq(auditEvents.id, eventId), eq(auditEvents.status, 'attempted'), condition));
};

export const selectEvent = (database: Database, eventId: string) => SELECT(database, { eventId });

/** Whether an event is in the trail, as a condition of a batch. */
export const isRecorded = (eventId: string): SQL =>
  sql`exists (select 1 from audit_events as a where a.id = ${eventId})`;

/** Whether an attempt is still open, as a condition of a batch. */
export const isOpen = (eventId: string): SQL =>
  sql`exists (select 1 from ${auditEvents} as a where a.id = ${eventId} and a.status = 'attempted')`;

/** Whether an attempt is settled, as a condition of a batch. */
export const isOver = (eventId: string): SQL =>
  sql`exists (select 1 from ${auditEvents} as a where a.id = ${eventId} and a.status <> 'attempted')`;

const isThisEvent = eq(auditEvents.id, sql.placeholder('eventId'));
const isThisAttempt = and(isThisEvent, eq(auditEvents.status, 'attempted'));

const THIS_MINUTE: CallerMinute = {
  issuer: sql.placeholder('actor_issuer'),
  subject: sql.placeholder('actor_subject'),
  beginMs: sql.placeholder('begin_ms'),
};

const insertWhere = (condition: SQL, own: Readonly<Record<string, SQL>> = {}) =>
  compiled(({ build }) =>
    build
      .insert(auditEvents)
      .select(sql`select ${selectedRow(auditEvents, { ...rowPlaceholders(), ...own })} where ${condition}`)
      .returning({ id: auditEvents.id }),
  );

const INSERT_ATTEMPT = {
  undecided: insertWhere(isDenialInFull(THIS_MINUTE)),
  allowed: insertWhere(isWithinIdleRows(THIS_MINUTE)),
} as const satisfies Record<AttemptRoom, unknown>;

/** Somebody else's token is not named, since an actor may read its own events. */
const NAME_OF_OWN = {
  token_name: sql`(select t.name from tokens as t where t.workspace_uuid = ${sql.placeholder('workspace_uuid')}
    and t.token_id = ${sql.placeholder('name_of')} and t.owner_issuer = ${sql.placeholder('actor_issuer')}
    and t.owner_subject = ${sql.placeholder('actor_subject')})`,
};
const INSERT_NAMED_ATTEMPT = {
  undecided: insertWhere(isDenialInFull(THIS_MINUTE), NAME_OF_OWN),
  allowed: insertWhere(isWithinIdleRows(THIS_MINUTE), NAME_OF_OWN),
} as const satisfies Record<AttemptRoom, unknown>;

const SETTLE = compiled(({ build }) => build.update(auditEvents).set(settledPlaceholders()).where(isThisAttempt));

const SETTLE_UNLESS_BLOCKED = compiled((database) =>
  database.build
    .update(auditEvents)
    .set(settledPlaceholders())
    .where(and(isThisAttempt, not(isBlockedFilled(database)))),
);

const SELECT = compiled(({ build }) => build.select().from(auditEvents).where(isThisEvent));

/** D1 gives `seq`, so it is no placeholder. */
function rowPlaceholders() {
  const names = Object.keys(getTableColumns(auditEvents)).filter((name) => name !== 'seq');
  return Object.fromEntries(names.map((name) => [name, sql.placeholder(name)]));
}

const settledPlaceholders = () =>
  settledBy({
    status: sql.placeholder('status'),
    settled_at: sql.placeholder('settled_at'),
    token_id: sql.placeholder('token_id'),
    upstream_status: sql.placeholder('upstream_status'),
    error_code: sql.placeholder('error_code'),
    outcome: sql.placeholder('outcome'),
    settled_mac: sql.placeholder('settled_mac'),
  });

const settledBy = (columns: Readonly<Record<keyof SettledColumns | 'settled_mac', unknown>>) =>
  ({
    status: sql`${columns.status}`,
    settled_at: sql`${columns.settled_at}`,
    token_id: sql`${columns.token_id}`,
    upstream_status: sql`${columns.upstream_status}`,
    error_code: sql`${columns.error_code}`,
    outcome: sql`${columns.outcome}`,
    settled_mac: sql`${columns.settled_mac}`,
  }) satisfies Record<keyof SettledColumns | 'settled_mac', SQL>;
