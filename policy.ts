import { definePolicy } from './src/config/define-policy.ts';

/**
 * Who may do what. What is not granted here is refused. `npm run doctor` checks this file; docs/policy/ has examples for
 * Cloudflare Access, OAuth scopes (Auth0, Okta), Kubernetes and webhooks.
 */
export default definePolicy({
  // Whose JWTs are accepted.
  issuers: [
    {
      issuer: 'https://token.actions.githubusercontent.com',
      // A workflow asks GitHub for a JWT with this audience. Use a name that nothing else of yours accepts.
      audience: 'countersign',
      algorithms: ['RS256'],
      // Tokens belong to the repository by its number, which no later repository of the same name has.
      subject: 'repository_id',
      label: 'repository',
      actorType: 'service_account',
      maxAge: '1h',
    },
  ],

  // What may be granted. One role must allow the whole of a request; two never combine.
  roles: {
    ci: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:rotate', 'tokens:revoke'],
      tokens: 'own',
      workspaces: ['00000000-0000-0000-0000-000000000000'],
      scopes: ['api:read'],
      maxTtl: '30d',
      // Live tokens that one repository may hold; without it 2,000.
      maxTokens: 50,
      // How long a rotated token may live on beside its successor; without it 7d.
      maxOverlap: '7d',
    },
  },

  // Who has which role. Replace the repository and the workspace by yours: nobody has this one.
  bindings: [
    {
      issuer: 'https://token.actions.githubusercontent.com',
      claims: { repository: 'your-org/your-repo', ref: 'refs/heads/main' },
      role: 'ci',
    },
  ],

  // Who may revoke by webhook, at /webhooks/{name}. docs/policy/webhooks.ts has more; such a source needs its secret.
  // webhooks: {
  //   scanner: { kind: 'standard', events: ['token.leaked'], workspaces: ['*'], secrets: ['WEBHOOK_SCANNER'] },
  // },
});
