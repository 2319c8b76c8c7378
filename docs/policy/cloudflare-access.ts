import { definePolicy } from '../../src/config/define-policy.ts';

const ISSUER = 'https://acme.cloudflareaccess.com';
/** The Application Audience (AUD) tag that Access shows for the application in front of this service. */
const AUDIENCE = '4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2';
const KEYS = 'https://acme.cloudflareaccess.com/cdn-cgi/access/certs';

/**
 * Cloudflare Access, for people and for machines. Access puts its JWT into a header of its own.
 *
 * The issuer is listed twice, because its JWTs come in two shapes: a user has `sub` and `email`; a service token has a
 * `common_name`, its Client ID, and an empty `sub`.
 */
export default definePolicy({
  issuers: [
    {
      issuer: ISSUER,
      audience: AUDIENCE,
      algorithms: ['RS256'],
      jwksUri: KEYS,
      subject: 'sub',
      label: 'email',
      actorType: 'user',
      maxAge: '24h',
      header: 'Cf-Access-Jwt-Assertion',
    },
    {
      issuer: ISSUER,
      audience: AUDIENCE,
      algorithms: ['RS256'],
      jwksUri: KEYS,
      subject: 'common_name',
      label: 'common_name',
      actorType: 'service_account',
      maxAge: '24h',
      header: 'Cf-Access-Jwt-Assertion',
    },
  ],
  roles: {
    security: {
      permissions: ['tokens:read', 'tokens:revoke', 'audit:read'],
      tokens: 'any',
      workspaces: ['*'],
    },
    backup: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'],
      tokens: 'own',
      workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
      scopes: ['api:read'],
      maxTtl: '1h',
    },
  },
  bindings: [
    { issuer: ISSUER, claims: { email: 'ada@acme.example' }, role: 'security' },
    // Groups that the identity provider sends as an OIDC claim arrive under `custom`.
    { issuer: ISSUER, claims: { '/custom/groups': 'security' }, role: 'security' },
    { issuer: ISSUER, claims: { common_name: 'e367826f93b8d71185e03fe518aff3b4.access' }, role: 'backup' },
  ],
});
