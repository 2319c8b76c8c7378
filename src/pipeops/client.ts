import { CHANGE_RETRIES_MAX_COUNT, READ_RETRIES_MAX_COUNT, RETRY_PAUSE_MS } from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import { chanceOf } from '../kit/backoff.ts';
import { pause, untilAborted } from '../kit/deadline.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import { failureOf, isCredentialRefusal, isOutcomeUnknown } from './failures.ts';
import type { AdminCredential, Credentials } from './credentials.ts';
import type { Outcomes } from './outcomes.ts';
import { gatherPages } from './pages.ts';
import type { Purpose } from './quota-windows.ts';
import type { Quota } from './quota.ts';
import type { Admit } from './quota-calls.ts';
import { createBody, type PageQuery, purposeOf, tokenUrls, updateBody } from './requests.ts';
import type { Call, PipeOps, TokenRef, Upstream } from './types.ts';
import { discardBody, isAcknowledgement, type ListPage, readJson, readMinted, readPage, readToken } from './wire.ts';

interface PipeOpsOptions {
  /** Origin, and a base path where there is one. */
  readonly apiUrl: string;
  readonly credentials: Credentials;
  /** Hears what every request came to. */
  readonly outcomes: Pick<Outcomes, 'note'>;
  /** Hears of every request and every answer. */
  readonly quota: Pick<Quota, 'begin' | 'note'>;
  /** Every request is sent only after this has admitted it. */
  readonly admit: Admit;
  readonly runtime: Pick<Runtime, 'fetch' | 'now' | 'sleep' | 'randomBytes'>;
}

/**
 * Makes the client of PipeOps' token API. A credential that is refused gives way to the next one: the refused request had no effect.
 * For the same reason it is sent again under a credential that was renewed meanwhile, while its call has time.
 * Otherwise a request is repeated only where `retryPauseMs` says so, within the one deadline of its call. A create is never repeated,
 * since PipeOps has no idempotency key. Every request, a page or a repetition too, is admitted by itself.
 *
 * Throws on a URL that cannot be used. Its methods throw on an id that has not an id's shape: callers check ids before.
 */
