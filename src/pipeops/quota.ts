import {
  FORBIDDEN_WORKSPACE_MS,
  RETRY_AFTER_MAX_SECONDS,
  UPSTREAM_TIMEOUT_MS,
  UPSTREAM_WAIT_DEFAULT_MS,
} from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import type { UpstreamFailure } from '../failures.ts';
import { ALL, forgetExpired, isScope, tellAllowed, tellUntil, tellWindow, type LimitRow } from './limits-table.ts';
import {
  isWindowNews,
  mergeWindow,
  readWindow,
  WINDOW_NAMES,
  WINDOWS,
  type Window,
  type WindowName,
} from './quota-windows.ts';
import { isCredentialRefusal } from './refusals.ts';
import { retryAfterSeconds } from './retry-after.ts';

/** What a call is for. The last calls of a window are kept for `revocation`: of tokens that must not live on. */
export type Purpose = 'revocation' | 'other';

/** How we stand with PipeOps' limits, as far as this isolate knows. Times are milliseconds since the epoch. */
export interface Standing {
  /** Null: PipeOps does not say wait. */
  readonly waitUntilMs: number | null;
  /** Null: PipeOps has not told of this window. */
  readonly minute: Window | null;
  readonly hour: Window | null;
}

/**
 * What this isolate knows of PipeOps' limits, which count the calls of all isolates: from PipeOps' own answers, and from
 * what other isolates left in D1.
 *
 * The limits are those of one credential. During a rotation there are two, each with limits of its own upstream; here what is
 * told of one counts for both, which at worst keeps us waiting for the end of a window.
 */
export interface Quota {
  /** Why a call must not be sent now; null: go ahead. */
  permit(purpose: Purpose, workspaceUuid: string | null, nowMs: number): UpstreamFailure | null;
  /**
   * A call is under way; PipeOps has counted it before it answers. The result says that it has ended; of a request that was
   * killed it is never called, so a call counts no longer than UPSTREAM_TIMEOUT_MS.
   */
  begin(nowMs: number): () => void;
  /** Notes what an answer of PipeOps tells. */
  note(answer: Pick<Response, 'status' | 'headers'>, workspaceUuid: string, nowMs: number): void;
  /** Takes in what `selectLimits` read. */
  learn(rows: readonly LimitRow[], nowMs: number): void;
  /**
   * What other isolates have to hear, to be attached to a D1 batch that is sent anyway: nearly always nothing. Each thing is
   * given once; where that batch is lost, others find out by a call of their own.
   */
  news(database: Database, nowMs: number): readonly Query[];
  standing(nowMs: number): Standing;
}

/** Of a workspace in which PipeOps answered 403. */
interface Forbidden {
  readonly untilMs: number;
  /** Whether D1 has it. */
  readonly isTold: boolean;
}

