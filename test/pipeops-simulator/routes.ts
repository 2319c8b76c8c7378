import type { Commit, FaultForm } from './faults-wire.ts';
import { mint } from './minting.ts';
import { parseCreate, parseUpdate } from './request-schema.ts';
import type { State, StoredToken } from './state.ts';
import { createAnswer, failure, listAnswer, revokeAnswer, rfc3339, success, tokenAnswer, type Answer } from './wire.ts';

export const TOKENS_PATH = '/api/v1/service-account-tokens';

export interface RouteRequest {
  readonly method: string;
  /** Still percent-encoded. */
  readonly path: string;
  readonly workspaceUuid: string | null;
  /** The body's text. */
  readonly body: string;
  /** The header `X-Request-Id`. */
  readonly eventId: string | null;
  readonly forms: ReadonlySet<FaultForm>;
  /** How many tokens a list shows at the most. */
  readonly partial: number | undefined;
  readonly nowMs: number;
}

export interface Served {
  readonly answer: Answer;
  /** Whether anything was changed. */
  readonly committed: boolean;
  readonly tokenId: string | null;
}

const seen = (answer: Answer, tokenId: string | null = null): Served => ({ answer, committed: false, tokenId });
const done = (answer: Answer, tokenId: string): Served => ({ answer, committed: true, tokenId });

/** What PipeOps answers to a request whose credential it accepts, and does. */
export function route(request: RouteRequest, state: State): Served {
  const { method, path, workspaceUuid } = request;
  // The Go SDK asks for the first workspace before a create that names none.
  if (path === '/workspace' && method === 'GET') return seen(workspacesAnswer(state));
  const id = tokenIdOf(path);
  if (id === undefined) return seen(failure(404, 'Route not found'));
  if (!workspaceUuid) return seen(failure(400, 'workspace_uuid is required'), id);
  if (id === null) {
    if (method === 'POST') return create(request, workspaceUuid, state);
    if (method === 'GET') {
      return seen(listAnswer(state.list(workspaceUuid), request.forms, request.partial, request.nowMs));
    }
    return seen(failure(405, 'Method not allowed'));
  }
  const token = state.find(id, workspaceUuid);
  if (token === undefined || token.is_revoked) return seen(failure(404, 'Service account token not found'), id);
  if (method === 'GET') {
    return seen(tokenAnswer('Service account token retrieved', token, request.forms, request.nowMs), id);
  }
  if (method === 'PATCH') return update(request, token, state);
  if (method === 'DELETE') {
    const revoked = { ...token, is_revoked: true, updated_at: rfc3339(request.nowMs) };
    state.put(revoked, commitOf(request, 'revoke'));
    return done(revokeAnswer(request.forms), id);
  }
  return seen(failure(405, 'Method not allowed'), id);
}

function create(request: RouteRequest, workspaceUuid: string, state: State): Served {
  const body = parseJson(request.body);
  if (body === undefined) return seen(failure(400, 'Invalid request body'));
  const asked = parseCreate(body, request.nowMs);
  if (!asked.ok) return seen(failure(422, 'Validation failed', asked.errors));
  if (asked.value.workspace_uuid !== workspaceUuid) {
    return seen(failure(400, 'workspace_uuid of query and body differ'));
  }
  const token = mint(asked.value, request.nowMs);
  state.put(token, commitOf(request, 'create'));
  return done(createAnswer(token, request.forms), token.id);
}

function update(request: RouteRequest, token: StoredToken, state: State): Served {
  const body = parseJson(request.body);
  if (body === undefined) return seen(failure(400, 'Invalid request body'), token.id);
  const asked = parseUpdate(body);
  if (!asked.ok) return seen(failure(422, 'Validation failed', asked.errors), token.id);
  const updated = { ...token, ...asked.value, updated_at: rfc3339(request.nowMs) };
  state.put(updated, commitOf(request, 'update'));
  return done(tokenAnswer('Service account token updated', updated, request.forms, request.nowMs), token.id);
}

const commitOf = (request: RouteRequest, operation: Commit['operation']): Commit => ({
  at: rfc3339(request.nowMs),
  operation,
  event_id: request.eventId,
});

const workspacesAnswer = (state: State): Answer =>
  success(200, 'Workspaces retrieved', {
    workspaces: state.workspaces().map((uuid) => ({ id: uuid, uuid, name: uuid })),
  });

/** Null for the collection, undefined for a path that is neither it nor one token. */
function tokenIdOf(path: string): string | null | undefined {
  if (path === TOKENS_PATH) return null;
  const encoded = path.startsWith(`${TOKENS_PATH}/`) ? path.slice(TOKENS_PATH.length + 1) : '';
  if (encoded === '' || encoded.includes('/')) return undefined;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}

/** Undefined: not JSON, or not an object. */
function parseJson(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
