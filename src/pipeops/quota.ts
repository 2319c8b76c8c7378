import {
  RETRY_AFTER_MAX_SECONDS,
  REVOCATION_TRY_MS,
  UPSTREAM_TIMEOUT_MS,
  UPSTREAM_WAIT_DEFAULT_MS,
} from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { Runtime } from '../kit/runtime.ts';
import { isCredentialRefusal, retryAfterSeconds } from './failures.ts';
import {
  addCalls,
  bucketsAt,
  countGranted,
  createReservedCalls,
  giveBackCalls,
  reserveCalls,
  selectCalls,
  whenFree,
  type AskedCalls,
  type Buckets,
  type CallBucket,
  type GrantedCalls,
  type QuotaRefusal,
  type ReservedCalls,
} from './quota-calls.ts';
import {
  ALL,
  createForbiddenWorkspaces,
  createWindowSizes,
  forgetNews,
  type QuotaNews,
  shareWait,
  shareWindow,
  sizeScope,
  takeTry,
  TRY,
  withdraw,
} from './quota-news.ts';
import type { Outcomes } from './outcomes.ts';
import {
  DEFAULT_QUOTA,
  isWindowNews,
  keptCalls,
  lookUpPurpose,
  mergeWindow,
  readWindow,
  WINDOW_NAMES,
  WINDOWS,
  type Purpose,
  type Window,
  type WindowCalls,
  type WindowName,
} from './quota-windows.ts';

// PipeOps' quota: the calls that it answers with one credential, in any minute and in any hour. All isolates share it. In its words:
//
//   window     one of the two spans that PipeOps counts in. Its size is how many calls it has (`quota-windows.ts`).
//   purpose    what a call is for. Each keeps a share of a window for the purposes after it; revocation comes last.
//   reserve    to count calls in D1 before they are sent, so that no two isolates send one call (`quota-calls.ts`).
//   wait       PipeOps answered 429. Nothing is sent until then, but for one revocation a minute that tries all the same.
//   news       what an isolate has heard from PipeOps and the others have not. It goes with D1 batches that are sent anyway
//              (`quota-news.ts`).
//
// During a rotation there are two credentials, each with a quota of its own at PipeOps. Here what PipeOps tells of one counts for
// both, which at worst keeps us waiting for the end of a window.

/** What this isolate knows of the quota: from the calls reserved in D1, from PipeOps' answers, and from the news of other isolates. */
export interface Quota {
  /** Why, by what PipeOps has said, a call must not be sent now; null: it may be sent once it is reserved. */
  permit(purpose: Purpose, workspaceUuid: string | null, nowMs: number): UpstreamFailure | null;
  /** Whether a revocation may try one call though PipeOps says wait: it says so for long, and nobody has tried for a minute. */
  mayTry(nowMs: number): boolean;
  /** That call is on its way. Unless PipeOps answers 429, it takes calls again. */
  trying(): void;
  /** Takes that call from all other isolates. A row says that it was taken. */
  takeTry(database: Database, nowMs: number): readonly [ReturnType<typeof takeTry>];
  /** How many calls each window may hold, one of that purpose included, as far as this isolate knows its size. */
  most(purpose: Purpose, nowMs: number): WindowCalls;
  /** Reserves calls: as many as are left of those asked for. */
  reserve(database: Database, purpose: Purpose, calls: AskedCalls, nowMs: number): Reservation;
  /** For the calls of one piece of work. What is left of them is given back with the next news. */
  reservedCalls(block?: number): ReservedCalls;
  /** For calls that must not wait for D1: each is counted with the next news. */
  countedLater(runtime: Pick<Runtime, 'now'>): ReservedCalls;
  /** A call is sent that D1 could not be asked for. It is counted with the next news. */
  countLater(nowMs: number): void;
  /**
   * A call is under way: PipeOps counts it before it answers. The result says that it has ended. A request that was killed never
   * calls that, so a call counts no longer than UPSTREAM_TIMEOUT_MS.
   */
  begin(nowMs: number): () => void;
  /** Notes what an answer of PipeOps tells. */
  note(answer: Pick<Response, 'status' | 'headers'>, workspaceUuid: string, nowMs: number): void;
  /** Takes in what `selectQuotaNews` read. */
  learn(rows: readonly QuotaNews[], nowMs: number): void;
  /**
   * What other isolates have to hear, for a D1 batch that is sent anyway: nearly always nothing. Each thing is given once. Where that
   * batch is lost, others find out by a call of their own.
   */
  news(database: Database, nowMs: number): readonly Query[];
  standing(nowMs: number): Standing;
}

