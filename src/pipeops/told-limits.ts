import { QUOTA_TOLD_LIMIT_MS } from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { tellLimit } from './limits-table.ts';
import { mostCalls, WINDOW_NAMES, type CallLimits, type Purpose, type WindowName } from './quota-windows.ts';

/** How many calls each window has: as PipeOps' headers tell it, believed for a day, and else as it is set. */
export interface ToldLimits {
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
