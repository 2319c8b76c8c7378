import { createMiddleware } from 'hono/factory';
import type { Authenticator } from '../identity/types.ts';
import type { Identity } from '../identity/types.ts';
import type { Role } from '../policy/types.ts';
import type { AppEnv } from './app-env.ts';
import { failure } from './envelope.ts';

/**
 * Lets through only requests whose JWT is valid and known to a binding, and names their caller.
 *
 * @example app.use('/api/*', authenticate(authenticator, (identity) => rolesFor(identity, policy)))
 */
export const authenticate = (authenticator: Authenticator, rolesOf: (identity: Identity) => readonly Role[]) =>
  createMiddleware<AppEnv>(async function authenticateMiddleware(c, next) {
    const verified = await authenticator.authenticate(c.req.raw);
    if (!verified.ok) return failure(c, verified.error);
    c.set('identity', verified.value);
    const roles = rolesOf(verified.value);
    if (roles.length === 0) return failure(c, { kind: 'no_role' });
    c.set('caller', { ...verified.value, roles });
    return await next();
  });