/** Calls that a batch reserves. */
export interface Reservation {
  /** To be sent in this order, in one batch. The rows of the first say what was granted. */
  readonly queries: readonly [ReturnType<typeof selectCalls>, Query];
  /** @param asked what is known by now: how many an expression asked for, or whether the inventory has the token. */
  grant(buckets: readonly CallBucket[], asked?: { readonly calls?: number; readonly isKnown?: boolean }): GrantedCalls;
}

/** How we stand with the quota, as far as this isolate knows. Times are milliseconds since the epoch. */
export interface Standing {
  /** Null: PipeOps does not say wait. */
  readonly waitUntilMs: number | null;
  /** Null: PipeOps has told nothing of this window. */
  readonly minute: Window | null;
  readonly hour: Window | null;
  readonly sizes: WindowCalls;
}

/**
 * @param settings the sizes of the windows where PipeOps does not tell them.
 * @param outcomes whose news go with those of the quota: every batch that takes the ones takes the others.
 */
export function createQuota(
  settings: WindowCalls = DEFAULT_QUOTA,
  outcomes: Pick<Outcomes, 'news'> = { news: () => [] },
): Quota {
  const sizes = createWindowSizes(settings);
  const forbidden = createForbiddenWorkspaces();
  const windows: Record<WindowName, Window | null> = { minute: null, hour: null };
  const sharedWindows: Record<WindowName, Window | null> = { minute: null, hour: null };
  let waitUntilMs = 0;
  let sharedWaitMs = 0;
  /** No revocation tries before then. */
  let tryAtMs = 0;
  let isTrying = false;
  /** A try has shown that PipeOps takes calls again, and D1 says wait. */
  let isWaitOver = false;
  /** Calls to add to those that D1 counts, since they were sent without being reserved; and to take off, since nobody sends them. */
  let uncounted: readonly { readonly at: Buckets; readonly calls: number }[] = [];
  /** When each call under way began. */
  const underWay = new Map<symbol, number>();

  const countUnderWay = (nowMs: number): number => {
    for (const [call, begunAtMs] of underWay) if (nowMs - begunAtMs > UPSTREAM_TIMEOUT_MS) underWay.delete(call);
    return underWay.size;
  };

  const live = (name: WindowName, nowMs: number): Window | null => {
    const window = windows[name];
    return window !== null && window.untilMs > nowMs ? window : null;
  };

  const countLater = (nowMs: number): void => {
    uncounted = [...uncounted, { at: bucketsAt(nowMs), calls: 1 }];
  };

  /** Until when a call has to wait; `nowMs` or earlier: it need not. */
  const waitEndMs = (purpose: Purpose, nowMs: number): number => {
    const inFlight = countUnderWay(nowMs);
    const ends = WINDOW_NAMES.map((name) => {
      const window = live(name, nowMs);
      // What is under way is not in the number that PipeOps told last.
      const kept = keptCalls(name, purpose, sizes.of(name, nowMs));
      // What PipeOps told may be of a window that is over: a revocation finds out.
      const isKept = window !== null && purpose !== 'revocation' && window.remaining - inFlight <= kept;
      return isKept ? window.untilMs : 0;
    });
    return Math.max(waitUntilMs, ...ends);
  };

  /** What a caller is told where a window has no call left until then. */
  const fullUntil = (name: WindowName, untilMs: number, nowMs: number): QuotaRefusal => ({
    ...refusalUntil(untilMs, nowMs),
    window: {
      policy: 'pipeops',
      limit: sizes.of(name, nowMs),
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
    isWaitOver = sharedWaitMs > 0;
    sharedWaitMs = 0;
  };

  const learnRow = ({ scope, until, remaining }: QuotaNews, nowMs: number): void => {
    const sized = WINDOW_NAMES.find((name) => sizeScope(name) === scope);
    if (sized !== undefined) return sizes.learn(sized, remaining, until, nowMs);
    if (scope === ALL) {
      waitUntilMs = Math.max(waitUntilMs, Math.min(until, nowMs + RETRY_AFTER_MAX_SECONDS * 1000));
      sharedWaitMs = Math.max(sharedWaitMs, until);
    } else if (scope === TRY) {
      tryAtMs = Math.max(tryAtMs, Math.min(until, nowMs + REVOCATION_TRY_MS));
    } else if (scope === 'minute' || scope === 'hour') {
      if (remaining === null) return;
      const heard = { remaining, untilMs: until };
      windows[scope] = mergeWindow(scope, windows[scope], heard, nowMs);
      sharedWindows[scope] = mergeWindow(scope, sharedWindows[scope], heard, nowMs);
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

    most: (purpose, nowMs) => sizes.most(purpose, nowMs),

    reserve: (database, purpose, asked, nowMs) => {
      const most = sizes.most(purpose, nowMs);
      const mostUnknown = sizes.most(lookUpPurpose(purpose), nowMs);
      const at = bucketsAt(nowMs);
      return {
        queries: [selectCalls(database, nowMs), reserveCalls(database, asked, most, mostUnknown, nowMs)],
        grant: (buckets, { calls = numberOf(asked), isKnown = true } = {}) => {
          const mostHere = isKnown ? most : mostUnknown;
          const granted = countGranted(buckets, mostHere, calls);
          const own = WINDOW_NAMES.map((span) => ({ span, bucket: at[span], calls: granted }));
          const { name, atMs } = whenFree([...buckets, ...own], mostHere, 1, nowMs);
          return { calls: granted, at, refusal: granted === calls ? null : fullUntil(name, atMs, nowMs) };
        },
      };
    },

    reservedCalls: (block = 1) =>
      createReservedCalls(block, (at, calls) => {
        uncounted = [...uncounted, { at, calls: -calls }];
      }),

    countedLater: (runtime) => ({
      block: 0,
      add: () => {},
      take: () => {
        countLater(runtime.now());
        return true;
      },
      refusal: () => null,
      end: () => {},
    }),

    countLater,

    begin: (nowMs) => {
      const call = Symbol('call');
      underWay.set(call, nowMs);
      return () => void underWay.delete(call);
    },

    note: ({ status, headers }, workspaceUuid, nowMs) => {
      // A credential that is refused has a quota of its own, if any.
      if (isCredentialRefusal(status)) return;
      noteTry(status);
      const heard = readWindow(headers, settings, nowMs);
      if (heard !== null) {
        sizes.note(heard.name, heard.size, nowMs);
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
      if (isWaitOver) queries.push(withdraw(database, ALL));
      isWaitOver = false;
      if (waitUntilMs > Math.max(sharedWaitMs, nowMs)) {
        queries.push(shareWait(database, ALL, waitUntilMs));
        if (waitUntilMs - nowMs > REVOCATION_TRY_MS) queries.push(shareWait(database, TRY, tryAtMs));
        sharedWaitMs = waitUntilMs;
      }
      for (const name of WINDOW_NAMES) {
        const window = live(name, nowMs);
        if (window === null || !isWindowNews(name, sharedWindows[name], window, sizes.of(name, nowMs))) continue;
        queries.push(shareWindow(database, name, window, nowMs));
        sharedWindows[name] = window;
      }
      queries.push(...sizes.news(database), ...forbidden.news(database, nowMs));
      const counted = uncounted.map(({ at, calls }) =>
        calls > 0 ? addCalls(database, at, calls) : giveBackCalls(database, at, -calls),
      );
      uncounted = [];
      return [
        ...counted,
        ...(queries.length === 0 ? [] : [forgetNews(database, nowMs), ...queries]),
        ...outcomes.news(database, nowMs),
      ];
    },

    standing: (nowMs) => ({
      waitUntilMs: waitUntilMs > nowMs ? waitUntilMs : null,
      minute: live('minute', nowMs),
      hour: live('hour', nowMs),
      sizes: { minute: sizes.of('minute', nowMs), hour: sizes.of('hour', nowMs) },
    }),
  };
}

/** How many calls are asked for; 0 where an expression says it. */
const numberOf = (asked: AskedCalls): number => {
  if (typeof asked === 'number') return asked;
  return 'token' in asked ? asked.calls : 0;
};

const refusalUntil = (untilMs: number, nowMs: number): QuotaRefusal => ({
  kind: 'upstream_rate_limited',
  status: 429,
  retryAfterSeconds: Math.max(1, Math.ceil((untilMs - nowMs) / 1000)),
});
