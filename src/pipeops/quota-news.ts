import { and, eq, gt, inArray, lte, sql, type SQL } from 'drizzle-orm';
import {
  FORBIDDEN_WORKSPACE_MS,
  FORBIDDEN_WORKSPACES_MAX_COUNT,
  QUOTA_TOLD_LIMIT_MS,
  REVOCATION_TRY_MS,
} from '../config/limits.ts';
import { compiled } from '../db/sql.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { upstreamLimits } from '../db/schema.ts';
import { createBoundedMap } from '../kit/bounded-map.ts';
import {
  mostCalls,
  type Purpose,
  type Window,
  WINDOW_NAMES,
  type WindowCalls,
  type WindowName,
  WINDOWS,
} from './quota-windows.ts';

// What isolates share of PipeOps' answers, in `upstream_limits`: what one of them hears, the others need not find out by a call of
// their own. All of it is about one credential, since there is one. A row's scope says what it is about: everything, a try, a
// window, the size of a window, or else a workspace.

/** The scopes that are not workspaces. */
export const ALL = 'all';
export const TRY = 'try';
export const sizeScope = (name: WindowName): `${WindowName}_limit` => `${name}_limit`;
const SCOPES: readonly string[] = [ALL, TRY, ...WINDOW_NAMES, ...WINDOW_NAMES.map(sizeScope)];

/** Whether the id of a workspace is one of our scopes. Such an id is opaque, and one that is called `all` must not stop everything. */
const isScope = (workspaceUuid: string): boolean => SCOPES.includes(workspaceUuid);

/** A row of `upstream_limits`, as `Quota.learn` takes it. */
export type QuotaNews = RowsOf<ReturnType<typeof selectQuotaNews>>[number];

/**
 * Selects what holds at `nowMs` for everybody and, if a workspace is named, there: seven rows at the most, by their primary key. It
 * goes with a batch that is sent anyway, and its rows are given to `Quota.learn`.
 */
export const selectQuotaNews = (database: Database, nowMs: number, workspaceUuid: string | null) =>
  SELECT_NEWS(database, { nowMs, workspaceUuid });

