import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { failure } from './answer.ts';
import type { AppEnv } from './context.ts';
import type { Authenticator, Identity } from '../identity/identity.ts';
import { isTokenId, parseWorkspaceUuid } from '../kit/ids.ts';
import { hasPermission } from '../policy/decide.ts';
import type { Role } from '../policy/types.ts';
import { actorOf, failureOutcome } from '../trail/event.ts';
import type { Recorder } from '../trail/recorder.ts';
import type { Rejection, Rejections } from '../trail/rejections.ts';
import type { AuditAction, Permission } from '../vocabulary.ts';

export interface Authentication {
  readonly authenticator: Authenticator;
  readonly rolesOf: (identity: Identity) => readonly Role[];
  readonly rejections: Rejections;
}

/**
 * Lets through only requests whose JWT is valid and known to a binding, and names their caller.
 *
 * @example app.use('/api/*', authenticate({ authenticator, rolesOf: (identity) => rolesFor(identity, policy), rejections }))
 */
export const authenticate = ({ authenticator, rolesOf, rejections }: Authentication) =>
  createMiddleware<AppEnv>(async function authenticateMiddleware(c, next) {
    const reject = (rejection: Rejection, identity: Identity | null): Response => {
      rejections.record(c.get('context'), rejection, identity === null ? null : actorOf(identity));
      return failure(c, rejection);
    };
    const verified = await authenticator.authenticate(c.req.raw);
    if (!verified.ok) return reject(verified.error, null);
    c.set('identity', verified.value);
    const roles = rolesOf(verified.value);
    if (roles.length === 0) return reject({ kind: 'no_role' }, verified.value);
    c.set('caller', { ...verified.value, roles });
    return await next();
  });

/**
 * Turns away callers none of whose roles has the permission at all, before anything of their request is read. The
 * denial is in the trail before they hear of it.
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
 * Answers whoever lacks a permission, once that is in the trail.
 *
 * @param detail what was asked for, checked.
 */
export async function deny(
  c: Context<AppEnv>,
  recorder: Recorder,
  permission: Permission,
  action: AuditAction,
  detail: Readonly<Record<string, unknown>> = {},
): Promise<Response> {
  const denial = { kind: 'forbidden', reason: 'permission', permission } as const;
  const subject = {
    action,
    actor: actorOf(c.get('caller')),
    // Nothing of a denied request was validated yet, so only what can be an id is kept.
    workspaceUuid: parseWorkspaceUuid(c.req.query('workspace_uuid') ?? c.req.query('workspace') ?? ''),
    tokenId: tokenIdOrNull(c.req.param('id')),
    tokenName: null,
    detail,
  };
  const recorded = await recorder.record(c.get('context'), subject, failureOutcome(denial), []);
  return failure(c, recorded.ok ? denial : recorded.error);
}

const tokenIdOrNull = (text: string | undefined): string | null =>
  text !== undefined && isTokenId(text) ? text : null;

/** A leaver's role does not outlive it, even where nothing else of the request would be in the trail. */
export async function refuseBlocked(c: Context<AppEnv>, recorder: Recorder, action: AuditAction): Promise<Response> {
  const denial = { kind: 'subject_blocked' } as const;
  const subject = {
    action,
    actor: actorOf(c.get('caller')),
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {},
  } as const;
  const recorded = await recorder.record(c.get('context'), subject, failureOutcome(denial), []);
  return failure(c, recorded.ok ? denial : recorded.error);
}
