import { sql, type SQL } from 'drizzle-orm';
import { QUOTA_BUCKETS_COUNT } from '../config/limits.ts';
import { compiled } from '../db/sql.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { upstreamCalls } from '../db/schema.ts';
import type { TokenRef } from './types.ts';
import { WINDOW_NAMES, WINDOWS, type CallLimits, type WindowName } from './quota-windows.ts';

// The calls to PipeOps that all isolates have reserved, in D1: those of a minute in buckets of five seconds, those of an hour in
// buckets of five minutes. A call is reserved while its bucket and the twelve before it hold fewer than the limit. Whatever 60 s a
// strict PipeOps counts in, they lie within thirteen of our buckets; and since D1 runs one batch after the other, no two
// isolates reserve the same call.

/** The buckets that a moment is in. */
export type Buckets = Readonly<Record<WindowName, number>>;

export const bucketsAt = (nowMs: number): Buckets => ({
  minute: Math.floor(nowMs / WINDOWS.minute.bucketMs),
  hour: Math.floor(nowMs / WINDOWS.hour.bucketMs),
});

/** A bucket that counts at `nowMs`. */
export type CallBucket = RowsOf<ReturnType<typeof selectCalls>>[number];

/**
 * The buckets that count at `nowMs`. So does what a clock has noted that was ahead, if by less than a window: what is further
 * ahead would hold us back for as long as that clock was wrong.
 */
export const selectCalls = (database: Database, nowMs: number) => SELECT_CALLS(database, bucketsAt(nowMs));

const counting = (name: WindowName): SQL => {
  const at = sql.placeholder(name);
  return sql`(span = ${sql.raw(`'${name}'`)} and bucket between ${at} - ${LENGTH} and ${at} + ${LENGTH})`;
};
const LENGTH = sql.raw(String(QUOTA_BUCKETS_COUNT));

const SELECT_CALLS = compiled(({ build }) =>
  build
    .select({ span: upstreamCalls.span, bucket: upstreamCalls.bucket, calls: upstreamCalls.calls })
    .from(upstreamCalls)
    .where(sql`${counting('minute')} or ${counting('hour')}`),
);

/** How many calls are reserved in a window, as of when `buckets` were read. */
export const usedCalls = (buckets: readonly CallBucket[], name: WindowName): number =>
  buckets.reduce((sum, { span, calls }) => (span === name ? sum + calls : sum), 0);

/**
 * How many of `calls` are granted where no window may hold more than `most`: what `reserveCalls`, in the batch that read the
 * buckets just before, has reserved.
 */
export const grantedCalls = (buckets: readonly CallBucket[], most: CallLimits, calls: number): number =>
  Math.max(0, Math.min(calls, ...WINDOW_NAMES.map((name) => most[name] - usedCalls(buckets, name))));

/** How many calls are asked for: so many, so many for a token, or what an expression gives. */
export type AskedCalls = number | SQL | { readonly calls: number; readonly token: TokenRef };

/**
 * Reserves as many calls as there are left of those that are asked for, at `nowMs`. To be sent in one batch after
 * `selectCalls`, by which `grantedCalls` tells how many that were.
 *
 * @param most of each window, with them.
 * @param mostUnknown the same, for a token that the inventory lacks.
 */
export function reserveCalls(
  database: Database,
  asked: AskedCalls,
  most: CallLimits,
  mostUnknown: CallLimits,
  nowMs: number,
): Query {
  const values = { ...bucketsAt(nowMs), mostOfMinute: most.minute, mostOfHour: most.hour };
  if (typeof asked === 'number') return RESERVE(database, { ...values, calls: asked });
  if (!('token' in asked)) return reserve(asked, PLAIN)(database, values);
  const unknown = { unknownOfMinute: mostUnknown.minute, unknownOfHour: mostUnknown.hour };
  return RESERVE_FOR_TOKEN(database, { ...values, ...unknown, calls: asked.calls, ...asked.token });
}

interface Most {
  readonly minute: SQL;
  readonly hour: SQL;
}
const PLAIN: Most = { minute: sql`${sql.placeholder('mostOfMinute')}`, hour: sql`${sql.placeholder('mostOfHour')}` };

