import { seenBy, withUsage, type Behaving } from './behaviours.ts';
import type { Commit, FaultForm } from './faults-wire.ts';
import { listOf } from './lists.ts';
import { mint } from './minting.ts';
import { parseCreate, parseUpdate } from './request-schema.ts';
import type { State, StoredToken } from './state.ts';
import { createAnswer, failure, listAnswer, revokeAnswer, rfc3339, success, tokenAnswer, type Answer } from './wire.ts';

export const TOKENS_PATH = '/api/v1/service-account-tokens';

export interface RouteRequest {
  readonly method: string;
  /** Still percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly workspaceUuid: string | null;
  /** The body's text. */
  readonly body: string;
  /** The header `X-Request-Id`. */
  readonly eventId: string | null;
  readonly forms: ReadonlySet<FaultForm>;
  /** How many tokens a list shows at the most. */
  readonly partial: number | undefined;
  /** Whether further pages of a list are refused. */
  readonly isWithoutPages: boolean;
  /** Undefined: as it should. */
  readonly behaving: Behaving | undefined;
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
  if (request.behaving?.not_found === true) return seen(failure(404, 'Workspace not found'), id);
  if (id === null) {
    if (method === 'POST') return create(request, workspaceUuid, state);
    if (method === 'GET') return seen(list(request, workspaceUuid, state));
    return seen(failure(405, 'Method not allowed'));
  }
  const token = state.find(id, workspaceUuid);
  if (method === 'GET') return seen(get(request, token, state), id);
  if (token === undefined || token.is_revoked) return seen(NO_TOKEN, id);
  if (method === 'PATCH') return update(request, token, state);
  if (method === 'DELETE') {
    if (request.behaving?.revoke === 'ignored') return seen(revokeAnswer(request.forms), id);
    const revoked = { ...token, is_revoked: true, updated_at: rfc3339(request.nowMs) };
    state.put(revoked, commitOf(request, 'revoke'));
    return done(revokeAnswer(request.forms), id);
  }
  return seen(failure(405, 'Method not allowed'), id);
}

const NO_TOKEN = failure(404, 'Service account token not found');

function list(request: RouteRequest, workspaceUuid: string, state: State): Answer {
  const { behaving, forms, nowMs, partial, query } = request;
  if (request.isWithoutPages && query.has('page')) return failure(400, 'page is not a parameter');
  const listed = listOf(workspaceUuid, query, behaving, state, nowMs);
  if ('refused' in listed) return failure(listed.refused, 'page is not a parameter');
  return listAnswer(listed.tokens.slice(0, partial), listed.total, forms, nowMs, behaving?.answers?.list);
}

function get({ behaving, forms, nowMs }: RouteRequest, token: StoredToken | undefined, state: State): Answer {
  const seeing = { since: behaving?.since ?? 0, nowMs, state };
  const shown = token === undefined ? undefined : seenBy(behaving?.get, token, seeing);
  if (shown === undefined || shown.is_revoked) return NO_TOKEN;
  const told = withUsage(shown, behaving, state);
  return tokenAnswer('Service account token retrieved', told, forms, nowMs, behaving?.answers?.get);
}

function create(request: RouteRequest, workspaceUuid: string, state: State): Served {
  const body = parseJson(request.body);
  if (body === undefined) return seen(failure(400, 'Invalid request body'));
  const asked = parseCreate(body, request.nowMs);
  if (!asked.ok) return seen(failure(422, 'Validation failed', asked.errors));
  if (asked.value.workspace_uuid !== workspaceUuid) {
    return seen(failure(400, 'workspace_uuid of query and body differ'));
  }
  const { behaving } = request;
  const token = mint(
    { ...asked.value, ...mintedInstead(behaving), name: cutName(asked.value.name, behaving) },
    request.nowMs,
  );
  state.put(token, commitOf(request, 'create'));
  return done(createAnswer(token, request.forms, behaving?.answers?.create), token.id);
}

function update(request: RouteRequest, token: StoredToken, state: State): Served {
  const body = parseJson(request.body);
  if (body === undefined) return seen(failure(400, 'Invalid request body'), token.id);
  const asked = parseUpdate(body);
  if (!asked.ok) return seen(failure(422, 'Validation failed', asked.errors), token.id);
  const { behaving, forms, nowMs } = request;
  const answer = (shown: StoredToken): Answer =>
    tokenAnswer('Service account token updated', shown, forms, nowMs, behaving?.answers?.update);
  if (behaving?.update === 'ignored') return seen(answer(token), token.id);
  const { name = token.name, ...rest } = asked.value;
  const updated = { ...token, ...rest, name: cutName(name, behaving), updated_at: rfc3339(nowMs) };
  state.put(updated, commitOf(request, 'update'));
  return done(answer(updated), token.id);
}

const cutName = (name: string, behaving: Behaving | undefined): string => name.slice(0, behaving?.names_max_chars);

/** What is minted in place of what was asked. */
function mintedInstead(behaving: Behaving | undefined): Partial<Pick<StoredToken, 'scopes' | 'expires_at'>> {
  const { scopes, expires_at: expiresAt } = behaving?.mints ?? {};
  return {
    ...(scopes !== undefined && { scopes: [...scopes] }),
    ...(expiresAt !== undefined && { expires_at: expiresAt === null ? null : rfc3339(Date.parse(expiresAt)) }),
  };
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
