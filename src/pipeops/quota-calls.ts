import { sql, type SQL } from 'drizzle-orm';
import { QUOTA_BUCKETS_COUNT } from '../config/limits.ts';
import { compiled } from '../db/sql.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { upstreamCalls } from '../db/schema.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { Runtime } from '../kit/runtime.ts';
import { WINDOW_NAMES, WINDOWS, type Purpose, type WindowCalls, type WindowName } from './quota-windows.ts';
import type { Quota } from './quota.ts';
import type { Call, TokenRef } from './types.ts';

// Every call to PipeOps is reserved in D1 before it is sent: `upstream_calls` counts those of a minute in buckets of five seconds,
// and those of an hour in buckets of five minutes. A call is reserved while its bucket and the twelve before it hold fewer calls than
// the window has. Whatever 60 s a strict PipeOps counts in, they lie within thirteen of these buckets. D1 runs one batch after the
// other, so no two isolates reserve one call.

/** Lets a request go to PipeOps. Null: it may be sent now; otherwise why it must not be. */
export type Admit = (purpose: Purpose, workspaceUuid: string, call: Call) => Promise<UpstreamFailure | null>;

/**
 * Makes the door that every request passes: each try and each page by itself. It asks what PipeOps is known to say, then for one of
 * the calls that the caller of a read may cause, then for one of the calls that the work has reserved, and at last D1, in a trip of
 * its own, for a call that nobody else has.
 *
 * Where D1 does not answer, the call is sent, and counted as soon as D1 answers again: our own counting must not keep a token alive
 * that is to be revoked, and whatever else needs D1 does not get much further without it.
 */
export function createAdmission(database: Database, quota: Quota, runtime: Pick<Runtime, 'now'>): Admit {
  const reserve = async (purpose: Purpose, call: Call): Promise<UpstreamFailure | null> => {
    const nowMs = runtime.now();
    const block = call.reserved?.block ?? 1;
    const reservation = quota.reserve(database, purpose, block, nowMs);
    const reserved = await database.batch(call, reservation.queries);
    if (!reserved.ok) {
      quota.countLater(nowMs);
      return null;
    }
    const granted = reservation.grant(reserved.value[0]);
    if (call.reserved === undefined) return granted.calls > 0 ? null : granted.refusal;
    call.reserved.add(granted);
    return call.reserved.take() ? null : granted.refusal;
  };

  /** While PipeOps says wait for long, one revocation a minute finds out whether it still does. */
  const tryAllTheSame = async (call: Call, refusal: UpstreamFailure): Promise<UpstreamFailure | null> => {
    const nowMs = runtime.now();
    if (!quota.mayTry(nowMs)) return refusal;
    const tried = await database.batch(call, quota.takeTry(database, nowMs));
    if (!tried.ok || tried.value[0].length === 0) return refusal;
    quota.trying();
    if (call.reserved?.take() !== true) quota.countLater(nowMs);
    return null;
  };

  return async (purpose, workspaceUuid, call) => {
    const nowMs = runtime.now();
    const refusal = quota.permit(purpose, workspaceUuid, nowMs);
    if (refusal !== null) return purpose === 'revocation' ? await tryAllTheSame(call, refusal) : refusal;
    const giveBack = call.calls?.take(nowMs) ?? null;
    if (call.calls !== undefined && giveBack === null) {
      return { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: call.calls.waitSeconds(nowMs) };
    }
    if (call.reserved?.take() === true) return null;
    const unreserved = call.reserved?.refusal() ?? (await reserve(purpose, call));
    if (unreserved !== null) giveBack?.();
    return unreserved;
  };
}

/** No call is left of a window. `retryAfterSeconds`: until there is one. */
export type QuotaRefusal = Extract<UpstreamFailure, { kind: 'upstream_rate_limited' }> & {
  readonly retryAfterSeconds: number;
};

/** What D1 granted of the calls that a reservation asked for. */
export interface GrantedCalls {
  readonly calls: number;
  readonly at: Buckets;
  /** Why they are fewer than were asked for; null: they are not. */
  readonly refusal: QuotaRefusal | null;
}

/**
 * The calls that are reserved for one piece of work and not sent yet: a mutation reserves its own with its first row, and a run of
 * orders reserves a block with its lease. Each further call (a page, a retry, a read-back) is reserved when it is wanted.
 */
