import { CountersignError, type Failure, failureOf, isRecord } from './failure.ts';
import type { JwtHolder, JwtSource } from './jwt.ts';
import { safeOrigin } from './origin.ts';

/** A service that does not answer in this time is taken for dead. The service's own deadline is shorter. */
export const ANSWER_TIMEOUT_MS = 35_000;
const DEADLINE_MS = 60_000;
const RETRIES = 3;
const BACKOFF_FIRST_MS = 2_000;
const BACKOFF_MAX_MS = 60_000;

/** What sends a request: the global `fetch`, or one of a service binding. */
export type Fetch = (url: string, init: FetchInit) => Promise<Response>;

export interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly redirect: 'manual';
  readonly signal: AbortSignal;
}

export interface ClientOptions {
  /** The origin of the service, such as `https://countersign.example.com`. */
  readonly url: string;
  /** A JWT, or what gives one. It is sent to `url` alone. */
  readonly jwt: JwtSource;
  /** The header that carries the JWT. `Authorization` (the default) gets `Bearer` in front of it, any other the JWT alone. */
  readonly jwtHeader?: string;
  /** What the trail shows as `user_agent`. Browsers send their own. */
  readonly userAgent?: string;
  /** In place of the global `fetch`, such as that of a service binding: `(url, init) => env.COUNTERSIGN.fetch(url, init)`. */
  readonly fetch?: Fetch;
  /** The milliseconds that a call may take, retries included. Default: 60,000. */
  readonly deadlineMs?: number;
  /** How often a call is repeated where that is safe. Default: 3. */
  readonly retries?: number;
  /** Is told before each repeat what it waits for. */
  readonly onRetry?: (retry: Retry) => void;
}

export interface Retry {
  readonly failure: Failure;
  readonly waitMs: number;
}

/** What every call takes. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** In place of the client's own. */
  readonly deadlineMs?: number;
  /** In place of the client's own. */
  readonly retries?: number;
  /** Is told of the answer to a call that succeeded. */
  readonly onAnswer?: (answer: Answer) => void;
}

export interface Answer {
  readonly status: number;
  readonly requestId: string | null;
  /** The event of the trail that is about the request. */
  readonly eventId: string | null;
  /** Whether it repeats the answer to an earlier create of the same `Idempotency-Key`. */
  readonly isReplay: boolean;
}

