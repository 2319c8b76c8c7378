import type { Context, Hono } from 'hono';
import type { AppEnv } from '../http/context.ts';
import { authorise } from '../http/access.ts';
import { readJsonBody } from '../http/body.ts';
import { failure, methodNotAllowed, success, successOf } from '../http/answer.ts';
import { IDEMPOTENCY_KEY, readIdempotencyKey } from '../idempotency/header.ts';
import { cacheHeaders, type CacheStatus, presentToken } from '../reads/present.ts';
import { createToken } from './create.ts';
import type { TokenDependencies } from './dependencies.ts';
import { getToken } from '../reads/get.ts';
import { listTokens } from '../reads/list.ts';
import { parseCreate, parseTokenRequest, parseUpdate, parseWorkspaceRequest } from './requests.ts';
import { revokeToken } from './revoke.ts';
import { updateToken } from './update.ts';
import { sentWithKey } from './fields.ts';

const TOKENS = '/api/v1/service-account-tokens';
const TOKEN = `${TOKENS}/:id`;

/** Registers the five operations under PipeOps' own paths. Each reads its request, runs, and answers in PipeOps' own envelope. */
export function registerTokenRoutes(
  app: Hono<AppEnv>,
  tokens: TokenDependencies,
  defaultWorkspaceUuid: string | null,
): void {
  const { idempotency, recorder, runtime, snapshots } = tokens;

  app.post(TOKENS, authorise(recorder, 'tokens:create', 'service_account_token.create'), async (c) => {
    const key = readIdempotencyKey(c.req.header(IDEMPOTENCY_KEY) ?? null);
    if (!key.ok) return failure(c, key.error);
    const body = await readJsonBody(c.req.raw);
    if (!body.ok) return failure(c, body.error);
    const nowMs = runtime.now();
    const request = parseCreate({ body: body.value, query: queryOf(c), defaultWorkspaceUuid, nowMs });
    if (!request.ok) return failure(c, request.error);
    const caller = c.get('caller');
    // A key stands for the request as it was sent: what defaults make of it may differ from one moment to the next.
    const { sent, former } = sentWithKey(queryOf(c), body.value);
    const owner = { ...caller, workspaceUuid: request.value.workspaceUuid };
    const keyed = key.value === null ? null : await idempotency.keyed(owner, key.value, sent, former);
    const created = await createToken(tokens, c.get('context'), caller, request.value, keyed);
    if (!created.ok) return failure(c, created.error);
    if (created.value.isReplay) c.header('Idempotency-Replayed', 'true');
    return success(c, 'Service account token created. Its secret is shown this once.', created.value.data, 201);
  });

  app.get(TOKENS, authorise(recorder, 'tokens:read', 'service_account_token.list'), async (c) => {
    const request = parseWorkspaceRequest({ query: queryOf(c), defaultWorkspaceUuid });
    if (!request.ok) return failure(c, request.error);
    const wanted = { ...request.value, isNoCache: isNoCache(c) };
    const listed = await listTokens(tokens, c.get('context'), c.get('caller'), wanted);
    if (!listed.ok) return failure(c, listed.error);
    return saysWhereFrom(successOf(c, snapshots.bodies.of(listed.value.data, runtime.now())), listed.value.cache);
  });

  app.get(TOKEN, authorise(recorder, 'tokens:read', 'service_account_token.get'), async (c) => {
    const request = parseTokenRequest({ id: c.req.param('id'), query: queryOf(c), defaultWorkspaceUuid });
    if (!request.ok) return failure(c, request.error);
    const wanted = { ...request.value, isNoCache: isNoCache(c) };
    const token = await getToken(tokens, c.get('context'), c.get('caller'), wanted);
    if (!token.ok) return failure(c, token.error);
    const answer = success(c, 'Service account token.', { token: presentToken(token.value.data, runtime.now()) });
    return saysWhereFrom(answer, token.value.cache);
  });

  app.patch(TOKEN, authorise(recorder, 'tokens:update', 'service_account_token.update'), async (c) => {
    const body = await readJsonBody(c.req.raw);
    if (!body.ok) return failure(c, body.error);
    const id = c.req.param('id');
    const request = parseUpdate({ id, body: body.value, query: queryOf(c), defaultWorkspaceUuid });
    if (!request.ok) return failure(c, request.error);
    const token = await updateToken(tokens, c.get('context'), c.get('caller'), request.value);
    if (!token.ok) return failure(c, token.error);
    return success(c, 'Service account token updated.', { token: presentToken(token.value, runtime.now()) });
  });

  app.delete(TOKEN, authorise(recorder, 'tokens:revoke', 'service_account_token.revoke'), async (c) => {
    const request = parseTokenRequest({ id: c.req.param('id'), query: queryOf(c), defaultWorkspaceUuid });
    if (!request.ok) return failure(c, request.error);
    const revoked = await revokeToken(tokens, c.get('context'), c.get('caller'), request.value);
    if (!revoked.ok) return failure(c, revoked.error);
    return success(c, 'Service account token revoked.', { id: request.value.tokenId, uuid: request.value.tokenId });
  });

  app.all(TOKENS, methodNotAllowed('GET', 'POST'));
  app.all(TOKEN, methodNotAllowed('GET', 'PATCH', 'DELETE'));
}

const queryOf = (c: Context<AppEnv>): URLSearchParams => new URL(c.req.url).searchParams;

/** Whether the caller wants a fresh list. Every other directive of `Cache-Control` is about caches of its own. */
const isNoCache = (c: Context<AppEnv>): boolean =>
  (c.req.header('Cache-Control') ?? '').split(',').some((directive) => directive.trim().toLowerCase() === 'no-cache');

function saysWhereFrom(answer: Response, cache: CacheStatus | null): Response {
  for (const [name, value] of Object.entries(cache === null ? {} : cacheHeaders(cache)))
    answer.headers.set(name, value);
  return answer;
}
