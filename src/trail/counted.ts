import { and, notExists, sql, type SQL } from 'drizzle-orm';
import { READ_KEYS_MAX_COUNT } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { sha256Hex } from '../kit/digest.ts';
import { minuteBeginMs } from '../kit/time.ts';
import { FURTHER_PREFIX } from './caller-rows.ts';
import { type NewAuditRow, policyVersionOf, rowDetail } from './event.ts';
import { insertEventWhere } from './statements.ts';

// Counted rows: events of one key are one row, whose count and last time grow. Reads that are alike within a minute share a key,
// and so do a caller's denials and reads beyond those that a minute records in full.

/** A row that counts, and the key that it is found by. */
export type CountedRow = NewAuditRow & { readonly read_key: string };

/**
 * The two queries that count an event where `condition` holds, in one batch and in this order. Each gives the row that it
 * added to or inserted.
 *
 * @param room the further condition under which a row that is not there yet is inserted.
 */
export function countRead(database: Database, row: CountedRow, condition: SQL, room: SQL = sql`true`) {
  const { build } = database;
  const isCounted = sql`(${hasReadKey(row.read_key)})`;
  const isNew = notExists(
    build
      .select({ one: sql`1` })
      .from(auditEvents)
      .where(isCounted),
  );
  return [
    build
      .update(auditEvents)
      .set(countedAgain(sql.raw('1'), sql`${row.occurred_at}`))
      .where(and(isCounted, condition))
      .returning({ id: auditEvents.id }),
    insertEventWhere(database, row, sql`${isNew} and ${condition} and ${room}`).returning({ id: auditEvents.id }),
  ] as const;
}

/**
 * Whether a row has this key and may still grow: a late read begins a row of its own once the log has closed the first one. The condition
 * says outright that the key is not null: left to conclude it from the comparison, SQLite has read the whole trail.
 */
export const hasReadKey = (key: string | SQL): SQL =>
  sql`${auditEvents.read_key} = ${key} and ${auditEvents.read_key} is not null and ${auditEvents.closed_at} is null`;

/**
 * What an update sets to count further events in a row.
 *
 * @param times how many more there are.
 * @param atMs when the last of them was, in milliseconds since the epoch. A clock that ran behind moves nothing back.
 */
export const countedAgain = (times: SQL, atMs: SQL) => ({
  count: sql`${auditEvents.count} + ${times}`,
  last_at: sql`max(coalesce(${auditEvents.last_at}, ${auditEvents.occurred_at}), ${atMs})`,
});

/** 128 bits: reads that differ never share a key, and the index stays small. */
const READ_KEY_CHARS = 32;

/** The key of a read: a digest of everything that makes two reads one row. */
export async function readKey(row: NewAuditRow): Promise<string> {
  return (await sha256Hex(readIdentity(row))).slice(0, READ_KEY_CHARS);
}

/**
 * What makes two reads one row, as text: they have the same caller, action, target, parameters, outcome and address, were decided
 * under one version of the policy, and are in one minute of the clock.
 */
export function readIdentity(row: NewAuditRow): string {
  const { actor_type, actor_issuer, actor_subject, actor_label, action, workspace_uuid, token_id, detail, ip } = row;
  const outcome = [row.status, row.error_code, row.upstream_status, row.outcome];
  const minute = minuteBeginMs(row.occurred_at);
  const parts = [
    actor_type,
    actor_issuer,
    actor_subject,
    // An offboarding may name a person by label alone, so the trail keeps the labels of one subject apart.
    actor_label,
    action,
    workspace_uuid,
    token_id,
    detail,
    ip,
    outcome,
    minute,
  ];
  return JSON.stringify(parts);
}

/** Gives the keys of reads, and remembers those of the current minute: a dashboard makes one read again and again. */
export function createReadKeys(): (row: NewAuditRow) => Promise<string> {
  let known = new Map<string, string>();
  let minute = 0;
  return async (row) => {
    // A further row came with its key.
    if (row.read_key !== null) return row.read_key;
    const rowMinute = minuteBeginMs(row.occurred_at);
    if (rowMinute !== minute || known.size >= READ_KEYS_MAX_COUNT) known = new Map();
    minute = rowMinute;
    const identity = readIdentity(row);
    const key = known.get(identity) ?? (await readKey(row));
    known.set(identity, key);
    return key;
  };
}

/** 124 bits: with its prefix, a key is as long as that of a read. */
const FURTHER_DIGEST_CHARS = READ_KEY_CHARS - FURTHER_PREFIX.length;

/**
 * The further row: it counts a caller's denials or reads beyond those that a minute records in full. There is one for each action,
 * outcome and version of the policy, whatever was asked for, from whatever address and under whatever label, so a caller cannot make many of them.
 *
 * @param row the row that the event would have had.
 */
export async function furtherRow(row: NewAuditRow): Promise<CountedRow> {
  const { actor_type, actor_issuer, actor_subject, action, status, error_code } = row;
  const minute = minuteBeginMs(row.occurred_at);
  const version = policyVersionOf(row);
  const parts = [actor_type, actor_issuer, actor_subject, action, status, error_code, minute, version];
  const digest = await sha256Hex(JSON.stringify(parts));
  return {
    ...row,
    workspace_uuid: null,
    token_id: null,
    token_name: null,
    ip: null,
    user_agent: null,
    upstream_status: null,
    // The entry tells readers of the trail what the row is.
    detail: rowDetail({ further: true }, version),
    outcome: '{}',
    marker: null,
    read_key: `${FURTHER_PREFIX}${digest.slice(0, FURTHER_DIGEST_CHARS)}`,
  };
}

export const isFurther = ({ read_key }: Pick<NewAuditRow, 'read_key'>): boolean =>
  read_key?.startsWith(FURTHER_PREFIX) === true;