export const createPipeOps = (options: PipeOpsOptions): PipeOps => {
  const { apiUrl, credentials, outcomes, quota, admit, runtime } = options;
  const urls = tokenUrls(apiUrl);

  /** Sends one request with one credential, and tells the quota. */
  const counted = async (
    request: UpstreamRequest,
    { secret: credential }: AdminCredential,
    call: Call,
  ): ReturnType<typeof exchange> => {
    const end = quota.begin(runtime.now());
    try {
      const answered = await exchange(runtime, request, credential, call);
      if (answered.ok) quota.note(answered.value, request.workspaceUuid, runtime.now());
      return answered;
    } finally {
      end();
    }
  };

  const note = (
    { workspaceUuid, asksWorkspace }: UpstreamRequest,
    credential: AdminCredential,
    failure: UpstreamFailure | null,
    isTriedOn = false,
  ): void => {
    const meant = asksWorkspace ? ofWorkspace(failure) : failure;
    outcomes.note({ credential, workspaceUuid, failure: meant, isTriedOn }, runtime.now());
  };

  const send = async (request: UpstreamRequest, call: Call): Promise<Result<Sent, UpstreamFailure>> => {
    let refusal: UpstreamFailure = { kind: 'upstream_timeout' };
    const purpose = call.purpose ?? request.purpose;
    const tried = new Set<string>();
    const untried = (): readonly AdminCredential[] => credentials.inOrder().filter(({ id }) => !tried.has(id));
    await credentials.prepare(call);
    let [credential] = untried();
    while (credential !== undefined) {
      tried.add(credential.id);
      const refused = await admit(purpose, request.workspaceUuid, call);
      if (refused !== null) return err(refused);
      // Of a request that is not sent, nothing is noted.
      if (call.signal.aborted) return err(refusal);
      const answered = await counted(request, credential, call);
      if (!answered.ok) {
        note(request, credential, answered.error);
        return answered;
      }
      const response = answered.value;
      if (!isCredentialRefusal(response.status)) {
        if (response.ok) credentials.accepted(credential);
        return ok({ response, credential });
      }
      discardBody(response);
      refusal = { kind: 'upstream_credential_rejected', status: response.status };
      credentials.refused(credential);
      if (untried().length === 0) await credentials.renewed(call);
      const [next] = untried();
      note(request, credential, refusal, next !== undefined && !call.signal.aborted);
      // A refusal has certainly changed nothing. Of a second request without time for its answer nobody could say so.
      if (call.signal.aborted) break;
      credential = next;
    }
    return err(refusal);
  };

  /** Sends one request and reads its answer. `read` takes the JSON of a 2xx, or undefined for a 204; null: it is no valid answer. */
  const tryOnce = async <T>(request: UpstreamRequest, call: Call, read: (body: unknown) => T | null): Upstream<T> => {
    const sent = await send(request, call);
    if (!sent.ok) return sent;
    const { response, credential } = sent.value;
    const answered = await readAnswer(response, call.signal, runtime.now(), read);
    note(request, credential, answered.ok ? null : answered.error);
    return answered;
  };

  const perform = async <T>(request: UpstreamRequest, call: Call, read: (body: unknown) => T | null): Upstream<T> =>
    settled(await tryRepeatedly(runtime, request, call, async () => await tryOnce(request, call, read)));

  const collection = (workspaceUuid: string, page?: PageQuery) =>
    ({ url: urls.collection(workspaceUuid, page), workspaceUuid, asksWorkspace: page === undefined }) as const;
  const one = (ref: TokenRef) =>
    ({ url: urls.token(ref), workspaceUuid: ref.workspaceUuid, asksWorkspace: false }) as const;
  const readList = async (workspaceUuid: string, call: Call, page?: PageQuery): Upstream<ListPage> => {
    const request = { ...collection(workspaceUuid, page), method: 'GET', purpose: 'read' } as const;
    return await perform(request, call, (body) => readPage(body, workspaceUuid));
  };

  return {
    create: async (command, call) => {
      const request = {
        ...collection(command.workspaceUuid),
        method: 'POST',
        purpose: 'change',
        body: createBody(command),
      } as const;
      const answered = told(await perform(request, call, (body) => readMinted(body, command.name)));
      // No other create sends this name, so a 409 is about an earlier copy of this one.
      if (answered.ok || answered.error.kind !== 'upstream_rejected' || answered.error.status !== 409) return answered;
      return err({ kind: 'upstream_error', status: 409 });
    },

    list: async (workspaceUuid, call) =>
      told(await gatherPages(async (page) => await readList(workspaceUuid, call, page))),

    probe: async (workspaceUuid, call) => told(await readList(workspaceUuid, call)),

    get: async (ref, call) =>
      await perform({ ...one(ref), method: 'GET', purpose: 'read' }, call, (body) => readToken(body, ref.tokenId)),

    update: async (ref, command, call) =>
      await perform(
        { ...one(ref), method: 'PATCH', purpose: purposeOf(command), body: updateBody(command) },
        call,
        (body) => readToken(body, ref.tokenId),
      ),

    revoke: async (ref, call) => {
      const request = { ...one(ref), method: 'DELETE', purpose: 'revocation' } as const;
      const read = (body: unknown) => (body === undefined || isAcknowledgement(body) ? ('revoked' as const) : null);
      const tried = await tryRepeatedly(runtime, request, call, async () => await tryOnce(request, call, read));
      const { answered } = tried;
      // After a try whose answer was lost, that try is the likeliest reason of a 404. It is no less ambiguous for that.
      return !answered.ok && answered.error.kind === 'upstream_not_found' ? answered : settled(tried);
    },
  };
};

/** Where no token is named, what PipeOps does not find is the workspace: we have no standing there, and no token is missing. */
const ofWorkspace = <F extends UpstreamFailure | null>(failure: F): F | UpstreamFailure =>
  failure?.kind === 'upstream_not_found' ? { kind: 'upstream_forbidden', status: failure.status } : failure;

const told = <T>(answered: Awaited<Upstream<T>>): Awaited<Upstream<T>> =>
  answered.ok ? answered : err(ofWorkspace(answered.error));

/** An answer whose head is here, and the credential that it answers to. */
interface Sent {
  readonly response: Response;
  readonly credential: AdminCredential;
}

async function readAnswer<T>(
  response: Response,
  signal: AbortSignal,
  nowMs: number,
  read: (body: unknown) => T | null,
): Upstream<T> {
  const { status } = response;
  if (!response.ok) return err(await failureOf(response, signal, nowMs));
  const body = status === 204 ? ok(undefined) : await readJson(response, signal);
  if (!body.ok) return body;
  const data = read(body.value);
  return data === null ? err({ kind: 'upstream_invalid_response', status }) : ok({ status, data });
}

interface UpstreamRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly url: string;
  readonly workspaceUuid: string;
  /** Whether a 404 is about the workspace, and not about a token or a page of a list. */
  readonly asksWorkspace: boolean;
  readonly purpose: Purpose;
  /** Sent as JSON. */
  readonly body?: Readonly<Record<string, unknown>>;
}

