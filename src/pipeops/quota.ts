import {
  RETRY_AFTER_MAX_SECONDS,
  REVOCATION_TRY_MS,
  UPSTREAM_TIMEOUT_MS,
  UPSTREAM_WAIT_DEFAULT_MS,
} from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import type { UpstreamFailure } from '../failures.ts';
import { type Allowance, createAllowance } from './call-gate.ts';
import type { Grant } from '../policy/types.ts';
import {
  addCalls,
  type AskedCalls,
  type Buckets,
  bucketsAt,
  type CallBucket,
  giveBackCalls,
  grantedCalls,
  reserveCalls,
  selectCalls,
  whenFree,
} from './quota-calls.ts';
import {
  ALL,
  forgetExpired,
  type LimitRow,
  limitScope,
  takeTry,
  tellNoMore,
  tellUntil,
  tellWindow,
  TRY,
} from './quota-news.ts';
import {
  type CallLimits,
  DEFAULT_CALL_LIMITS,
  isWindowNews,
  keptCalls,
  lookUpPurpose,
  mergeWindow,
  type Purpose,
  readWindow,
  type Window,
  WINDOW_NAMES,
  type WindowName,
  WINDOWS,
} from './quota-windows.ts';
import type { Runtime } from '../kit/runtime.ts';
import { createForbiddenWorkspaces, createToldLimits } from './told-limits.ts';
import { isCredentialRefusal, retryAfterSeconds } from './failures.ts';

/** How we stand with PipeOps' limits, as far as this isolate knows. Times are milliseconds since the epoch. */
export interface Standing {
  /** Null: PipeOps does not say wait. */
  readonly waitUntilMs: number | null;
  /** Null: PipeOps has not told of this window. */
  readonly minute: Window | null;
  readonly hour: Window | null;
  /** Calls of each window, by PipeOps' headers or by the settings. */
  readonly limits: CallLimits;
}

/** Calls that a batch reserves. */
export interface Reservation {
  /** To be sent in this order, in one batch; the rows of the first say what was granted. */
  readonly queries: readonly [ReturnType<typeof selectCalls>, Query];
  /** @param asked what is known by now: how many an expression asked for, or whether the inventory holds the token. */
  grant(buckets: readonly CallBucket[], asked?: { readonly calls?: number; readonly isKnown?: boolean }): Grant;
}

/**
 * What this isolate knows of PipeOps' limits, which count the calls of all isolates: from the calls that all of them have reserved
 * in D1, from PipeOps' own answers, and from what other isolates left of those.
 *
 * The limits are those of one credential. During a rotation there are two, each with limits of its own upstream; here what is
 * told of one counts for both, which at worst keeps us waiting for the end of a window.
 */