const reserve = (calls: SQL, most: Most) =>
  compiled(({ build }) => {
    const left = (name: WindowName): SQL =>
      sql`${most[name]} - (select coalesce(sum(calls), 0) from ${upstreamCalls} where ${counting(name)})`;
    const ofMinute = left('minute');
    const ofHour = left('hour');
    const granted = sql`(select min(${calls}, ${ofMinute}, ${ofHour}) as calls) as granted`;
    const at = sql`(select 'minute' as span, ${sql.placeholder('minute')} as bucket
      union all select 'hour', ${sql.placeholder('hour')}) as at`;
    return build
      .insert(upstreamCalls)
      .select(sql`select at.span, at.bucket, granted.calls from ${at}, ${granted} where granted.calls > 0`)
      .onConflictDoUpdate({
        target: [upstreamCalls.span, upstreamCalls.bucket],
        set: { calls: sql`${upstreamCalls.calls} + excluded.calls` },
      });
  });

const CALLS = sql`${sql.placeholder('calls')}`;
const RESERVE = reserve(CALLS, PLAIN);

const IS_KNOWN = sql`exists (select 1 from tokens
  where workspace_uuid = ${sql.placeholder('workspaceUuid')} and token_id = ${sql.placeholder('tokenId')})`;
const RESERVE_FOR_TOKEN = reserve(CALLS, {
  minute: sql`iif(${IS_KNOWN}, ${PLAIN.minute}, ${sql.placeholder('unknownOfMinute')})`,
  hour: sql`iif(${IS_KNOWN}, ${PLAIN.hour}, ${sql.placeholder('unknownOfHour')})`,
});

/** Counts calls that could not be reserved before they were sent. */
export const addCalls = ({ build }: Database, at: Buckets, calls: number): Query =>
  build
    .insert(upstreamCalls)
    .values(WINDOW_NAMES.map((span) => ({ span, bucket: at[span], calls })))
    .onConflictDoUpdate({
      target: [upstreamCalls.span, upstreamCalls.bucket],
      set: { calls: sql`${upstreamCalls.calls} + excluded.calls` },
    });

/** Gives back calls that were reserved in those buckets and not sent. */
export const giveBackCalls = ({ build }: Database, at: Buckets, calls: number): Query =>
  build
    .update(upstreamCalls)
    .set({ calls: sql`max(${upstreamCalls.calls} - ${calls}, 0)` })
    .where(sql`(span, bucket) in (values ('minute', ${at.minute}), ('hour', ${at.hour}))`);

/** Erases what counts no more, and what a clock has noted that was far ahead. */
export const forgetCalls = (database: Database, nowMs: number): Query => FORGET(database, bucketsAt(nowMs));

const FORGET = compiled(({ build }) =>
  build.delete(upstreamCalls).where(sql`not (${counting('minute')} or ${counting('hour')})`),
);

/**
 * When so many calls can be reserved again where no window may hold more than `most`, if nothing else is, in milliseconds since
 * the epoch; and which window is the last to have room. Buckets leave one after the other.
 */
export function whenFree(
  buckets: readonly CallBucket[],
  most: CallLimits,
  calls: number,
  nowMs: number,
): { readonly name: WindowName; readonly atMs: number } {
  const minuteMs = windowFreeMs(buckets, 'minute', most.minute - calls, nowMs);
  const hourMs = windowFreeMs(buckets, 'hour', most.hour - calls, nowMs);
  return hourMs > minuteMs ? { name: 'hour', atMs: hourMs } : { name: 'minute', atMs: minuteMs };
}

/** When a window holds no more than `most` calls. */
function windowFreeMs(buckets: readonly CallBucket[], name: WindowName, most: number, nowMs: number): number {
  let over = usedCalls(buckets, name) - most;
  let endMs = nowMs;
  for (const { bucket, calls } of buckets.filter(({ span }) => span === name).toSorted((a, b) => a.bucket - b.bucket)) {
    if (over <= 0) break;
    over -= calls;
    endMs = (bucket + QUOTA_BUCKETS_COUNT + 1) * WINDOWS[name].bucketMs;
  }
  return endMs;
}