const headersOf = (request: UpstreamRequest, credential: string, call: Call): Record<string, string> => ({
  Authorization: `Bearer ${credential}`,
  Accept: 'application/json',
  'User-Agent': 'countersign',
  'X-Request-Id': call.eventId,
  ...(request.body !== undefined && { 'Content-Type': 'application/json' }),
  ...(call.traceparent !== null && { traceparent: call.traceparent }),
});

/**
 * Sends one request with one credential, once, and waits for the head of the answer. Redirects are not followed: the
 * credential must not reach another origin.
 *
 * Fails with `upstream_timeout` if the call's signal aborts first and `upstream_unreachable` if the connection breaks.
 */
const exchange = async (
  runtime: Pick<Runtime, 'fetch' | 'now'>,
  request: UpstreamRequest,
  credential: string,
  call: Call,
): Promise<Result<Response, UpstreamFailure>> => {
  const { signal } = call;
  const startedAtMs = runtime.now();
  call.trace.upstreamCalls += 1;
  let answer: Promise<Response> | undefined;
  try {
    answer = runtime.fetch(request.url, {
      method: request.method,
      headers: headersOf(request, credential, call),
      body: request.body === undefined ? null : JSON.stringify(request.body),
      redirect: 'manual',
      signal,
    });
    return ok(await untilAborted(answer, signal));
  } catch {
    // An answer that comes after all is not read.
    answer?.then(discardBody, () => {});
    return err({ kind: signal.aborted ? 'upstream_timeout' : 'upstream_unreachable' });
  } finally {
    call.trace.upstreamMs += runtime.now() - startedAtMs;
  }
};

/** What the tries of one request came to. */
interface Tried<T> {
  /** The last answer. */
  readonly answered: Awaited<Upstream<T>>;
  /** How an earlier try of a change failed, after which nobody knows whether it took effect; null: there was none. */
  readonly doubt: UpstreamFailure | null;
}

/** Sends a request, and again where `retryPauseMs` says so, within the one deadline of its call. */
async function tryRepeatedly<T>(
  runtime: Pick<Runtime, 'sleep' | 'randomBytes'>,
  { method }: Pick<UpstreamRequest, 'method'>,
  call: Call,
  tryOnce: () => Upstream<T>,
): Promise<Tried<T>> {
  let doubt: UpstreamFailure | null = null;
  for (let retries = 0; ; retries += 1) {
    // One after the other: each is the same request.
    const answered = await tryOnce();
    if (answered.ok || call.isRetriedLater === true) return { answered, doubt };
    const pauseMs = retryPauseMs(method, answered.error, retries, chanceOf(runtime.randomBytes(1)));
    if (pauseMs === null || !(await pause(runtime, pauseMs, call.signal))) return { answered, doubt };
    if (method !== 'GET') doubt = answered.error;
  }
}

/**
 * Says what is known after all tries. A refusal of the last one says nothing of an earlier one that may have taken effect: then the
 * doubt remains.
 */
const settled = <T>({ answered, doubt }: Tried<T>): Awaited<Upstream<T>> =>
  answered.ok || doubt === null || isOutcomeUnknown(answered.error) ? answered : err(doubt);

/** What a gateway answers, or a PipeOps that is starting: the next try may meet another one. */
const PASSING: readonly number[] = [502, 503, 504];

/**
 * Says how long to wait before a request is sent once more, in milliseconds; null: it is not sent again.
 *
 * A read may be repeated. So may a change that has one effect however often it is made: a revoke, and an update, which sets values
 * and adds nothing. A create would mint again, so it is never repeated. Nothing is repeated that PipeOps has answered: 4xx and 429
 * mean what they say, and an answer that cannot be read would not be readable the next time either. Nor is a request whose time is up.
 *
 * @param retries how many there were already.
 * @param chance from 0 to 1.
 */
export function retryPauseMs(
  method: UpstreamRequest['method'],
  failure: UpstreamFailure,
  retries: number,
  chance: number,
): number | null {
  if (retries >= mostRetries(method) || !isPassing(method, failure)) return null;
  return Math.round(RETRY_PAUSE_MS * 2 ** retries * (1 + 2 * chance));
}

function mostRetries(method: UpstreamRequest['method']): number {
  if (method === 'POST') return 0;
  return method === 'GET' ? READ_RETRIES_MAX_COUNT : CHANGE_RETRIES_MAX_COUNT;
}

function isPassing(method: UpstreamRequest['method'], failure: UpstreamFailure): boolean {
  if (failure.kind === 'upstream_unreachable') return true;
  // A change has most likely met a bug in a 500: it would meet it again, and half of it may be done.
  if (failure.kind !== 'upstream_error') return false;
  return PASSING.includes(failure.status) || (method === 'GET' && failure.status === 500);
}
