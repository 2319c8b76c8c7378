import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createBehaviours, type Behaving } from './behaviours.ts';
import { control, CONTROL_PATH, type Controlled } from './control-routes.ts';
import { bearerOf, refuseCredential } from './credentials.ts';
import { deliver, send } from './delivery.ts';
import { createFaultList, formsOf } from './faults.ts';
import type { Fault } from './faults-wire.ts';
import { createQuota, quotaHeaders, type Quota } from './quota.ts';
import { readRequest, type ReadRequest } from './read-request.ts';
import { createRequestLog } from './request-log.ts';
import { route, TOKENS_PATH, type RouteRequest, type Served } from './routes.ts';
import { createSessions, fieldsOf } from './sessions.ts';
import { openState, UnkeptError } from './state.ts';
import { failure, rfc3339 } from './wire.ts';

export interface SimulatorOptions {
  /** 0, the default: any free one. */
  readonly port?: number;
  /** Where tokens are kept; null, the default: in memory. */
  readonly stateFile?: string | null;
  /** Whether PipeOps' rate limits apply; default true. */
  readonly limits?: boolean;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

export interface Simulator {
  /** Without a slash at the end. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Starts a PipeOps that knows only its service account tokens, on 127.0.0.1, and everything that tests want of it under
 * `/__control`.
 *
 * A fault that answers by itself, without `commit`, stands for a network or a proxy in front of PipeOps: it neither
 * looks at the credential nor uses up quota.
 *
 * Rejects if the port is taken or the state file cannot be read.
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { now = Date.now } = options;
  const endedSessions = new Set<string>();
  const controlled: Controlled = {
    faults: createFaultList(),
    behaviours: createBehaviours(),
    log: createRequestLog(),
    state: openState(options.stateFile ?? null),
    endedSessions,
    sessions: createSessions(endedSessions),
  };
  const quota = options.limits === false ? null : createQuota();
  const closing = new AbortController();

  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await readRequest(incoming);
    if (request.path.startsWith(`${CONTROL_PATH}/`)) {
      send(response, control({ ...request, nowMs: now() }, controlled));
      return;
    }
    const bearer = bearerOf(request.headers['authorization']);
    const workspaceUuid = request.query.get('workspace_uuid');
    const eventId = request.headers['x-request-id'] ?? null;
    const tokenRequest =
      request.path === OAUTH_TOKEN_PATH ? fieldsOf(request.body, request.headers['content-type']) : {};
    const clientId = typeof tokenRequest['client_id'] === 'string' ? tokenRequest['client_id'] : null;
    const received = controlled.log.add({ ...receivedOf(request, workspaceUuid, eventId, now()), client_id: clientId });
    const behaving = controlled.behaviours.of(workspaceUuid);
    const late = lateFor(behaving, request.method);
    const fault = late?.fault ?? controlled.faults.take({ ...request, workspaceUuid, bearer, clientId });
    const serve = () => {
      if (request.path === OAUTH_TOKEN_PATH) {
        if (request.method !== 'POST') return failure(405, 'Method not allowed');
        const exchanged = controlled.sessions.exchange(tokenRequest, now());
        received.committed = exchanged.committed;
        return exchanged.answer;
      }
      const isWithoutPages = noteList(controlled, request, fault);
      const forms = formsOf(fault);
      const common = { ...request, workspaceUuid, eventId, forms, partial: fault?.partial, isWithoutPages, behaving };
      const served = serveAccepted({ ...common, nowMs: now() }, bearer, controlled, quota);
      received.committed = served.committed;
      received.token_id = served.tokenId;
      return served.answer;
    };
    if (late?.ms !== undefined) setTimeout(serve, late.ms).unref();
    else if (late !== null) controlled.behaviours.keep(workspaceUuid ?? '', serve);
    received.status = await deliver(response, fault, serve, closing.signal);
  };

  const server = createServer((incoming, response) => {
    answer(incoming, response).catch((error: unknown) => {
      if (error instanceof UnkeptError) console.error(error.message);
      else if (!closing.signal.aborted && !incoming.destroyed) console.error(error);
      response.destroy();
    });
  });
  // A kept connection that ends just as a client sends its next request would be a fault that nobody asked for.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The simulator does not listen on a port.');

  return {
    url: `http://127.0.0.1:${address.port}`,
    close: async () => {
      closing.abort();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const OAUTH_TOKEN_PATH = '/oauth/token';

/** Notes that a list is cut, or is not; gives whether its further pages are refused for that. */
function noteList({ behaviours }: Controlled, { method, path, query }: ReadRequest, fault: Fault | null): boolean {
  const workspaceUuid = query.get('workspace_uuid') ?? '';
  const isFirstPage = method === 'GET' && path === TOKENS_PATH && !query.has('page');
  if (isFirstPage) behaviours.noteList(workspaceUuid, fault?.partial !== undefined);
  return behaviours.isCut(workspaceUuid);
}

/** What becomes of a request that is carried out late; null: it is not. */
function lateFor(behaving: Behaving | undefined, method: string): { fault: Fault; ms: number | undefined } | null {
  const late = behaving?.late;
  if (late?.methods.some((name) => name === method) !== true) return null;
  return { fault: late.answer === 'never' ? { delay_ms: -1 } : { status: late.answer }, ms: late.ms };
}

/** Credential, then quota, then the route: what is refused costs nothing. */
function serveAccepted(
  request: RouteRequest,
  bearer: string | null,
  { state, endedSessions }: Controlled,
  quota: Quota | null,
): Served {
  const refusal = refuseCredential(bearer, endedSessions, request.nowMs);
  if (refusal !== null) return { answer: refusal, committed: false, tokenId: null };
  if (quota === null || bearer === null) return route(request, state);
  const verdict = quota.charge(bearer, request.nowMs);
  const served = verdict.allowed
    ? route(request, state)
    : { answer: failure(429, 'Too many requests'), committed: false, tokenId: null };
  // A 429 tells all the same how long to wait.
  const isSilent = request.behaving?.no_rate_headers === true && verdict.allowed;
  return isSilent ? served : { ...served, answer: { ...served.answer, headers: quotaHeaders(verdict) } };
}

const receivedOf = (request: ReadRequest, workspaceUuid: string | null, eventId: string | null, nowMs: number) => ({
  at: rfc3339(nowMs),
  method: request.method,
  path: request.path,
  query: Object.fromEntries(request.query),
  headers: request.headers,
  body: parsedOrText(request.body),
  event_id: eventId,
  committed: false,
  status: null,
  workspace_uuid: workspaceUuid,
  // Known once it is served; a fault may come before.
  token_id: null,
  client_id: null,
});

function parsedOrText(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
