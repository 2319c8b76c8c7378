import type { JWK } from 'jose';
import { LOCAL_AUDIENCE, LOCAL_ISSUER } from './issuer.ts';

/** What a local run grants, by the `role` claim of a JWT. */
export const LOCAL_ROLES = ['admin', 'ci', 'auditor'] as const;

/**
 * The policy of a local run, in the form of `policy.ts`. `admin` may do everything; `ci` is the least that a pipeline
 * needs; `auditor` reads the trail.
 *
 * @param workspaceUuid the one workspace that `ci` may use; null: any, because none is known.
 */
export function localPolicy(publicJwk: JWK, workspaceUuid: string | null) {
  return {
    issuers: [
      {
        issuer: LOCAL_ISSUER,
        audience: LOCAL_AUDIENCE,
        jwks: { keys: [publicJwk] },
        algorithms: ['ES256'],
        actorType: 'service_account',
        maxAge: '24h',
      },
    ],
    roles: {
      admin: {
        permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'audit:read'],
        tokens: 'any',
        workspaces: ['*'],
        scopes: ['*'],
      },
      ci: {
        permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'],
        tokens: 'own',
        workspaces: [workspaceUuid ?? '*'],
        scopes: ['api:read'],
        maxTtl: '30d',
      },
      auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'], scopes: [] },
    },
    bindings: LOCAL_ROLES.map((role) => ({ issuer: LOCAL_ISSUER, claims: { role }, role })),
  };
}