const SELECT_NEWS = compiled(({ build }) =>
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

/** Shares until when nothing may be sent: at all, or in a workspace. */
export const shareWait = ({ build }: Database, scope: string, untilMs: number): Query =>
  build
    .insert(upstreamLimits)
    .values({ scope, until: untilMs })
    .onConflictDoUpdate({
      target: upstreamLimits.scope,
      set: { until: sql`max(${upstreamLimits.until}, ${untilMs})` },
    });

/** Shares what is left of a window. It is merged with what is there as `mergeWindow` does. */
export const shareWindow = (
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

/** Shares how many calls a window has, by PipeOps' headers. */
export const shareSize = ({ build }: Database, name: WindowName, calls: number, untilMs: number): Query =>
  build
    .insert(upstreamLimits)
    .values({ scope: sizeScope(name), until: untilMs, remaining: calls })
    .onConflictDoUpdate({ target: upstreamLimits.scope, set: { until: untilMs, remaining: calls } });

/**
 * Takes the one call that a revocation tries while PipeOps says wait. A row says that nobody else has taken it since `nowMs`. A try
 * that lasts longer than `untilMs` was taken by a clock that was ahead, and counts for nothing.
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

/** Takes back what was shared: PipeOps lets us act in a workspace after all, or takes calls again. */
export const withdraw = ({ build }: Database, scope: string): Query =>
  build.delete(upstreamLimits).where(eq(upstreamLimits.scope, scope));

/** Erases what holds no more. It harms nobody, so it goes when something else is shared. */
export const forgetNews = ({ build }: Database, nowMs: number): Query =>
  build.delete(upstreamLimits).where(lte(upstreamLimits.until, nowMs));

/** Whether PipeOps wants nothing of us at all, and no revocation may try all the same: `Quota.mayTry`, in SQL. */
export const mustWait = (nowMs: number): SQL => {
  const { scope, until } = upstreamLimits;
  const isTried = sql`exists (select 1 from ${upstreamLimits} where ${scope} = ${TRY}
    and ${until} > ${nowMs} and ${until} <= ${nowMs + REVOCATION_TRY_MS})`;
  return sql`exists (select 1 from ${upstreamLimits} where ${scope} = ${ALL} and ${until} > ${nowMs}
    and (${until} <= ${nowMs + REVOCATION_TRY_MS} or ${isTried}))`;
};

/** How many calls each window has. PipeOps' headers are believed for a day; otherwise it is as the settings say. */
interface WindowSizes {
  of(name: WindowName, nowMs: number): number;
  /** The most calls that each window may hold, one of that purpose included. */
  most(purpose: Purpose, nowMs: number): WindowCalls;
  /** Notes the size that a header tells; null: it tells none. */
  note(name: WindowName, calls: number | null, nowMs: number): void;
  /** Takes in what another isolate has shared. */
  learn(name: WindowName, calls: number | null, untilMs: number, nowMs: number): void;
  /** What is to be shared: each thing once. */
  news(database: Database): readonly Query[];
}

interface HeardSize {
  readonly calls: number;
  readonly untilMs: number;
  /** Whether D1 has it. */
  readonly isShared: boolean;
}

export function createWindowSizes(settings: WindowCalls): WindowSizes {
  const sizes: Record<WindowName, HeardSize | null> = { minute: null, hour: null };

  const of = (name: WindowName, nowMs: number): number => {
    const heard = sizes[name];
    return heard !== null && heard.untilMs > nowMs ? heard.calls : settings[name];
  };

  return {
    of,

    most: (purpose, nowMs) => ({
      minute: mostCalls('minute', purpose, of('minute', nowMs)),
      hour: mostCalls('hour', purpose, of('hour', nowMs)),
    }),

    note: (name, calls, nowMs) => {
      const known = sizes[name];
      const isAsSet = calls === settings[name] && (known === null || known.untilMs <= nowMs);
      // It is news once in half a day, or when it changes.
      const isKnown = known !== null && known.calls === calls && known.untilMs - nowMs > QUOTA_TOLD_LIMIT_MS / 2;
      if (calls === null || isAsSet || isKnown) return;
      sizes[name] = { calls, untilMs: nowMs + QUOTA_TOLD_LIMIT_MS, isShared: false };
    },

    learn: (name, calls, untilMs, nowMs) => {
      const isFar = untilMs > nowMs + QUOTA_TOLD_LIMIT_MS;
      if (calls === null || isFar || (sizes[name]?.untilMs ?? 0) >= untilMs) return;
      sizes[name] = { calls, untilMs, isShared: true };
    },

    news: (database) => {
      const queries: Query[] = [];
      for (const name of WINDOW_NAMES) {
        const size = sizes[name];
        if (size === null || size.isShared) continue;
        queries.push(shareSize(database, name, size.calls, size.untilMs));
        sizes[name] = { ...size, isShared: true };
      }
      return queries;
    },
  };
}

/** The workspaces in which PipeOps answered 403, each for FORBIDDEN_WORKSPACE_MS: one call a minute finds out that it is over. */
interface ForbiddenWorkspaces {
  has(workspaceUuid: string, nowMs: number): boolean;
  note(workspaceUuid: string, nowMs: number): void;
  /** PipeOps lets us act there after all. */
  allow(workspaceUuid: string): void;
  /** Takes in what another isolate has shared. */
  learn(workspaceUuid: string, untilMs: number, nowMs: number): void;
  /** What is to be shared: each thing once. */
  news(database: Database, nowMs: number): readonly Query[];
}

interface Forbidden {
  readonly untilMs: number;
  /** Whether D1 has it. */
  readonly isShared: boolean;
}

export function createForbiddenWorkspaces(): ForbiddenWorkspaces {
  const forbidden = createBoundedMap<Forbidden>({ maxCount: FORBIDDEN_WORKSPACES_MAX_COUNT });
  /** The workspaces that D1 still says are forbidden. */
  const allowed = new Set<string>();
  return {
    has: (workspaceUuid, nowMs) => (forbidden.get(workspaceUuid)?.untilMs ?? 0) > nowMs,

    note: (workspaceUuid, nowMs) => {
      if (isScope(workspaceUuid)) return;
      allowed.delete(workspaceUuid);
      const known = forbidden.get(workspaceUuid);
      // What D1 knows is not shared again before it ends there.
      if (known !== undefined && known.untilMs > nowMs) return;
      forbidden.set(workspaceUuid, { untilMs: nowMs + FORBIDDEN_WORKSPACE_MS, isShared: false });
    },

    allow: (workspaceUuid) => {
      if (forbidden.get(workspaceUuid)?.isShared === true) allowed.add(workspaceUuid);
      forbidden.delete(workspaceUuid);
    },

    learn: (workspaceUuid, untilMs, nowMs) => {
      if (allowed.has(workspaceUuid)) return;
      forbidden.set(workspaceUuid, { untilMs: Math.min(untilMs, nowMs + FORBIDDEN_WORKSPACE_MS), isShared: true });
    },

    news: (database, nowMs) => {
      const isNews = ({ isShared, untilMs }: Forbidden): boolean => !isShared && untilMs > nowMs;
      const added = [...forbidden.entries()].filter(([, known]) => isNews(known));
      for (const [workspaceUuid, known] of added) forbidden.set(workspaceUuid, { ...known, isShared: true });
      const queries = [
        ...added.map(([workspaceUuid, { untilMs }]) => shareWait(database, workspaceUuid, untilMs)),
        ...[...allowed].map((workspaceUuid) => withdraw(database, workspaceUuid)),
      ];
      allowed.clear();
      return queries;
    },
  };
}