export interface ReservedCalls {
  /** How many are reserved at once when none is left. */
  readonly block: number;
  add(granted: GrantedCalls): void;
  /** Uses one up. False: none is left. */
  take(): boolean;
  /** Why none was granted when calls were last asked for; null: nothing is known of that. */
  refusal(): UpstreamFailure | null;
  /** The work is over: what is left of the calls is given back. */
  end(): void;
}

/** @param giveBack takes the calls that nobody will send. */
export function createReservedCalls(block: number, giveBack: (at: Buckets, calls: number) => void): ReservedCalls {
  let left: readonly GrantedCalls[] = [];
  let refusal: UpstreamFailure | null = null;
  return {
    block,
    add: (granted) => {
      refusal = granted.refusal;
      if (granted.calls > 0) left = [...left, granted];
    },
    take: () => {
      const [first, ...rest] = left;
      if (first === undefined) return false;
      left = first.calls > 1 ? [{ ...first, calls: first.calls - 1 }, ...rest] : rest;
      return true;
    },
    refusal: () => refusal,
    end: () => {
      for (const { at, calls } of left) giveBack(at, calls);
      left = [];
    },
  };
}

/** The buckets that a moment is in. */
export type Buckets = Readonly<Record<WindowName, number>>;

export const bucketsAt = (nowMs: number): Buckets => ({
  minute: Math.floor(nowMs / WINDOWS.minute.bucketMs),
  hour: Math.floor(nowMs / WINDOWS.hour.bucketMs),
});

/** A bucket that counts, as `selectCalls` reads it. */
export type CallBucket = RowsOf<ReturnType<typeof selectCalls>>[number];

/**
 * Selects the buckets that count at `nowMs`. A bucket that a fast clock has noted counts too if it is ahead by less than a window:
 * one that is further ahead would hold us back for as long as that clock was wrong.
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

/** How many calls are asked for: a number, a number for one token, or what an SQL expression gives. */
export type AskedCalls = number | SQL | { readonly calls: number; readonly token: TokenRef };

/**
 * Reserves, at `nowMs`, as many of the calls that are asked for as there are left. It follows `selectCalls` in one batch, by whose
 * rows `countGranted` tells how many that were.
 *
 * @param most calls that each window may hold then, these included.
 * @param mostUnknown takes the place of `most` for a token that the inventory lacks.
 */
export function reserveCalls(
  database: Database,
  asked: AskedCalls,
  most: WindowCalls,
  mostUnknown: WindowCalls,
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

/** How many calls are reserved in a window, as of when `buckets` were read. */
export const usedCalls = (buckets: readonly CallBucket[], name: WindowName): number =>
  buckets.reduce((sum, { span, calls }) => (span === name ? sum + calls : sum), 0);

/** How many of `calls` the `reserveCalls` has reserved that followed the reading of these buckets in its batch. */
export const countGranted = (buckets: readonly CallBucket[], most: WindowCalls, calls: number): number =>
  Math.max(0, Math.min(calls, ...WINDOW_NAMES.map((name) => most[name] - usedCalls(buckets, name))));

/**
 * Tells when `calls` can be reserved again, in milliseconds since the epoch, if nothing else is reserved meanwhile; and which window
 * is the last to have room. Buckets leave a window one after the other.
 *
 * @param most calls that each window may hold.
 */
export function whenFree(
  buckets: readonly CallBucket[],
  most: WindowCalls,
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

/** Counts calls that could not be reserved before they were sent. */
export const addCalls = ({ build }: Database, at: Buckets, calls: number): Query =>
  build
    .insert(upstreamCalls)
    .values(WINDOW_NAMES.map((span) => ({ span, bucket: at[span], calls })))
    .onConflictDoUpdate({
      target: [upstreamCalls.span, upstreamCalls.bucket],
      set: { calls: sql`${upstreamCalls.calls} + excluded.calls` },
    });

/** Gives back calls that were reserved in these buckets and not sent. */
export const giveBackCalls = ({ build }: Database, at: Buckets, calls: number): Query =>
  build
    .update(upstreamCalls)
    .set({ calls: sql`max(${upstreamCalls.calls} - ${calls}, 0)` })
    .where(sql`(span, bucket) in (values ('minute', ${at.minute}), ('hour', ${at.hour}))`);

/** Erases the buckets that count no more, and those that a clock has noted that was far ahead. */
export const forgetCalls = (database: Database, nowMs: number): Query => FORGET(database, bucketsAt(nowMs));

const FORGET = compiled(({ build }) =>
  build.delete(upstreamCalls).where(sql`not (${counting('minute')} or ${counting('hour')})`),
);