export interface Quota {
  /** Why, by what PipeOps has said, a call must not be sent now; null: go ahead, once it is reserved. */
  permit(purpose: Purpose, workspaceUuid: string | null, nowMs: number): UpstreamFailure | null;
  /** Whether a revocation may try one call though PipeOps says wait: if it says so for long, and nobody has for a minute. */
  mayTry(nowMs: number): boolean;
  /** It is on its way: unless PipeOps answers 429, it takes calls again. */
  trying(): void;
  /** Takes that call from all other isolates; a row says that it was taken. */
  takeTry(database: Database, nowMs: number): readonly [ReturnType<typeof takeTry>];
  /** How many calls of each window a purpose may use, as far as this isolate knows its limits. */
  most(purpose: Purpose, nowMs: number): CallLimits;
  /** Reserves calls: as many as are left of those asked for. */
  reserve(database: Database, purpose: Purpose, calls: AskedCalls, nowMs: number): Reservation;
  /** For the calls of one piece of work; what is left of them goes back with the next news. */
  allowance(block?: number): Allowance;
  /** For calls that must not wait for D1: each is counted with the next news. */
  credit(runtime: Pick<Runtime, 'now'>): Allowance;
  /** A call is sent that D1 could not be asked for: it is counted with the next news. */
  owe(nowMs: number): void;
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

/** Of what is not an expression. */
const callsIn = (asked: AskedCalls): number => {
  if (typeof asked === 'number') return asked;
  return 'token' in asked ? asked.calls : 0;
};

const refusalUntil = (untilMs: number, nowMs: number): Extract<UpstreamFailure, { kind: 'upstream_rate_limited' }> => ({
  kind: 'upstream_rate_limited',
  status: 429,
  retryAfterSeconds: Math.max(1, Math.ceil((untilMs - nowMs) / 1000)),
});

/** @param settings how much PipeOps takes where it does not say. */
export function createQuota(settings: CallLimits = DEFAULT_CALL_LIMITS): Quota {
  let waitUntilMs = 0;
  let toldWaitMs = 0;
  /** A revocation is not tried all the same before then. */
  let tryAtMs = 0;
  /** One is on its way that was. */
  let isTrying = false;
  /** It has shown that PipeOps takes calls again, and D1 says wait. */
  let isWaitOver = false;
  const limits = createToldLimits(settings);
  const forbidden = createForbiddenWorkspaces();
  /** Reservations that nobody needs any more, as calls to take off; and calls that were sent without one, to add. */
  let changes: readonly { readonly at: Buckets; readonly calls: number }[] = [];
  /** When each began. */
  const underWay = new Map<symbol, number>();
  const windows: Record<WindowName, Window | null> = { minute: null, hour: null };
  const told: Record<WindowName, Window | null> = { minute: null, hour: null };

  const countUnderWay = (nowMs: number): number => {
    for (const [call, begunAtMs] of underWay) if (nowMs - begunAtMs > UPSTREAM_TIMEOUT_MS) underWay.delete(call);
    return underWay.size;
  };

  const live = (name: WindowName, nowMs: number): Window | null => {
    const window = windows[name];
    return window !== null && window.untilMs > nowMs ? window : null;
  };

  const owe = (nowMs: number): void => {
    changes = [...changes, { at: bucketsAt(nowMs), calls: 1 }];
  };

  /** Until when a call has to wait; `nowMs` or earlier: it need not. */
  const waitEndMs = (purpose: Purpose, nowMs: number): number => {
    const inFlight = countUnderWay(nowMs);
    const ends = WINDOW_NAMES.map((name) => {
      const window = live(name, nowMs);
      // What is under way is not in the number that PipeOps told last.
      const kept = keptCalls(name, purpose, limits.of(name, nowMs));
      // What PipeOps told may be of a window that is over: a revocation finds out.
      const isKept = window !== null && purpose !== 'revocation' && window.remaining - inFlight <= kept;
      return isKept ? window.untilMs : 0;
    });
    return Math.max(waitUntilMs, ...ends);
  };

  /** A limit that has no call left until then: what a caller is told of it. */
  const fullUntil = (name: WindowName, untilMs: number, nowMs: number): UpstreamFailure => ({
    ...refusalUntil(untilMs, nowMs),
    window: {
      policy: 'pipeops',
      limit: limits.of(name, nowMs),
      windowSeconds: WINDOWS[name].lengthMs / 1000,
      untilMs,
    },
  });

  /** PipeOps answers a call that was tried while it said wait. */
  const noteTry = (status: number): void => {
    if (!isTrying) return;
    isTrying = false;
    if (status === 429) return;
    waitUntilMs = 0;
    isWaitOver = toldWaitMs > 0;
    toldWaitMs = 0;
  };

  const learnRow = ({ scope, until, remaining }: LimitRow, nowMs: number): void => {
    const limited = WINDOW_NAMES.find((name) => limitScope(name) === scope);
    if (limited !== undefined) return limits.learn(limited, remaining, until, nowMs);
    if (scope === ALL) {
      waitUntilMs = Math.max(waitUntilMs, Math.min(until, nowMs + RETRY_AFTER_MAX_SECONDS * 1000));
      toldWaitMs = Math.max(toldWaitMs, until);
    } else if (scope === TRY) {
      tryAtMs = Math.max(tryAtMs, Math.min(until, nowMs + REVOCATION_TRY_MS));
    } else if (scope === 'minute' || scope === 'hour') {
      if (remaining === null) return;
      const heard = { remaining, untilMs: until };
      windows[scope] = mergeWindow(scope, windows[scope], heard, nowMs);
      told[scope] = mergeWindow(scope, told[scope], heard, nowMs);
    } else forbidden.learn(scope, until, nowMs);
  };

  return {
    permit: (purpose, workspaceUuid, nowMs) => {
      const endMs = waitEndMs(purpose, nowMs);
      if (endMs > nowMs) {
        const name = windows.hour?.untilMs === endMs ? 'hour' : 'minute';
        return endMs > waitUntilMs ? fullUntil(name, endMs, nowMs) : refusalUntil(endMs, nowMs);
      }
      // A 403 may have been about a create alone: what has to be taken away is tried all the same.
      const isForbidden = workspaceUuid !== null && forbidden.has(workspaceUuid, nowMs);
      return isForbidden && purpose !== 'revocation' ? { kind: 'upstream_forbidden', status: 403 } : null;
    },

    mayTry: (nowMs) => waitUntilMs - nowMs > REVOCATION_TRY_MS && tryAtMs <= nowMs,

    takeTry: (database, nowMs) => {
      tryAtMs = nowMs + REVOCATION_TRY_MS;
      return [takeTry(database, nowMs, tryAtMs)];
    },

    trying: () => {
      isTrying = true;
    },

    most: (purpose, nowMs) => limits.most(purpose, nowMs),

    reserve: (database, purpose, asked, nowMs) => {
      const most = limits.most(purpose, nowMs);
      const mostUnknown = limits.most(lookUpPurpose(purpose), nowMs);
      const at = bucketsAt(nowMs);
      return {
        queries: [selectCalls(database, nowMs), reserveCalls(database, asked, most, mostUnknown, nowMs)],
        grant: (buckets, { calls = callsIn(asked), isKnown = true } = {}) => {
          const limit = isKnown ? most : mostUnknown;
          const granted = grantedCalls(buckets, limit, calls);
          const own = WINDOW_NAMES.map((span) => ({ span, bucket: at[span], calls: granted }));
          const { name, atMs } = whenFree([...buckets, ...own], limit, 1, nowMs);
          return { calls: granted, at, refusal: granted === calls ? null : fullUntil(name, atMs, nowMs) };
        },
      };
    },

    allowance: (block = 1) =>
      createAllowance(block, (at, calls) => {
        changes = [...changes, { at, calls: -calls }];
      }),

    owe,

    credit: (runtime) => ({
      block: 0,
      add: () => {},
      take: () => {
        owe(runtime.now());
        return true;
      },
      refusal: () => null,
      end: () => {},
    }),

    begin: (nowMs) => {
      const call = Symbol('call');
      underWay.set(call, nowMs);
      return () => void underWay.delete(call);
    },

    note: ({ status, headers }, workspaceUuid, nowMs) => {
      // A credential that is not taken has limits of its own, if any.
      if (isCredentialRefusal(status)) return;
      noteTry(status);
      const heard = readWindow(headers, settings, nowMs);
      if (heard !== null) {
        limits.note(heard.name, heard.limit, nowMs);
        windows[heard.name] = mergeWindow(heard.name, windows[heard.name], heard.window, nowMs);
      }
      if (status === 429) {
        const seconds = retryAfterSeconds(headers.get('Retry-After'), nowMs);
        const pauseMs = seconds === null ? UPSTREAM_WAIT_DEFAULT_MS : seconds * 1000;
        waitUntilMs = Math.max(waitUntilMs, nowMs + pauseMs);
        tryAtMs = Math.max(tryAtMs, nowMs + REVOCATION_TRY_MS);
      } else if (status === 403) forbidden.note(workspaceUuid, nowMs);
      else if (status >= 200 && status < 300) forbidden.allow(workspaceUuid);
    },

    learn: (rows, nowMs) => {
      for (const row of rows) learnRow(row, nowMs);
    },

    news: (database, nowMs) => {
      const queries: Query[] = [];
      if (isWaitOver) queries.push(tellNoMore(database, ALL));
      isWaitOver = false;
      if (waitUntilMs > Math.max(toldWaitMs, nowMs)) {
        queries.push(tellUntil(database, ALL, waitUntilMs));
        if (waitUntilMs - nowMs > REVOCATION_TRY_MS) queries.push(tellUntil(database, TRY, tryAtMs));
        toldWaitMs = waitUntilMs;
      }
      for (const name of WINDOW_NAMES) {
        const window = live(name, nowMs);
        if (window === null || !isWindowNews(name, told[name], window, limits.of(name, nowMs))) continue;
        queries.push(tellWindow(database, name, window, nowMs));
        told[name] = window;
      }
      queries.push(...limits.news(database), ...forbidden.news(database, nowMs));
      const counted = changes.map(({ at, calls }) =>
        calls > 0 ? addCalls(database, at, calls) : giveBackCalls(database, at, -calls),
      );
      changes = [];
      return [...counted, ...(queries.length === 0 ? [] : [forgetExpired(database, nowMs), ...queries])];
    },

    standing: (nowMs) => ({
      waitUntilMs: waitUntilMs > nowMs ? waitUntilMs : null,
      minute: live('minute', nowMs),
      hour: live('hour', nowMs),
      limits: { minute: limits.of('minute', nowMs), hour: limits.of('hour', nowMs) },
    }),
  };
}
