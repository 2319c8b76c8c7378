import { createMiddleware } from 'hono/factory';
import { actorOf } from '../trail/actor.ts';
import type { Rejection, Rejections } from '../trail/rejections.ts';
import type { Authenticator, Identity } from '../identity/types.ts';
import type { Role } from '../policy/types.ts';
import type { AppEnv } from './app-env.ts';
import { failure } from './answer.ts';

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
