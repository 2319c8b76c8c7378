import type { Context, Hono } from 'hono';
import type { AppEnv } from '../http/context.ts';
import { authorise } from '../http/access.ts';
import { readJsonBody, readOptionalJsonBody } from '../http/body.ts';
import { failure, methodNotAllowed, success, successOf } from '../http/answer.ts';
import { IDEMPOTENCY_KEY, readIdempotencyKey } from '../idempotency/header.ts';
import { cacheHeaders, type CacheStatus, presentToken } from '../reads/present.ts';
import type { OrderDriver } from '../revocation/orders/driver.ts';
import { createToken } from './create.ts';
import type { TokenDependencies } from './dependencies.ts';
import { getToken } from '../reads/get.ts';
import { listTokens } from '../reads/list.ts';
import { parseCreate, parseRotate, parseTokenRequest, parseUpdate, parseWorkspaceRequest } from './requests.ts';
import { revokeToken } from './revoke.ts';
import { rotateToken } from './rotate.ts';
import { updateToken } from './update.ts';
import { sentWithKey } from './fields.ts';

const TOKENS = '/api/v1/service-account-tokens';
const TOKEN = `${TOKENS}/:id`;
const ROTATE = `${TOKEN}/rotate`;

/**
 * Registers the five operations under PipeOps' own paths, and rotation beside them. Each reads its request, runs, and answers in
 * PipeOps' own envelope.
 *
 * @param orders drives the end of a token whose rotation leaves no overlap.
 */
export function registerTokenRoutes(
  app: Hono<AppEnv>,
  tokens: TokenDependencies,
  defaultWorkspaceUuid: string | null,
  orders: Pick<OrderDriver, 'runOne'>,
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

  app.post(ROTATE, authorise(recorder, 'tokens:rotate', 'service_account_token.create'), async (c) => {
    const key = readIdempotencyKey(c.req.header(IDEMPOTENCY_KEY) ?? null);
    if (!key.ok) return failure(c, key.error);
    if (key.value === null) return failure(c, KEY_MISSING);
    const body = await readOptionalJsonBody(c.req.raw);
    if (!body.ok) return failure(c, body.error);
    const [id, query, nowMs] = [c.req.param('id'), queryOf(c), runtime.now()];
    const request = parseRotate({ id, body: body.value, query, defaultWorkspaceUuid, nowMs });
    if (!request.ok) return failure(c, request.error);
    const [context, caller] = [c.get('context'), c.get('caller')];
    const { sent, former } = sentWithKey(query, body.value);
    const owner = { ...caller, workspaceUuid: request.value.workspaceUuid, route: `POST ${ROTATE}` };
    const formerOf = former && { ...former, sent: [id, former.sent] };
    const keyed = await idempotency.keyed(owner, key.value, [id, sent], formerOf);
    const rotated = await rotateToken(tokens, context, caller, request.value, keyed);
    if (!rotated.ok) return failure(c, rotated.error);
    const { data, isReplay, dueOrderId } = rotated.value;
    if (isReplay) c.header('Idempotency-Replayed', 'true');
    if (dueOrderId !== null) runtime.background(orders.runOne(context, dueOrderId));
    return success(c, 'Service account token rotated. The secret of its successor is shown this once.', data, 201);
  });

  app.all(TOKENS, methodNotAllowed('GET', 'POST'));
  app.all(TOKEN, methodNotAllowed('GET', 'PATCH', 'DELETE'));
  app.all(ROTATE, methodNotAllowed('POST'));
}

/** A rotation that is sent twice without a key would rotate the successor that the first one minted, which nobody has. */
const KEY_MISSING = {
  kind: 'invalid_request',
  errors: {
    [IDEMPOTENCY_KEY]: [
      'Send a new random key, such as a UUID, with each rotation: an answer that is lost is given again to the same request with the same key.',
    ],
  },
} as const;

const queryOf = (c: Context<AppEnv>): URLSearchParams => new URL(c.req.url).searchParams;

/** Whether the caller wants a fresh list. Every other directive of `Cache-Control` is about caches of its own. */
const isNoCache = (c: Context<AppEnv>): boolean =>
  (c.req.header('Cache-Control') ?? '').split(',').some((directive) => directive.trim().toLowerCase() === 'no-cache');

function saysWhereFrom(answer: Response, cache: CacheStatus | null): Response {
  for (const [name, value] of Object.entries(cache === null ? {} : cacheHeaders(cache)))
    answer.headers.set(name, value);
  return answer;
}
