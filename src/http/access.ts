import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { failure } from './answer.ts';
import type { AppEnv } from './context.ts';
import { ratePolicy } from './rate-headers.ts';
import type { RateLimiter } from '../config/env.ts';
import { CALLER_LIMIT_PERIOD_SECONDS, CALLER_LIMIT_REQUESTS, RATE_LIMIT_TIMEOUT_MS } from '../config/limits.ts';
import type { CallerBar } from '../failures.ts';
import type { Authenticator } from '../identity/authenticator.ts';
import type { Identity } from '../identity/identity.ts';
import { waitFor } from '../kit/deadline.ts';
import { isTokenId, parseWorkspaceUuid } from '../kit/ids.ts';
import type { Runtime } from '../kit/runtime.ts';
import { hasPermission } from '../policy/decide.ts';
import type { Role } from '../policy/types.ts';
import { actorOf, eventSubject } from '../trail/event.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Recorder } from '../trail/recorder.ts';
import type { Rejection, Rejections } from '../trail/rejections.ts';
import type { AuditAction, Permission } from '../vocabulary.ts';

// Who gets in: a request passes authentication, its caller's limit, and, by route, a permission.

/** What `authenticate` needs. */
export interface Authentication {
  readonly authenticator: Authenticator;
  /** Null: nobody signs in, and no cookie counts. */
  readonly sessions: Sessions | null;
  readonly rolesOf: (identity: Identity) => readonly Role[];
  readonly rejections: Rejections;
}

/**
 * Lets only requests pass whose JWT or browser session is valid and has a role by some binding, and names their caller. The trail gets
 * a row, or a count, of each that does not. Whether a session was ended meanwhile is seen where the request is recorded.
 *
 * @example app.use('/api/*', authenticate({ authenticator, sessions, rolesOf: (identity) => rolesFor(identity, policy), rejections }))
 */
export const authenticate = ({ authenticator, sessions, rolesOf, rejections }: Authentication) =>
  createMiddleware<AppEnv>(async function authenticateMiddleware(c, next) {
    const reject = (rejection: Rejection, identity: Identity | null): Response => {
      rejections.record(c.get('context'), rejection, identity === null ? null : actorOf(identity));
      return failure(c, rejection);
    };
    const used = (await sessions?.use(c.req.raw)) ?? null;
    const verified = used ?? (await authenticator.authenticate(c.req.raw));
    if (!verified.ok) return reject(verified.error, null);
    const { identity, proof: session } =
      'proof' in verified.value ? verified.value : { identity: verified.value, proof: undefined };
    c.set('identity', identity);
    const roles = rolesOf(identity);
    if (roles.length === 0) return reject({ kind: 'no_role' }, identity);
    c.set('caller', { ...identity, roles, ...(session !== undefined && { session }) });
    if (session !== undefined) sessions?.touch(c.req.raw.headers, session);
    return await next();
  });

/**
 * Limits the requests of each caller, known by issuer and subject: an address is shared, and a label can be chosen. A limiter
 * that fails, or does not answer, lets the request pass, since it protects PipeOps' quota and not its tokens.
 *
 * @example app.use('/api/*', rateLimit(rateLimits.caller, runtime))
 */
export const rateLimit = (limiter: RateLimiter, runtime: Runtime) =>
  createMiddleware<AppEnv>(async function rateLimitMiddleware(c, next) {
    const { issuer, subject } = c.get('caller');
    const key = JSON.stringify([issuer, subject]);
    const ask = async () => await limiter.limit({ key });
    const asked = await waitFor(runtime, RATE_LIMIT_TIMEOUT_MS, ask());
    if (asked.ok && !asked.value.success) {
      // The binding does not say when its window ends: a whole window from now at the latest.
      const window = { ...CALLER_LIMIT, untilMs: runtime.now() + CALLER_LIMIT_PERIOD_SECONDS * 1000 };
      return failure(c, { kind: 'rate_limited', retryAfterSeconds: CALLER_LIMIT_PERIOD_SECONDS, window });
    }
    if (!asked.ok)
      runtime.log({ level: 'error', event: 'rate_limiter_failed', request_id: c.get('context').requestId });
    await next();
    // A 429 may already carry a policy of PipeOps' limits, so this one is added to it.
    c.res.headers.append('RateLimit-Policy', ratePolicy(CALLER_LIMIT));
    return undefined;
  });

/** The binding says only yes or no, so an answer cannot tell how many requests are left before none is. */
const CALLER_LIMIT = {
  policy: 'caller',
  limit: CALLER_LIMIT_REQUESTS,
  windowSeconds: CALLER_LIMIT_PERIOD_SECONDS,
} as const;

/**
 * Turns callers away none of whose roles has the permission at all, before anything of their request is read. The denial is in
 * the trail before they hear of it.
 *
 * @example app.post('/tokens', authorise(recorder, 'tokens:create', 'service_account_token.create'), handler)
 */
export const authorise = (recorder: Recorder, permission: Permission, action: AuditAction) =>
  createMiddleware<AppEnv>(async function authoriseMiddleware(c, next) {
    const caller = c.get('caller');
    if (hasPermission(caller, permission)) return await next();
    return await deny(c, recorder, permission, action);
  });

/**
 * Answers a caller that lacks a permission, once the denial is in the trail.
 *
 * @param detail what the caller asked for, validated.
 */
export async function deny(
  c: Context<AppEnv>,
  recorder: Recorder,
  permission: Permission,
  action: AuditAction,
  detail: Readonly<Record<string, unknown>> = {},
): Promise<Response> {
  const denial = { kind: 'forbidden', reason: 'permission', permission } as const;
  const subject = eventSubject(action, actorOf(c.get('caller')), {
    // Nothing of a denied request was validated yet, so only what can be an id is kept.
    workspaceUuid: parseWorkspaceUuid(c.req.query('workspace_uuid') ?? c.req.query('workspace') ?? ''),
    tokenId: tokenIdOrNull(c.req.param('id')),
    detail,
  });
  const refused = await recorder.refuse(c.get('context'), subject, denial);
  return failure(c, refused.error);
}

const tokenIdOrNull = (text: string | undefined): string | null =>
  text !== undefined && isTokenId(text) ? text : null;

/** Answers a caller that is kept out, once the refusal is in the trail. Its JWT and its role may well outlive its offboarding. */
export async function refuseBarred(
  c: Context<AppEnv>,
  recorder: Recorder,
  action: AuditAction,
  bar: CallerBar,
): Promise<Response> {
  const subject = eventSubject(action, actorOf(c.get('caller')));
  const refused = await recorder.refuse(c.get('context'), subject, bar);
  return failure(c, refused.error);
}
