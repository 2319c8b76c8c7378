import { definePolicy } from '../../src/config/define-policy.ts';

/** With its slash: `iss` is compared character by character. */
const AUTH0 = 'https://acme.eu.auth0.com/';
const OKTA = 'https://acme.okta.com/oauth2/default';

/**
 * OAuth client credentials, where the authorisation server decides who gets which scope: Auth0 sends them as one string
 * in `scope`, Okta as an array in `scp`. Both are sets of words here, so their order does not matter.
 */
export default definePolicy({
  issuers: [
    {
      issuer: AUTH0,
      audience: 'https://countersign.acme.example',
      algorithms: ['RS256'],
      // `<client id>@clients` in a client's JWT.
      subject: 'sub',
      label: 'azp',
      actorType: 'service_account',
    },
    {
      issuer: OKTA,
      audience: 'api://countersign',
      algorithms: ['RS256'],
      jwksUri: 'https://acme.okta.com/oauth2/default/v1/keys',
      subject: 'cid',
      label: 'cid',
      actorType: 'service_account',
    },
  ],
  roles: {
    minter: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'],
      tokens: 'own',
      workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
      scopes: ['api:read', 'api:write'],
      maxTtl: '30d',
    },
    auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'] },
  },
  bindings: [
    // Both words must be granted.
    { issuer: AUTH0, claims: { scope: 'tokens:read tokens:mint' }, role: 'minter' },
    { issuer: AUTH0, claims: { scope: 'audit:read' }, role: 'auditor' },
    { issuer: OKTA, claims: { scp: 'tokens.mint' }, role: 'minter' },
  ],
});
