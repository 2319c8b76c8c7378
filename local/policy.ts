import type { JWK } from 'jose';
import { LOCAL_AUDIENCE, LOCAL_ISSUER, type LocalIssuer } from './issuer.ts';
import { CONSOLE_CLIENT_ID, PEOPLE } from './people/people.ts';
import type { GithubKey } from './webhook-keys.ts';

/** What a local run grants, by the `role` claim of a JWT. */
export const LOCAL_ROLES = ['admin', 'ci', 'auditor', 'developer'] as const;

/** The issuer of the people who sign in at the console. */
export type People = Pick<LocalIssuer, 'issuer' | 'publicJwk'>;

/**
 * The policy of a local run, in the form of `policy.ts`. `admin` may do everything; `ci` is the least that a pipeline
 * needs; `developer` mints and changes tokens of its own; `auditor` reads the trail. `npm run webhook` can play each of its webhook
 * sources.
 *
 * @param workspaceUuid the one workspace that `ci` and `developer` may use, or null for any, if none is known.
 * @param people null where nobody can sign in.
 */
export function localPolicy(publicJwk: JWK, workspaceUuid: string | null, githubKey: GithubKey, people: People | null) {
  const roleOf = (issuer: string, role: string) => ({ issuer, claims: { role }, role });
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
      ...(people === null ? [] : [signInIssuer(people)]),
    ],
    roles: {
      admin: {
        permissions: [
          'tokens:create',
          'tokens:read',
          'tokens:update',
          'tokens:revoke',
          'tokens:rotate',
          'audit:read',
          'trail:resume',
        ],
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
      developer: {
        permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'tokens:rotate'],
        tokens: 'own',
        workspaces: [workspaceUuid ?? '*'],
        scopes: ['api:read', 'projects:read', 'projects:write', 'deployments:create'],
        maxTtl: '30d',
        maxTokens: 100,
      },
      auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'], scopes: [] },
    },
    // PipeOps' SDK has a preset of this name. Here it stands for what `ci` may have.
    presets: { sdk: ['api:read'] },
    bindings: [
      ...LOCAL_ROLES.map((role) => roleOf(LOCAL_ISSUER, role)),
      ...(people === null ? [] : PEOPLE.map(({ role }) => roleOf(people.issuer, role))),
    ],
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

/** The keys are given, so that nobody who takes the provider's port can sign as it. */
const signInIssuer = ({ issuer, publicJwk }: People) => ({
  issuer,
  audience: LOCAL_AUDIENCE,
  clientId: CONSOLE_CLIENT_ID,
  jwks: { keys: [publicJwk] },
  algorithms: ['ES256'],
  label: 'email',
  actorType: 'user',
  maxAge: '8h',
});
