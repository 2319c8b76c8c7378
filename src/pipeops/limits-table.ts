import { eq, gt, inArray, lte, sql, and, type SQL } from 'drizzle-orm';
import { compiled } from '../db/compiled.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { upstreamLimits } from '../db/schema.ts';
import { WINDOWS, WINDOW_NAMES, type Window, type WindowName } from './quota-windows.ts';

// What isolates tell each other of PipeOps' limits, in `upstream_limits`. All of it is about one credential: there is one.

/** The scopes that are not workspaces. */
export const ALL = 'all';
const SCOPES: readonly string[] = [ALL, ...WINDOW_NAMES];

/** A workspace's id is opaque, and one that is called `all` must not stop everything. */
export const isScope = (workspaceUuid: string): boolean => SCOPES.includes(workspaceUuid);

/** A row of `upstream_limits`, as `Quota.learn` takes it. */
export type LimitRow = RowsOf<ReturnType<typeof selectLimits>>[number];

/**
 * What holds at `nowMs` for everybody and, if one is named, for a workspace: four rows at the most, by their primary key. To
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

/** PipeOps lets us act in a workspace after all. */
export const tellAllowed = ({ build }: Database, workspaceUuid: string): Query =>
  build.delete(upstreamLimits).where(eq(upstreamLimits.scope, workspaceUuid));

/** What holds no more: it is of no consequence, and goes when something else is told. */
export const forgetExpired = ({ build }: Database, nowMs: number): Query =>
  build.delete(upstreamLimits).where(lte(upstreamLimits.until, nowMs));

/** Whether PipeOps wants nothing of us at all. */
export const isToldToWait = (nowMs: number): SQL =>
  sql`exists (select 1 from ${upstreamLimits} where ${upstreamLimits.scope} = ${ALL} and ${upstreamLimits.until} > ${nowMs})`;