/** Time, which tests replace. */
export interface Runtime {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Ends early, by throwing, where the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** One request of the API. */
export interface Request {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: object | undefined;
  readonly body?: object;
  /** The `Idempotency-Key` of what is created. Null: it has none, so that a repeat may create a second one. */
  readonly idempotencyKey?: string | null;
  /** Whether a list that is held somewhere does not do. */
  readonly isFresh?: boolean;
  /** Whether it is sent without a JWT. */
  readonly isPublic?: boolean;
}

export interface Transport {
  readonly origin: string;
  /** Sends a request and reads the envelope of its answer. @throws CountersignError */
  json(request: Request, options?: CallOptions): Promise<Envelope>;
  /** Sends a request and reads what its answer holds, which is no envelope. @throws CountersignError */
  bytes(request: Request, options?: CallOptions): Promise<Uint8Array>;
  /** Sends a request and gives the body of its answer. The deadline ends where the body begins. @throws CountersignError */
  stream(request: Request, options?: CallOptions): Promise<Response>;
}

/** The body of a success. */
export type Envelope = Readonly<Record<string, unknown>>;

export function createTransport(
  options: Omit<ClientOptions, 'jwt'>,
  holder: JwtHolder,
  { now, sleep }: Runtime,
): Transport {
  const origin = safeOrigin(options.url);
  // Workers refuse a `fetch` that is called as a method of something else.
  const send: Fetch = options.fetch ?? (async (url, init) => await fetch(url, init));
  const jwtHeader = options.jwtHeader ?? 'Authorization';
  const scheme = jwtHeader.toLowerCase() === 'authorization' ? 'Bearer ' : '';

  const jwtFor = async (): Promise<string> => {
    try {
      return await holder.get();
    } catch (cause) {
      const message = `No JWT: ${cause instanceof Error ? cause.message : 'its source failed.'}`;
      throw new CountersignError({ code: 'client_no_jwt', message }, { cause });
    }
  };

  /** Sends a request once, or twice where the JWT was refused and another is to be had. */
  const attempt = async <T>(request: Request, signal: AbortSignal, read: Read<T>): Promise<T> => {
    for (let isRepeat = false; ; isRepeat = true) {
      const jwt = request.isPublic === true ? null : await untilAborted(jwtFor(), signal);
      const init = initOf(request, signal);
      if (options.userAgent !== undefined) init.headers['User-Agent'] = options.userAgent;
      if (jwt !== null) init.headers[jwtHeader] = `${scheme}${jwt}`;
      const response = await send(urlOf(origin, request), init);
      if (response.ok) return await read(response);
      const failure = failureOf(origin, response, await jsonOf(response));
      const isRefused = failure.code === 'invalid_token' && jwt !== null && holder.refuse(jwt);
      if (!isRefused || isRepeat) throw new CountersignError(failure);
    }
  };

  const call = async <T>(request: Request, given: CallOptions, read: Read<T>): Promise<T> => {
    const deadline = now() + (given.deadlineMs ?? options.deadlineMs ?? DEADLINE_MS);
    const retries = given.retries ?? options.retries ?? RETRIES;
    const key = request.idempotencyKey ?? null;
    let wasSent = false;
    for (let tries = 0; ; tries += 1) {
      const leftMs = deadline - now();
      const timer = stopAfter(Math.min(leftMs, ANSWER_TIMEOUT_MS), given.signal);
      let failed: CountersignError;
      try {
        return await attempt(request, timer.signal, read);
      } catch (error) {
        failed = errorOf(error, { origin, isAborted: given.signal?.aborted === true, isLate: timer.isLate() }, key);
      } finally {
        timer.stop();
      }
      const waitMs = waitOf(failed.failure, tries);
      wasSent ||= mayHaveArrived(failed.failure);
      const isWorthIt = mayBeRepeated(request, failed.failure, wasSent);
      if (!isWorthIt || tries >= retries || now() + waitMs >= deadline) throw failed;
      options.onRetry?.({ failure: failed.failure, waitMs });
      const pause = stopAfter(deadline - now(), given.signal);
      try {
        await sleep(waitMs, pause.signal);
      } catch {
        throw errorOf(null, { origin, isAborted: given.signal?.aborted === true, isLate: true }, key);
      } finally {
        pause.stop();
      }
    }
  };

  return {
    origin,
    json: async (request, given = {}) =>
      await call(request, given, async (response) => {
        const body = await envelopeOf(origin, response);
        given.onAnswer?.(answerOf(response));
        return body;
      }),
    bytes: async (request, given = {}) =>
      await call(request, given, async (response) => {
        const bytes = await bytesOf(response);
        given.onAnswer?.(answerOf(response));
        return bytes;
      }),
    stream: async (request, given = {}) =>
      await call(request, given, async (response) => {
        given.onAnswer?.(answerOf(response));
        return await Promise.resolve(response);
      }),
  };
}

/** What `fetch` is given for a request. A redirect would carry its credentials elsewhere, so none is followed. */
export function initOf(request: Request, signal: AbortSignal): FetchInit {
  const headers: Record<string, string> = { Accept: 'application/json, application/x-ndjson, text/csv' };
  if (request.isFresh === true) headers['Cache-Control'] = 'no-cache';
  if (isKeyed(request)) headers['Idempotency-Key'] = request.idempotencyKey;
  if (request.body !== undefined) headers['Content-Type'] = 'application/json';
  const body = request.body === undefined ? {} : { body: JSON.stringify(request.body) };
  return { method: request.method, headers, ...body, redirect: 'manual', signal };
}

export const urlOf = (origin: string, { path, query }: Request): string => `${origin}${path}${searchOf(query)}`;

/** The envelope of an answer that says it is a success. @throws CountersignError where it is no such envelope. */
export async function envelopeOf(origin: string, response: Response): Promise<Envelope> {
  const body = await jsonOf(response);
  if (!isRecord(body) || body['success'] !== true) throw new CountersignError(failureOf(origin, response, undefined));
  return body;
}

export type Read<T> = (response: Response) => Promise<T>;

/**
 * Whether a request may be sent again. 429 says that nothing was done. A 503 leaves open whether something was: a create then needs its key,
 * and all else comes to the same when it is done twice. A connection that broke may have carried a create to its end, and its key gets the
 * answer that was lost; all else is left to the caller.
 *
 * @param wasSent whether an earlier try may have reached the service, and its key is then in use by ourselves.
 */
function mayBeRepeated(request: Request, failure: Failure, wasSent: boolean): boolean {
  const status = 'status' in failure ? failure.status : null;
  if (status === 429) return true;
  if (status === 503) return request.idempotencyKey !== null;
  if (NOT_ANSWERED.includes(failure.code)) return isKeyed(request) && wasSent;
  return failure.code === 'idempotency_in_flight' && wasSent;
}

const NOT_ANSWERED: readonly Failure['code'][] = ['client_unreachable', 'client_deadline'];
/** The codes of a platform that could not even connect. */
const NOT_SENT: readonly (string | null)[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'];

const mayHaveArrived = (failure: Failure): boolean =>
  NOT_ANSWERED.includes(failure.code) && !('cause' in failure && NOT_SENT.includes(failure.cause));

const isKeyed = (request: Request): request is Request & { readonly idempotencyKey: string } =>
  typeof request.idempotencyKey === 'string';

/** Milliseconds to wait: what the service asks for, or twice as long each time, and at most a minute. */
export function waitOf(failure: Failure, tries: number): number {
  const asked = 'retryAfterSeconds' in failure ? failure.retryAfterSeconds : null;
  return asked === null ? Math.min(BACKOFF_FIRST_MS * 2 ** tries, BACKOFF_MAX_MS) : asked * 1_000;
}

interface Ending {
  readonly origin: string;
  readonly isAborted: boolean;
  readonly isLate: boolean;
}

/** What a call throws for what was thrown under it. */
export function errorOf(error: unknown, { origin, isAborted, isLate }: Ending, key: string | null): CountersignError {
  const options = { cause: error, idempotencyKey: key };
  if (error instanceof CountersignError) {
    return new CountersignError(error.failure, { cause: error.cause, idempotencyKey: key });
  }
  if (isAborted) return new CountersignError({ code: 'client_aborted', message: 'The call was aborted.' }, options);
  if (isLate) {
    const message = `${origin} does not answer in time.`;
    return new CountersignError({ code: 'client_deadline', message }, options);
  }
  const cause = causeOf(error);
  const message = `Nothing answers at ${origin}${cause === null ? '' : ` (${cause})`}.`;
  return new CountersignError({ code: 'client_unreachable', message, cause }, options);
}

/** `fetch failed` says nothing. Node's reason is the code of the cause. */
function causeOf(error: unknown): string | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth += 1) {
    if ('code' in at && typeof at.code === 'string') return at.code;
  }
  return null;
}

/** A signal that aborts after so many milliseconds, or with the caller's. */
export function stopAfter(ms: number, outer: AbortSignal | undefined) {
  const controller = new AbortController();
  let isLate = false;
  const abort = (): void => controller.abort();
  const end = (): void => {
    isLate = true;
    controller.abort();
  };
  const timer = setTimeout(end, Math.max(0, Math.min(ms, TIMER_MAX_MS)));
  if (outer?.aborted === true) abort();
  outer?.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    isLate: () => isLate,
    stop: (): void => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', abort);
    },
  };
}

/** A timer of more fires at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Settles with the promise, or throws where the signal aborts before. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(new Error('aborted'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** The query of a URL. A list stands in one value, with commas between its items; what is undefined is left out. */
function searchOf(query: object = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) search.set(name, Array.isArray(value) ? value.join(',') : String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

export const answerOf = ({ status, headers }: Response): Answer => ({
  status,
  requestId: headers.get('X-Request-Id'),
  eventId: headers.get('X-Audit-Event-Id'),
  isReplay: headers.get('Idempotency-Replayed') === 'true',
});

/** The body of an answer. A connection that breaks throws. */
export const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer());

/** The JSON of an answer; undefined if it has none. A connection that breaks throws. */
export async function jsonOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
