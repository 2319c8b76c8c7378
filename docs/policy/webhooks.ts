import { definePolicy } from '../../src/config/define-policy.ts';

const ISSUER = 'https://login.acme.example';
const SHOP = '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e';

/**
 * Revocation by webhook: a leak scanner, GitHub's secret scanning, an HR system and an incident tool. Each sends to
 * `https://…/webhooks/{name}`, and does nothing beyond its `events`, in no other workspaces than its own. `npm run webhook`
 * plays such senders on a local run.
 */
export default definePolicy({
  issuers: [
    {
      issuer: ISSUER,
      audience: 'countersign',
      algorithms: ['RS256'],
      // What the HR system knows people by: the subject, or this label.
      subject: 'sub',
      label: 'email',
      actorType: 'user',
    },
  ],
  roles: {
    engineer: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'],
      tokens: 'own',
      workspaces: [SHOP],
      scopes: ['api:read'],
      maxTtl: '30d',
    },
  },
  bindings: [{ issuer: ISSUER, claims: { groups: 'engineering' }, role: 'engineer' }],

  webhooks: {
    // A scanner that signs as standardwebhooks.com says. Its key is a secret of the Worker:
    //   echo "whsec_$(openssl rand -base64 32)" | npx wrangler secret put WEBHOOK_SCANNER --config wrangler.toml --env production
    scanner: {
      kind: 'standard',
      events: ['token.leaked'],
      workspaces: ['*'],
      secrets: ['WEBHOOK_SCANNER'],
    },
    // GitHub, as a partner of its secret scanning. The keys are public.
    github: {
      kind: 'github',
      events: ['token.leaked'],
      workspaces: ['*'],
      keysUrl: 'https://api.github.com/meta/public_keys/secret_scanning',
    },
    // Whoever leaves loses all tokens, and gets no new ones. That counts everywhere: `workspaces` must be all.
    hr: {
      kind: 'standard',
      events: ['subject.offboarded', 'subject.reinstated'],
      workspaces: ['*'],
      // Two while the key is being changed: either is accepted.
      secrets: ['WEBHOOK_HR', 'WEBHOOK_HR_NEXT'],
    },
    // A tool of the shop's own team: it revokes by id, in the shop's workspace alone.
    incidents: {
      kind: 'standard',
      events: ['token.revoke'],
      workspaces: [SHOP],
      secrets: ['WEBHOOK_INCIDENTS'],
    },
  },
});
