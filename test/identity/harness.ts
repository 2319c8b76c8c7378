import { type Authenticator, createAuthenticator } from '../../src/identity/authenticator.ts';
import { createKeySource } from '../../src/identity/keys.ts';
import type { IssuerPolicy } from '../../src/config/issuers.ts';
import type { JwksStore, StoredJwks } from '../../src/identity/key-archive.ts';
import type { Runtime } from '../../src/kit/runtime.ts';

/** A Monday in 2026, on a whole second. */
export const NOW_MS = Date.UTC(2026, 10, 23, 12, 0, 0);
export const NOW_SECONDS = NOW_MS / 1000;

export type Answer = () => Response | Promise<Response>;

/** A clock, a network and deadlines that move when a test says so. */
export interface Harness {
  readonly runtime: Pick<Runtime, 'now' | 'fetch' | 'timeout' | 'log'>;
  readonly store: JwksStore;
  readonly dependencies: Parameters<typeof createKeySource>[0];
  /** What each URL answers. A URL that is missing refuses the connection. */
  readonly answers: Map<string, Answer>;
  /** Every URL that was asked, with the options. */
  readonly requests: { url: string; init: RequestInit }[];
  readonly logged: Readonly<Record<string, unknown>>[];
  readonly stored: Map<string, StoredJwks>;
  readonly storeCalls: string[];
  advance(ms: number): void;
  /** Ends every deadline of this length that was set. */
  expire(ms: number): void;
  /** Waits until everything in the background has ended. */
  settle(): Promise<void>;
}

export function createHarness(overrides: { store?: Partial<JwksStore> } = {}): Harness {
  let nowMs = NOW_MS;
  const answers = new Map<string, Answer>();
  const requests: Harness['requests'] = [];
  const logged: Harness['logged'] = [];
  const stored = new Map<string, StoredJwks>();
  const storeCalls: string[] = [];
  const deadlines: { ms: number; controller: AbortController }[] = [];
  const background: Promise<unknown>[] = [];

  const runtime: Harness['runtime'] = {
    now: () => nowMs,
    fetch: async (url, init) => {
      requests.push({ url, init });
      const answer = answers.get(url);
      if (answer === undefined) throw new TypeError('connection refused');
      return await answer();
    },
    timeout: (ms) => {
      const controller = new AbortController();
      deadlines.push({ ms, controller });
      return controller.signal;
    },
    log: (line) => {
      logged.push(line);
    },
  };
  const store: JwksStore = {
    read: async (issuer) => {
      storeCalls.push('read');
      return stored.get(issuer) ?? null;
    },
    write: async (issuer, value) => {
      storeCalls.push('write');
      stored.set(issuer, value);
    },
    ...overrides.store,
  };

  return {
    runtime,
    store,
    dependencies: { runtime, store, background: (work) => void background.push(work) },
    answers,
    requests,
    logged,
    stored,
    storeCalls,
    advance: (ms) => {
      nowMs += ms;
    },
    expire: (ms) => {
      for (const deadline of deadlines.filter((set) => set.ms === ms)) deadline.controller.abort();
    },
    settle: async () => {
      // Work in the background may begin more of it.
      for (let settled = 0; settled < background.length; settled = background.length) await Promise.all(background);
    },
  };
}

/** Authenticates requests against `issuers`, at NOW_MS until the harness says otherwise. */
export function authenticatorFor(issuers: readonly IssuerPolicy[], harness: Harness = createHarness()): Authenticator {
  return createAuthenticator({ issuers, keys: createKeySource(harness.dependencies), runtime: harness.runtime });
}

export function requestWith(
  token: string,
  overrides: { method?: string; url?: string; header?: string; headers?: Record<string, string> } = {},
): { method: string; url: string; headers: Headers } {
  const { method = 'GET', url = 'https://countersign.test/api/v1/whoami', header = 'Authorization' } = overrides;
  const headers = new Headers(overrides.headers);
  headers.set(header, header === 'Authorization' ? `Bearer ${token}` : token);
  return { method, url, headers };
}

/** The reason for which a JWT is rejected. Any other outcome is returned whole. */
export async function rejectionOf(authenticator: Authenticator, token: string): Promise<unknown> {
  const result = await authenticator.authenticate(requestWith(token));
  return !result.ok && result.error.kind === 'token_rejected' ? result.error.reason : result;
}
