import { createPipeOps } from '../../src/pipeops/client.ts';
import { createCredentials } from '../../src/pipeops/credentials.ts';
import { createQuota, type Quota } from '../../src/pipeops/quota.ts';
import type { Admit } from '../../src/pipeops/quota-calls.ts';
import { newTrace } from '../../src/kit/trace.ts';
import type { Call, PipeOps } from '../../src/pipeops/types.ts';

export interface SentRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: unknown;
  readonly redirect: string | undefined;
}

export type Answer = (init: RequestInit) => Response | Promise<Response>;

export const API_URL = 'https://api.pipeops.test';
export const NOW_MS = Date.parse('2026-11-24T12:00:00.000Z');
export const WORKSPACE = 'ws-1';
export const REF = { workspaceUuid: WORKSPACE, tokenId: 'tok-1' };
export const CREATE = {
  workspaceUuid: WORKSPACE,
  name: 'deploy',
  description: null,
  scopes: ['api:read'],
  expiresAt: null,
};
export const MINTED = { id: 'tok-1', name: 'deploy', token: 'sat_Zk3nP0qLmW8xYb71', scopes: ['api:read'] };

export const callWith = (signal: AbortSignal, rest: Partial<Call> = {}): Call => ({
  eventId: 'event-1',
  traceparent: null,
  trace: newTrace(),
  signal,
  ...rest,
});

/** Admits every call, as if each were reserved. */
export const ADMIT_ALL: Admit = async () => null;

/** Nobody wants to know what requests come to. */
export const UNHEARD = { note: () => {} };

/** Admits every call, as long as PipeOps has not said wait. */
const admitAsLongAs =
  (quota: Quota): Admit =>
  async (purpose, workspaceUuid) =>
    quota.permit(purpose, workspaceUuid, NOW_MS);

/** A call whose deadline never comes. */
export const patientCall = (): Call => callWith(new AbortController().signal);

/**
 * The client before a network that gives these answers in turn: for answers, and failures of the network, that no
 * server would give on demand. Reports what was sent.
 */
export const scripted = (
  answers: readonly Answer[],
  credentials: readonly string[] = ['admin-jwt'],
): { pipeops: PipeOps; sent: SentRequest[] } => {
  const sent: SentRequest[] = [];
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const answer = answers[sent.length];
    const { method = 'GET', body, redirect } = init;
    const text = typeof body === 'string' ? body : null;
    const headers = new Headers(init.headers);
    sent.push({ method, url, headers, body: text === null ? null : JSON.parse(text), redirect });
    if (answer === undefined) throw new Error('More requests than the script has answers.');
    return await answer(init);
  };
  const runtime = { ...RUNTIME, fetch };
  const quota = createQuota();
  return {
    pipeops: createPipeOps({
      apiUrl: API_URL,
      credentials: createCredentials(credentials),
      outcomes: UNHEARD,
      quota,
      admit: admitAsLongAs(quota),
      runtime,
    }),
    sent,
  };
};

export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  () =>
    Response.json(body, { status, headers });

/** Nothing waits, and nothing is left to chance. */
export const RUNTIME = {
  now: () => NOW_MS,
  sleep: async () => {},
  randomBytes: (length: number) => new Uint8Array(length),
};

/** How often each is sent where nothing gets through. */
export const MOST_SENT: Readonly<Record<string, number>> = { create: 1, list: 3, get: 3, update: 2, revoke: 2 };

/** The five operations, the failures of which are told alike. */
export const operations: readonly (readonly [string, (pipeops: PipeOps, call: Call) => Promise<unknown>])[] = [
  ['create', async (pipeops, call) => await pipeops.create(CREATE, call)],
  ['list', async (pipeops, call) => await pipeops.list(WORKSPACE, call)],
  ['get', async (pipeops, call) => await pipeops.get(REF, call)],
  ['update', async (pipeops, call) => await pipeops.update(REF, { name: 'deploy' }, call)],
  ['revoke', async (pipeops, call) => await pipeops.revoke(REF, call)],
];
