import type { PolicyInput } from '../../src/config/define-policy.ts';

export const GITHUB_ISSUER = 'https://token.actions.githubusercontent.com';
export const ISSUER = 'https://issuer.example';

/** A policy with every key that there is. */
export const FULL = {
  issuers: [
    {
      issuer: ISSUER,
      audience: ['countersign', 'countersign-staging'],
      algorithms: ['ES256', 'EdDSA'],
      jwksUri: 'https://issuer.example/keys?p=main',
      subject: '/nested/id',
      label: 'email',
      actorType: 'user',
      maxAge: '15m',
      clockToleranceSeconds: 5,
      acceptTyp: ['JWT', 'application/Okta-Internal-AT+jwt'],
      header: 'Cf-Access-Jwt-Assertion',
    },
  ],
  roles: {
    ci: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:rotate'],
      tokens: 'own',
      workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
      scopes: ['api:read'],
      maxTtl: '30d',
      maxTokens: 50,
      maxOverlap: '0s',
      unusedAfter: '60d',
      onUnused: 'suspend',
    },
    auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'] },
  },
  bindings: [
    { issuer: ISSUER, claims: { team: 'ops', level: 3, staff: true }, role: 'ci' },
    { issuer: ISSUER, claims: { team: 'audit', mail: '*@acme.example' }, role: 'auditor' },
  ],
  presets: { mcp: ['api:read'] },
  webhooks: {
    scanner: {
      kind: 'standard',
      events: ['token.leaked', 'token.revoke'],
      workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
      secrets: ['WEBHOOK_SCANNER', 'WEBHOOK_SCANNER_NEXT'],
    },
    hr: { kind: 'standard', events: ['subject.offboarded'], workspaces: ['*'], secrets: ['WEBHOOK_HR'] },
  },
} as const satisfies PolicyInput;

/** The least policy that parses, with one part of it replaced. */
export function policyWith(changes: { issuer?: object; role?: object; binding?: object; presets?: unknown }) {
  return {
    issuers: [{ issuer: ISSUER, audience: 'countersign', ...changes.issuer }],
    roles: { ci: { permissions: ['tokens:read'], workspaces: ['*'], ...changes.role } },
    bindings: [{ issuer: ISSUER, claims: { team: 'ops' }, role: 'ci', ...changes.binding }],
    ...('presets' in changes && { presets: changes.presets }),
  };
}
