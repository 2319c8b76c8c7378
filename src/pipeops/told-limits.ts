import { FORBIDDEN_WORKSPACE_MS, QUOTA_TOLD_LIMIT_MS } from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { isScope, tellLimit, tellNoMore, tellUntil } from './limits-table.ts';
import { type CallLimits, mostCalls, type Purpose, WINDOW_NAMES, type WindowName } from './quota-windows.ts';

/** How many calls each window has: as PipeOps' headers tell it, believed for a day, and else as it is set. */
interface ToldLimits {
  of(name: WindowName, nowMs: number): number;
  /** The most that a purpose may use of each window. */
  most(purpose: Purpose, nowMs: number): CallLimits;
  /** Notes what a header tells; null: nothing. */
  note(name: WindowName, calls: number | null, nowMs: number): void;
  /** Takes in what another isolate has heard. */
  learn(name: WindowName, calls: number | null, untilMs: number, nowMs: number): void;
  /** What other isolates have to hear. */
  news(database: Database): readonly Query[];
}

interface ToldLimit {
  readonly calls: number;
  readonly untilMs: number;
  /** Whether D1 has it. */
  readonly isTold: boolean;
}

export function createToldLimits(settings: CallLimits): ToldLimits {
  const limits: Record<WindowName, ToldLimit | null> = { minute: null, hour: null };

  const of = (name: WindowName, nowMs: number): number => {
    const heard = limits[name];
    return heard !== null && heard.untilMs > nowMs ? heard.calls : settings[name];
  };

  return {
    of,

    most: (purpose, nowMs) => ({
      minute: mostCalls('minute', purpose, of('minute', nowMs)),
      hour: mostCalls('hour', purpose, of('hour', nowMs)),
    }),

    note: (name, calls, nowMs) => {
      const known = limits[name];
      const isAsSet = calls === settings[name] && (known === null || known.untilMs <= nowMs);
      // News once in half a day, or when it changes.
      const isKnown = known !== null && known.calls === calls && known.untilMs - nowMs > QUOTA_TOLD_LIMIT_MS / 2;
      if (calls === null || isAsSet || isKnown) return;
      limits[name] = { calls, untilMs: nowMs + QUOTA_TOLD_LIMIT_MS, isTold: false };
    },

    learn: (name, calls, untilMs, nowMs) => {
      const isFar = untilMs > nowMs + QUOTA_TOLD_LIMIT_MS;
      if (calls === null || isFar || (limits[name]?.untilMs ?? 0) >= untilMs) return;
      limits[name] = { calls, untilMs, isTold: true };
    },

    news: (database) => {
      const queries: Query[] = [];
      for (const name of WINDOW_NAMES) {
        const limit = limits[name];
        if (limit === null || limit.isTold) continue;
        queries.push(tellLimit(database, name, limit.calls, limit.untilMs));
        limits[name] = { ...limit, isTold: true };
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
  /** Takes in what another isolate has heard. */
  learn(workspaceUuid: string, untilMs: number, nowMs: number): void;
  /** What other isolates have to hear. */
  news(database: Database, nowMs: number): readonly Query[];
}

interface Forbidden {
  readonly untilMs: number;
  /** Whether D1 has it. */
  readonly isTold: boolean;
}

export function createForbiddenWorkspaces(): ForbiddenWorkspaces {
  const forbidden = new Map<string, Forbidden>();
  /** Those that D1 still has. */
  const allowed = new Set<string>();
  return {
    has: (workspaceUuid, nowMs) => (forbidden.get(workspaceUuid)?.untilMs ?? 0) > nowMs,

    note: (workspaceUuid, nowMs) => {
      for (const [other, { untilMs }] of forbidden) if (untilMs <= nowMs) forbidden.delete(other);
      if (isScope(workspaceUuid)) return;
      const known = forbidden.get(workspaceUuid);
      allowed.delete(workspaceUuid);
      // What D1 knows already is not told again before it ends there.
      forbidden.set(workspaceUuid, known ?? { untilMs: nowMs + FORBIDDEN_WORKSPACE_MS, isTold: false });
    },

    allow: (workspaceUuid) => {
      if (forbidden.get(workspaceUuid)?.isTold === true) allowed.add(workspaceUuid);
      forbidden.delete(workspaceUuid);
    },

    learn: (workspaceUuid, untilMs, nowMs) => {
      if (allowed.has(workspaceUuid)) return;
      forbidden.set(workspaceUuid, { untilMs: Math.min(untilMs, nowMs + FORBIDDEN_WORKSPACE_MS), isTold: true });
    },

    news: (database, nowMs) => {
      const queries: Query[] = [];
      for (const [workspaceUuid, { untilMs, isTold }] of forbidden) {
        if (isTold || untilMs <= nowMs) continue;
        queries.push(tellUntil(database, workspaceUuid, untilMs));
        forbidden.set(workspaceUuid, { untilMs, isTold: true });
      }
      for (const workspaceUuid of allowed) queries.push(tellNoMore(database, workspaceUuid));
      allowed.clear();
      return queries;
    },
  };
}
