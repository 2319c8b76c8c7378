import { eq, gt, inArray, lte, sql, and, type SQL } from 'drizzle-orm';
import { REVOCATION_TRY_MS } from '../config/limits.ts';
import { compiled } from '../db/sql.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { upstreamLimits } from '../db/schema.ts';
import { WINDOWS, WINDOW_NAMES, type Window, type WindowName } from './quota-windows.ts';

// What isolates tell each other of PipeOps' limits, in `upstream_limits`. All of it is about one credential: there is one.

/** The scopes that are not workspaces. */
export const ALL = 'all';
export const TRY = 'try';
export const limitScope = (name: WindowName): `${WindowName}_limit` => `${name}_limit`;
const SCOPES: readonly string[] = [ALL, TRY, ...WINDOW_NAMES, ...WINDOW_NAMES.map(limitScope)];

/** A workspace's id is opaque, and one that is called `all` must not stop everything. */
export const isScope = (workspaceUuid: string): boolean => SCOPES.includes(workspaceUuid);

/** A row of `upstream_limits`, as `Quota.learn` takes it. */
export type LimitRow = RowsOf<ReturnType<typeof selectLimits>>[number];

/**
 * What holds at `nowMs` for everybody and, if one is named, for a workspace: seven rows at the most, by their primary key. To
 * be sent in a batch that goes out anyway, and given to `Quota.learn`.
 */
export const selectLimits = (database: Database, nowMs: number, workspaceUuid: string | null) =>
  SELECT_LIMITS(database, { nowMs, workspaceUuid });

const SELECT_LIMITS = compiled(({ build }) =>
  build
    .select({ scope: upstreamLimits.scope, until: upstreamLimits.until, remaining: upstreamLimits.remaining })
    .from(upstreamLimits)
    .where(
      and(
        inArray(upstreamLimits.scope, [...SCOPES, sql.placeholder('workspaceUuid')]),
        gt(upstreamLimits.until, sql.placeholder('nowMs')),
      ),
    ),
);

/** Until when nothing may be sent: at all, or in a workspace. */
export const tellUntil = ({ build }: Database, scope: string, untilMs: number): Query =>
  build
    .insert(upstreamLimits)
    .values({ scope, until: untilMs })
    .onConflictDoUpdate({
      target: upstreamLimits.scope,
      set: { until: sql`max(${upstreamLimits.until}, ${untilMs})` },
    });

/** What is left of a window; merged with what is there as `mergeWindow` does. */
export const tellWindow = (
  { build }: Database,
  name: WindowName,
  { remaining, untilMs }: Window,
  nowMs: number,
): Query => {
  const { until, remaining: left } = upstreamLimits;
  const halfMs = WINDOWS[name].lengthMs / 2;
  return build
    .insert(upstreamLimits)
    .values({ scope: name, until: untilMs, remaining })
    .onConflictDoUpdate({
      target: upstreamLimits.scope,
      set: { until: untilMs, remaining },
      setWhere: sql`${until} <= ${nowMs} or ${untilMs} > ${until} + ${halfMs}
        or (${untilMs} >= ${until} - ${halfMs} and ${remaining} < ${left})`,
    });
};

/** How many calls a window has, by PipeOps' headers. */
export const tellLimit = ({ build }: Database, name: WindowName, calls: number, untilMs: number): Query =>
  build
    .insert(upstreamLimits)
    .values({ scope: limitScope(name), until: untilMs, remaining: calls })
    .onConflictDoUpdate({ target: upstreamLimits.scope, set: { until: untilMs, remaining: calls } });

/**
 * Takes the one call that a revocation tries while PipeOps says wait: a row says that nobody else has since `nowMs`. One that is
 * kept longer than `untilMs` was taken by a clock that was ahead, and counts for nothing.
 */
export const takeTry = ({ build }: Database, nowMs: number, untilMs: number) =>
  build
    .insert(upstreamLimits)
    .values({ scope: TRY, until: untilMs })
    .onConflictDoUpdate({
      target: upstreamLimits.scope,
      set: { until: untilMs },
      setWhere: sql`${upstreamLimits.until} <= ${nowMs} or ${upstreamLimits.until} > ${untilMs}`,
    })
    .returning({ scope: upstreamLimits.scope });

/** It holds no more: PipeOps lets us act in a workspace after all, or takes calls again. */
export const tellNoMore = ({ build }: Database, scope: string): Query =>
  build.delete(upstreamLimits).where(eq(upstreamLimits.scope, scope));

/** What holds no more: it is of no consequence, and goes when something else is told. */
export const forgetExpired = ({ build }: Database, nowMs: number): Query =>
  build.delete(upstreamLimits).where(lte(upstreamLimits.until, nowMs));

/** Whether PipeOps wants nothing of us at all, and no revocation may try all the same: `Quota.mayTry`, in SQL. */
export const mustWait = (nowMs: number): SQL => {
  const { scope, until } = upstreamLimits;
  const isTried = sql`exists (select 1 from ${upstreamLimits} where ${scope} = ${TRY}
    and ${until} > ${nowMs} and ${until} <= ${nowMs + REVOCATION_TRY_MS})`;
  return sql`exists (select 1 from ${upstreamLimits} where ${scope} = ${ALL} and ${until} > ${nowMs}
    and (${until} <= ${nowMs + REVOCATION_TRY_MS} or ${isTried}))`;
};
