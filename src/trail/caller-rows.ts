import { type Placeholder, sql, type SQL } from 'drizzle-orm';
import {
  AUDIT_SPAN_SIZES,
  CALLER_DENIALS_MAX_ROWS,
  CALLER_IDLE_MAX_ROWS,
  CALLER_READS_MAX_ROWS,
  CALLER_ROWS_AMONG_EVENTS,
  WEBHOOK_IGNORED_MAX_ROWS,
} from '../config/limits.ts';
import { sha256Hex } from '../kit/digest.ts';
import { MINUTE_MS, minuteBeginMs } from '../kit/time.ts';
import type { NewAuditRow } from './event.ts';
import { DENIAL_CODES } from '../vocabulary.ts';

/** What the keys of these rows begin with. No other key does. */
export const FURTHER_PREFIX = '+';
/** With the prefix as long as the key of a read: 124 bits. */
const DIGEST_CHARS = 31;

/** A row that counts, and what it is found by. */
export type CountedRow = NewAuditRow & { readonly read_key: string };

/**
 * The row in which whatever a caller is refused or reads beyond what a minute records in full is counted: one for each action and
 * outcome, whatever was asked for, from wherever, and under whatever label. So their number does not depend on the caller.
 *
 * @param row as it would have been recorded.
 */
export async function furtherRow(row: NewAuditRow): Promise<CountedRow> {
  const { actor_type, actor_issuer, actor_subject, action, status, error_code } = row;
  const parts = [actor_type, actor_issuer, actor_subject, action, status, error_code, minuteBeginMs(row.occurred_at)];
  const digest = await sha256Hex(JSON.stringify(parts));
  return {
    ...row,
    workspace_uuid: null,
    token_id: null,
    token_name: null,
    ip: null,
    user_agent: null,
    upstream_status: null,
    detail: FURTHER_DETAIL,
    outcome: '{}',
    marker: null,
    read_key: `${FURTHER_PREFIX}${digest.slice(0, DIGEST_CHARS)}`,
  };
}

/** Says what the row is to whoever reads the trail. */
const FURTHER_DETAIL = JSON.stringify({ further: true });

export const isFurther = ({ read_key }: Pick<NewAuditRow, 'read_key'>): boolean =>
  read_key?.startsWith(FURTHER_PREFIX) === true;

// How many rows a caller, or a source of webhooks, has in this minute of the clock, as conditions of the batch that would add one. The trail itself is what is
// counted: so the numbers are exact however many isolates write, no other table has to agree with it, and nothing is written to count.

/** A caller and the minute, as bound values or as expressions of the statement that the condition stands in. */
export interface CallerMinute {
  readonly issuer: Value;
  readonly subject: Value;
  /** Milliseconds since the epoch. */
  readonly beginMs: Value;
}
type Value = string | number | null | SQL | Placeholder;

/** The caller of a row, and the minute that it is from. */
export const callerMinuteOf = (
  row: Pick<NewAuditRow, 'actor_issuer' | 'actor_subject' | 'occurred_at'>,
): CallerMinute => ({
  issuer: row.actor_issuer,
  subject: row.actor_subject,
  beginMs: minuteBeginMs(row.occurred_at),
});

export const isDenialCode = (code: string | null): boolean => DENIAL_CODES.some((denial) => denial === code);

const [, SPAN_SIZE] = AUDIT_SPAN_SIZES;
const AMONG = sql.raw(`(select max(seq) from audit_events) - ${CALLER_ROWS_AMONG_EVENTS}`);
const CODES = sql.raw(DENIAL_CODES.map((code) => `'${code}'`).join(', '));

/**
 * The rows of a caller and minute, as `m`. The spans of `drizzle/0005_time_spans.sql` say behind which event the minute began, so
 * that of the caller's rows in the index only the last are read, and all of them whatever its other rows are.
 */
const minuteRows = ({
  issuer,
  subject,
  beginMs,
}: CallerMinute): SQL => sql`audit_events as m indexed by audit_events_actor_subject
  where m.actor_subject = ${subject} and m.actor_issuer is ${issuer}
    and m.seq > coalesce((select s.last_seq from audit_time_spans as s where s.size = ${sql.raw(String(SPAN_SIZE))}
      and s.last_seq > ${AMONG} and s.latest_at < ${beginMs} order by s.last_seq desc limit 1), ${AMONG}, 0)
    and m.occurred_at >= ${beginMs} and m.occurred_at < ${beginMs} + ${sql.raw(String(MINUTE_MS))}`;

const IS_OPEN = `m.status = 'attempted'`;
const IS_OWN = 'm.read_key is null';
const IS_DENIED = sql`${sql.raw(`${IS_OWN} and m.status = 'failure'`)} and m.error_code in (${CODES})`;
/** PipeOps was asked for nothing: a row that is over and has no answer of PipeOps, or one that our own limits kept from it. */
const IS_IDLE = sql.raw(
  `${IS_OWN} and m.status <> 'attempted' and (m.upstream_status is null or m.error_code = 'upstream_rate_limited')`,
);

const countOf = (condition: SQL): SQL => sql`coalesce(sum(${condition}), 0)`;
const OPEN_OR_DENIED = countOf(sql`${sql.raw(IS_OPEN)} or (${IS_DENIED})`);
const OPEN_OR_IDLE = countOf(sql`${sql.raw(IS_OPEN)} or (${IS_IDLE})`);
const IGNORED = countOf(sql.raw(`${IS_OWN} and m.error_code in ('event_not_allowed', 'event_unknown')`));
const READS = countOf(sql.raw(`${IS_OWN} = 0 and m.read_key not like '${FURTHER_PREFIX}%'`));

/**
 * Whether a denial, or an attempt that may become one, has a row of its own: while fewer than CALLER_DENIALS_MAX_ROWS requests of
 * the caller in this minute were denied or are under way.
 *
 * @param before how many rows the same statement adds before this one.
 */
export const isDenialInFull = (minute: CallerMinute, before: SQL = sql.raw('0')): SQL =>
  sql`(select ${OPEN_OR_DENIED} + ${before} < ${sql.raw(String(CALLER_DENIALS_MAX_ROWS))}
    and ${OPEN_OR_IDLE} + ${before} < ${IDLE_MAX} from ${minuteRows(minute)})`;

/** Whether anything else that may cost PipeOps nothing has one: an attempt that policy allows, a repeat, an export. */
export const isWithinIdleRows = (minute: CallerMinute): SQL =>
  sql`(select ${OPEN_OR_IDLE} < ${IDLE_MAX} from ${minuteRows(minute)})`;

/** Of a source of webhooks: whether a delivery that leads to nothing is kept, as those that are refused are. */
export const isIgnoredInFull = (minute: CallerMinute): SQL =>
  sql`(select ${IGNORED} < ${sql.raw(String(WEBHOOK_IGNORED_MAX_ROWS))} from ${minuteRows(minute)})`;

/** Whether a read that is unlike those before it has one. */
export const isReadInFull = (minute: CallerMinute, before: SQL = sql.raw('0')): SQL =>
  sql`(select ${READS} + ${before} < ${sql.raw(String(CALLER_READS_MAX_ROWS))} from ${minuteRows(minute)})`;

const IDLE_MAX = sql.raw(String(CALLER_IDLE_MAX_ROWS));
