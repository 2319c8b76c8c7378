import { and, eq, isNotNull, notExists, sql, type SQL } from 'drizzle-orm';
import { READ_KEYS_MAX_COUNT } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { sha256Hex } from '../kit/digest.ts';
import { minuteBeginMs } from '../kit/time.ts';
import type { CountedRow } from './caller-rows.ts';
import type { NewAuditRow } from './event.ts';
import { insertEventWhere } from './statements.ts';

/** 128 bits: two reads that differ never share a key, and the index stays small. */
const READ_KEY_CHARS = 32;

/**
 * What makes two reads one row: the same caller, action, target, parameters, outcome and address, in the same minute of
 * the clock.
 */
export async function readKey(row: NewAuditRow): Promise<string> {
  return (await sha256Hex(readIdentity(row))).slice(0, READ_KEY_CHARS);
}

/** The same as text, whole. */
export function readIdentity(row: NewAuditRow): string {
  const { actor_type, actor_issuer, actor_subject, actor_label, action, workspace_uuid, token_id, detail, ip } = row;
  const outcome = [row.status, row.error_code, row.upstream_status, row.outcome];
  const minute = minuteBeginMs(row.occurred_at);
  const parts = [
    actor_type,
    actor_issuer,
    actor_subject,
    // A leaver may be known by it.
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

/**
 * Gives the keys of reads, and remembers those of the last minute: a dashboard makes the same read again and again.
 */
export function createReadKeys(): (row: NewAuditRow) => Promise<string> {
  let known = new Map<string, string>();
  let minute = 0;
  return async (row) => {
    // A row that counts whatever is beyond the limits has its key.
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

/**
 * The two queries that record a counted read where `condition` holds, in one batch and in this order. Each gives the row that it
 * added to or inserted.
 *
 * @param room under which a row that is not there yet is inserted.
 */
export function countRead(database: Database, row: CountedRow, condition: SQL, room: SQL = sql`true`) {
  const { build } = database;
  // Says that the key is not null, without which its partial index is not used.
  const sameRead = and(eq(auditEvents.read_key, row.read_key), isNotNull(auditEvents.read_key));
  const unseen = notExists(
    build
      .select({ one: sql`1` })
      .from(auditEvents)
      .where(sameRead),
  );
  return [
    build
      .update(auditEvents)
      .set({
        count: sql`${auditEvents.count} + 1`,
        last_at: sql`max(coalesce(${auditEvents.last_at}, ${auditEvents.occurred_at}), ${row.occurred_at})`,
      })
      .where(and(sameRead, condition))
      .returning({ id: auditEvents.id }),
    insertEventWhere(database, row, sql`${unseen} and ${condition} and ${room}`).returning({ id: auditEvents.id }),
  ] as const;
}
