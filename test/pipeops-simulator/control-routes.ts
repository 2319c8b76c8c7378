import * as z from 'zod';
import type { BehaviourList } from './behaviours.ts';
import {
  behaviourBody,
  endedSession,
  faultsBody,
  insertedToken,
  openedSession,
  usedToken,
  workspaceBody,
} from './fault-schema.ts';
import type { FaultList } from './faults.ts';
import { mint } from './minting.ts';
import type { RequestLog } from './request-log.ts';
import type { SessionList } from './sessions.ts';
import { stateOf, type State } from './state.ts';
import { rfc3339, type Answer } from './wire.ts';

export const CONTROL_PATH = '/__control';

export interface Controlled {
  readonly faults: FaultList;
  readonly behaviours: BehaviourList;
  readonly log: RequestLog;
  readonly state: State;
  readonly endedSessions: Set<string>;
  readonly sessions: SessionList;
}

export interface ControlRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
  readonly nowMs: number;
}

const DONE: Answer = { status: 200, body: {} };

/** What the tests' side of the simulator answers. None of it is PipeOps. */
export function control(request: ControlRequest, controlled: Controlled): Answer {
  const { behaviours, faults, log, state, endedSessions } = controlled;
  const { nowMs } = request;
  const path = request.path.slice(CONTROL_PATH.length);
  const filter = Object.fromEntries(request.query);

  switch (`${request.method} ${path}`) {
    case 'POST /faults':
      return withBody(request, faultsBody, (body) => {
        faults.add(body.faults);
        return DONE;
      });
    case 'DELETE /faults':
      faults.clear(filter);
      return DONE;
    case 'POST /behaviours':
      return withBody(request, behaviourBody, ({ workspace_uuid: workspaceUuid, behaviour }) => {
        behaviours.set(workspaceUuid, behaviour, state.changes());
        return DONE;
      });
    case 'POST /behaviours/carry-out':
      return withBody(request, workspaceBody, ({ workspace_uuid: workspaceUuid }) => ({
        status: 200,
        body: { carried_out: behaviours.carryOut(workspaceUuid) },
      }));
    case 'GET /requests':
      return { status: 200, body: { requests: log.list(filter) } };
    case 'DELETE /requests':
      log.clear(filter);
      return DONE;
    case 'GET /tokens': {
      const tokens = state.list(request.query.get('workspace_uuid'));
      return { status: 200, body: { tokens: tokens.map((token) => stateOf(token, nowMs)) } };
    }
    case 'POST /tokens':
      return withBody(request, insertedToken, (asked) => {
        if (asked.id !== undefined && state.find(asked.id)) return { status: 409, body: 'that id is taken' };
        const expiresAt = asked.expires_at === undefined ? null : rfc3339(Date.parse(asked.expires_at));
        const scopes = [...(asked.scopes ?? ['api:read'])];
        const token = state.put(mint({ ...asked, scopes, description: null, expires_at: expiresAt }, nowMs), {
          at: rfc3339(nowMs),
          operation: 'create',
          event_id: null,
        });
        return { status: 200, body: { token: stateOf(token, nowMs) } };
      });
    case 'POST /tokens/used':
      return withBody(request, usedToken, ({ id, at = rfc3339(nowMs) }) => {
        const token = state.find(id);
        if (token === undefined) return { status: 404, body: 'no such token' };
        const lastUsedAt = at === null ? null : rfc3339(Date.parse(at));
        return { status: 200, body: { token: stateOf(state.use(token, lastUsedAt, nowMs), nowMs) } };
      });
    case 'POST /sessions':
      return withBody(request, openedSession, (opened) => ({
        status: 200,
        body: controlled.sessions.open(opened, nowMs),
      }));
    case 'GET /sessions':
      return { status: 200, body: { sessions: controlled.sessions.list(request.query.get('client_id') ?? '') } };
    case 'POST /sessions/ended':
      return withBody(request, endedSession, ({ credential }) => {
        endedSessions.add(credential);
        return DONE;
      });
    default:
      return revokeByHand(request, path, state);
  }
}

function revokeByHand({ method, nowMs }: ControlRequest, path: string, state: State): Answer {
  const id = /^\/tokens\/(?<id>[^/]+)$/.exec(path)?.groups?.['id'];
  if (method !== 'DELETE' || id === undefined) return { status: 404, body: 'no such control' };
  const token = state.find(decodeURIComponent(id));
  if (token === undefined || token.is_revoked) return { status: 404, body: 'no such live token' };
  const at = rfc3339(nowMs);
  state.put({ ...token, is_revoked: true, updated_at: at }, { at, operation: 'revoke', event_id: null });
  return DONE;
}

function withBody<T>(request: ControlRequest, schema: z.ZodType<T>, act: (body: T) => Answer): Answer {
  let json: unknown;
  try {
    json = JSON.parse(request.body);
  } catch {
    return { status: 400, body: 'not JSON' };
  }
  const result = schema.safeParse(json);
  return result.success ? act(result.data) : { status: 400, body: z.prettifyError(result.error) };
}
