import { definePolicy } from '../../src/config/define-policy.ts';

/**
 * GitHub Actions. A workflow with `permissions: { id-token: write }` asks for a JWT with our audience:
 *
 *     curl -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=countersign"
 *
 * Every repository of GitHub has the same issuer, so each binding must name a repository or an owner exactly. The
 * numbers are safer than the names: whoever takes over a deleted name gets another number.
 */
export default definePolicy({
  issuers: [
    {
      issuer: 'https://token.actions.githubusercontent.com',
      audience: 'countersign',
      algorithms: ['RS256'],
      subject: 'repository_id',
      label: 'repository',
      actorType: 'service_account',
      maxAge: '1h',
    },
  ],
  roles: {
    release: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
      tokens: 'own',
      workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
      scopes: ['api:read', 'api:write'],
      maxTtl: '1d',
    },
    ci: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'],
      tokens: 'own',
      workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
      scopes: ['api:read'],
      maxTtl: '1h',
      // Runs that forget to revoke cannot fill the workspace: an hour later their tokens no longer count.
      maxTokens: 100,
    },
    rotation: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:rotate', 'tokens:revoke'],
      tokens: 'own',
      workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
      scopes: ['api:read'],
      // A month that is missed does no harm.
      maxTtl: '60d',
      maxOverlap: '7d',
    },
  },
  bindings: [
    {
      // The one workflow that rotates the token of an app that runs elsewhere: samples/github-actions-rotate.yml.
      issuer: 'https://token.actions.githubusercontent.com',
      claims: {
        repository_id: '74',
        workflow_ref: 'octo-org/octo-repo/.github/workflows/rotate-token.yml@refs/heads/main',
      },
      role: 'rotation',
    },
    {
      // Pushes to release branches of one repository: `*` crosses no `/`, so `release-1/x` is not one.
      issuer: 'https://token.actions.githubusercontent.com',
      claims: { repository_id: '74', ref: 'refs/heads/release-*', event_name: 'push' },
      role: 'release',
    },
    {
      // The main branch of every repository of one organisation.
      issuer: 'https://token.actions.githubusercontent.com',
      claims: { repository_owner_id: '65', ref: 'refs/heads/main', event_name: 'push' },
      role: 'ci',
    },
  ],
});
