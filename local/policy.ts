import type { JWK } from 'jose';
import { LOCAL_AUDIENCE, LOCAL_ISSUER } from './issuer.ts';
import type { GithubKey } from './webhook-keys.ts';

/** What a local run grants, by the `role` claim of a JWT. */
export const LOCAL_ROLES = ['admin', 'ci', 'auditor'] as const;

/**
 * The policy of a local run, in the form of `policy.ts`. `admin` may do everything; `ci` is the least that a pipeline
 * needs; `auditor` reads the trail. `npm run webhook` can play each of its webhook sources.
 *
 * @param workspaceUuid the one workspace that `ci` may use, or null for any, if none is known.
 */
export function localPolicy(publicJwk: JWK, workspaceUuid: string | null, githubKey: GithubKey) {
  return {
    issuers: [
      {
        issuer: LOCAL_ISSUER,
        audience: LOCAL_AUDIENCE,
        jwks: { keys: [publicJwk] },
        algorithms: ['ES256'],
        label: 'email',
        actorType: 'service_account',
        maxAge: '24h',
      },
    ],
    roles: {
      admin: {
        permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'tokens:rotate', 'audit:read'],
        tokens: 'any',
        workspaces: ['*'],
        scopes: ['*'],
      },
      ci: {
        permissions: ['tokens:create', 'tokens:read', 'tokens:revoke', 'tokens:rotate'],
        tokens: 'own',
        workspaces: [workspaceUuid ?? '*'],
        scopes: ['api:read'],
        maxTtl: '30d',
        maxTokens: 1_000,
      },
      auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'], scopes: [] },
    },
    // PipeOps' SDK has a preset of this name. Here it stands for what `ci` may have.
    presets: { sdk: ['api:read'] },
    bindings: LOCAL_ROLES.map((role) => ({ issuer: LOCAL_ISSUER, claims: { role }, role })),
    webhooks: {
      scanner: {
        kind: 'standard',
        events: ['token.leaked', 'token.revoke'],
        workspaces: ['*'],
        secrets: ['WEBHOOK_SCANNER'],
      },
      hr: {
        kind: 'standard',
        events: ['subject.offboarded', 'subject.reinstated'],
        workspaces: ['*'],
        secrets: ['WEBHOOK_HR'],
      },
      github: { kind: 'github', events: ['token.leaked'], workspaces: ['*'], keys: [githubKey] },
    },
  };
}