export function createQuota(): Quota {
  let waitUntilMs = 0;
  let toldWaitMs = 0;
  /** When each began. */
  const underWay = new Map<symbol, number>();
  const windows: Record<WindowName, Window | null> = { minute: null, hour: null };
  const told: Record<WindowName, Window | null> = { minute: null, hour: null };
  const forbidden = new Map<string, Forbidden>();
  const allowed = new Set<string>();

  const countUnderWay = (nowMs: number): number => {
    for (const [call, begunAtMs] of underWay) if (nowMs - begunAtMs > UPSTREAM_TIMEOUT_MS) underWay.delete(call);
    return underWay.size;
  };

  const live = (name: WindowName, nowMs: number): Window | null => {
    const window = windows[name];
    return window !== null && window.untilMs > nowMs ? window : null;
  };

  /** Until when a call has to wait; `nowMs` or earlier: it need not. */
  const waitEndMs = (purpose: Purpose, nowMs: number): number => {
    const inFlight = countUnderWay(nowMs);
    const ends = WINDOW_NAMES.map((name) => {
      const window = live(name, nowMs);
      // What is under way is not in the number that PipeOps told last.
      const isKept = window !== null && window.remaining - inFlight <= WINDOWS[name].reserveCalls;
      return purpose === 'other' && isKept ? window.untilMs : 0;
    });
    return Math.max(waitUntilMs, ...ends);
  };

  const noteForbidden = (workspaceUuid: string, nowMs: number): void => {
    for (const [other, { untilMs }] of forbidden) if (untilMs <= nowMs) forbidden.delete(other);
    if (isScope(workspaceUuid)) return;
    const known = forbidden.get(workspaceUuid);
    allowed.delete(workspaceUuid);
    // What D1 knows already is not told again before it ends there.
    forbidden.set(workspaceUuid, known ?? { untilMs: nowMs + FORBIDDEN_WORKSPACE_MS, isTold: false });
  };

  const noteAllowed = (workspaceUuid: string): void => {
    if (forbidden.get(workspaceUuid)?.isTold === true) allowed.add(workspaceUuid);
    forbidden.delete(workspaceUuid);
  };

  const learnRow = ({ scope, until, remaining }: LimitRow, nowMs: number): void => {
    if (scope === ALL) {
      waitUntilMs = Math.max(waitUntilMs, Math.min(until, nowMs + RETRY_AFTER_MAX_SECONDS * 1000));
      toldWaitMs = Math.max(toldWaitMs, until);
    } else if (scope === 'minute' || scope === 'hour') {
      if (remaining === null) return;
      const heard = { remaining, untilMs: until };
      windows[scope] = mergeWindow(scope, windows[scope], heard, nowMs);
      told[scope] = mergeWindow(scope, told[scope], heard, nowMs);
    } else if (!allowed.has(scope)) {
      forbidden.set(scope, { untilMs: Math.min(until, nowMs + FORBIDDEN_WORKSPACE_MS), isTold: true });
    }
  };

  return {
    permit: (purpose, workspaceUuid, nowMs) => {
      const endMs = waitEndMs(purpose, nowMs);
      if (endMs > nowMs) {
        return {
          kind: 'upstream_rate_limited',
          status: 429,
          retryAfterSeconds: Math.ceil((endMs - nowMs) / 1000),
        };
      }
      // A 403 may have been about a create alone: what has to be taken away is tried all the same.
      const isForbidden = (forbidden.get(workspaceUuid ?? '')?.untilMs ?? 0) > nowMs;
      return isForbidden && purpose === 'other' ? { kind: 'upstream_forbidden', status: 403 } : null;
    },

    begin: (nowMs) => {
      const call = Symbol('call');
      underWay.set(call, nowMs);
      return () => void underWay.delete(call);
    },

    note: ({ status, headers }, workspaceUuid, nowMs) => {
      // A credential that is not taken has limits of its own, if any.
      if (isCredentialRefusal(status)) return;
      const heard = readWindow(headers, nowMs);
      if (heard !== null) {
        windows[heard.name] = mergeWindow(heard.name, windows[heard.name], heard.window, nowMs);
      }
      if (status === 429) {
        const seconds = retryAfterSeconds(headers.get('Retry-After'), nowMs);
        const pauseMs = seconds === null ? UPSTREAM_WAIT_DEFAULT_MS : seconds * 1000;
        waitUntilMs = Math.max(waitUntilMs, nowMs + pauseMs);
      } else if (status === 403) noteForbidden(workspaceUuid, nowMs);
      else if (status >= 200 && status < 300) noteAllowed(workspaceUuid);
    },

    learn: (rows, nowMs) => {
      for (const row of rows) learnRow(row, nowMs);
    },

    news: (database, nowMs) => {
      const queries: Query[] = [];
      if (waitUntilMs > Math.max(toldWaitMs, nowMs)) {
        queries.push(tellUntil(database, ALL, waitUntilMs));
        toldWaitMs = waitUntilMs;
      }
      for (const name of WINDOW_NAMES) {
        const window = live(name, nowMs);
        if (window === null || !isWindowNews(name, told[name], window)) continue;
        queries.push(tellWindow(database, name, window, nowMs));
        told[name] = window;
      }
      for (const [workspaceUuid, { untilMs, isTold }] of forbidden) {
        if (isTold || untilMs <= nowMs) continue;
        queries.push(tellUntil(database, workspaceUuid, untilMs));
        forbidden.set(workspaceUuid, { untilMs, isTold: true });
      }
      for (const workspaceUuid of allowed) queries.push(tellAllowed(database, workspaceUuid));
      allowed.clear();
      return queries.length === 0 ? [] : [forgetExpired(database, nowMs), ...queries];
    },

    standing: (nowMs) => ({
      waitUntilMs: waitUntilMs > nowMs ? waitUntilMs : null,
      minute: live('minute', nowMs),
      hour: live('hour', nowMs),
    }),
  };
}
