import { FORBIDDEN_WORKSPACE_MS } from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { isScope, tellNoMore, tellUntil } from './limits-table.ts';

/** The workspaces in which PipeOps answered 403, each for FORBIDDEN_WORKSPACE_MS: one call a minute finds out that it is over. */
export interface ForbiddenWorkspaces {
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
