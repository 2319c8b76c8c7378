import { type Placeholder, sql, type SQL } from 'drizzle-orm';
import {
  AUDIT_SPAN_SIZES,
  CALLER_DENIALS_MAX_ROWS,
  CALLER_IDLE_MAX_ROWS,
  CALLER_READS_MAX_ROWS,
  CALLER_ROWS_AMONG_EVENTS,
  WEBHOOK_IGNORED_MAX_ROWS,
} from '../config/limits.ts';
import type { RecordFailure } from '../failures.ts';
import { MINUTE_MS, minuteBeginMs, minuteEndMs } from '../kit/time.ts';
import { DENIAL_CODES } from '../vocabulary.ts';
import type { NewAuditRow } from './event.ts';

// How many rows a caller, or a sender of webhooks, has in one minute of the clock, as conditions of the batch that would add
// another. The trail itself is counted: so the numbers are exact however many isolates write, no other table has to agree with it,
// and counting writes nothing.

/** A caller and a minute of the clock, as bound values or as expressions of the statement that the condition stands in. */
export interface CallerMinute {
  readonly issuer: Value;
  readonly subject: Value;
  /** When the minute begins, in milliseconds since the epoch. */
  readonly beginMs: Value;
}
type Value = string | number | null | SQL | Placeholder;

/** The caller of a row, and the minute that the row is from. */
export const callerMinuteOf = (
  row: Pick<NewAuditRow, 'actor_issuer' | 'actor_subject' | 'occurred_at'>,
): CallerMinute => ({
  issuer: row.actor_issuer,
  subject: row.actor_subject,
  beginMs: minuteBeginMs(row.occurred_at),
});

/** When the minute begins that a time is in, where the time is an expression of the statement. */
export const minuteBeginIn = (expression: string): SQL => sql.raw(`(${expression} / ${MINUTE_MS} * ${MINUTE_MS})`);

/**
 * Whether a denial, or an attempt that may become one, has a row of its own: fewer than CALLER_DENIALS_MAX_ROWS requests of the
 * caller in this minute were denied or are under way.
 *
 * @param before how many rows the statement adds before this one.
 */
export const isDenialInFull = (minute: CallerMinute, before: SQL = sql.raw('0')): SQL =>
  sql`(select ${OPEN_OR_DENIED} + ${before} < ${sql.raw(String(CALLER_DENIALS_MAX_ROWS))}
    and ${OPEN_OR_IDLE} + ${before} < ${IDLE_MAX} from ${minuteRows(minute)})`;

/** Whether there is room for a row of anything else that may cost PipeOps nothing: an attempt that policy allows, a repeat, an export. */
export const isWithinIdleRows = (minute: CallerMinute): SQL =>
  sql`(select ${OPEN_OR_IDLE} < ${IDLE_MAX} from ${minuteRows(minute)})`;

/** Whether a read that is unlike those before it has a row of its own. */
export const isReadInFull = (minute: CallerMinute, before: SQL = sql.raw('0')): SQL =>
  sql`(select ${READS} + ${before} < ${sql.raw(String(CALLER_READS_MAX_ROWS))} from ${minuteRows(minute)})`;

/** Whether a delivery that leads to nothing has rows of its own. `minute` names the sender of webhooks. */
export const isIgnoredInFull = (minute: CallerMinute): SQL =>
  sql`(select ${IGNORED} < ${sql.raw(String(WEBHOOK_IGNORED_MAX_ROWS))} from ${minuteRows(minute)})`;

/** Whether a row is refused for what it asked: such rows are counted beyond the first ones of a minute, and are never refused. */
export const isDenial = ({ action, status, error_code }: NewAuditRow): boolean =>
  action !== 'auth.reject' && status === 'failure' && DENIAL_CODES.some((code) => code === error_code);

/** What a caller hears that has used up its rows of this minute. */
export function outOfRows(nowMs: number): Extract<RecordFailure, { kind: 'rate_limited' }> {
  const untilMs = minuteEndMs(nowMs);
  const window = { policy: 'caller', limit: CALLER_IDLE_MAX_ROWS, windowSeconds: MINUTE_MS / 1000, untilMs } as const;
  return { kind: 'rate_limited', retryAfterSeconds: Math.ceil((untilMs - nowMs) / 1000), window };
}

/** How the keys of further rows begin, which count what a minute no longer records in full. No other key begins so. */
export const FURTHER_PREFIX = '+';

const [, SPAN_SIZE] = AUDIT_SPAN_SIZES;
const AMONG = sql.raw(`(select max(seq) from audit_events) - ${CALLER_ROWS_AMONG_EVENTS}`);

/**
 * The rows of a caller and minute, as `m`. The spans of `drizzle/0005_time_spans.sql` tell behind which event the minute began, so
 * only the last of the caller's rows in the index are read, however many rows it has.
 */
const minuteRows = ({
  issuer,
  subject,
  beginMs,
}: CallerMinute): SQL => sql`audit_events as m indexed by audit_events_actor_subject
  where m.actor_subject = ${subject} and m.actor_issuer is ${issuer}
    and m.seq > coalesce((select s.last_seq from audit_time_spans as s where s.size = ${sql.raw(String(SPAN_SIZE))}
      and s.last_seq > ${AMONG} and s.latest_at < ${beginMs} order by s.last_seq desc limit 1), ${AMONG}, 0)
    and m.occurred_at >= ${beginMs} and m.occurred_at < ${beginMs} + ${sql.raw(String(MINUTE_MS))} and ${NOT_ORDERED}`;

/**
 * A revocation by a caller has a row in its name for each token. These are no requests: whoever has revoked a thousand tokens in a
 * minute may still do what is next.
 */
const NOT_ORDERED = sql.raw(`not (m.action in ('service_account_token.revoke', 'service_account_token.update')
    and m.detail ->> 'delivery_id' is not null)`);

const CODES = sql.raw(DENIAL_CODES.map((code) => `'${code}'`).join(', '));
const IS_OPEN = `m.status = 'attempted'`;
const IS_OWN = 'm.read_key is null';
const IS_DENIED = sql`${sql.raw(`${IS_OWN} and m.status = 'failure'`)} and m.error_code in (${CODES})`;
/** PipeOps was asked for nothing: the row is over and has no answer of PipeOps, or our own limits kept the request from it. */
const IS_IDLE = sql.raw(
  `${IS_OWN} and m.status <> 'attempted' and (m.upstream_status is null or m.error_code = 'upstream_rate_limited')`,
);

const countOf = (condition: SQL): SQL => sql`coalesce(sum(${condition}), 0)`;
const OPEN_OR_DENIED = countOf(sql`${sql.raw(IS_OPEN)} or (${IS_DENIED})`);
const OPEN_OR_IDLE = countOf(sql`${sql.raw(IS_OPEN)} or (${IS_IDLE})`);
const IGNORED = countOf(sql.raw(`${IS_OWN} and m.error_code in ('event_not_allowed', 'event_unknown')`));
const READS = countOf(sql.raw(`${IS_OWN} = 0 and m.read_key not like '${FURTHER_PREFIX}%'`));
const IDLE_MAX = sql.raw(String(CALLER_IDLE_MAX_ROWS));
