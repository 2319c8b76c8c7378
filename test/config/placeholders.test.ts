import { describe, expect, test } from 'vitest';
import { isMadeUpSecret, placeholderIn, placeholdersIn } from '../../src/config/placeholders.ts';

describe('a placeholder that nobody has', () => {
  test.each([
    '00000000-0000-0000-0000-000000000000',
    '00000000000000000000000000000000',
    '00000000-0000-4000-8000-000000000001',
    '11111111-1111-4111-8111-111111111111',
    'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
    '12345678-1234-1234-1234-123456789abc',
    'xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx',
    '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e',
    '{5877A4AE-6A3C-4D0F-9A55-0F2F6A8F3F0E}',
    'your-org/your-repo',
    'your_org/shop',
    'yourorg/shop',
    'YourCompany/shop',
    'my-org/shop',
    'https://YOUR-TENANT.eu.auth0.com/',
    'https://{yourOktaDomain}/oauth2/default',
    'https://${TENANT}.okta.com',
    'https://login.microsoftonline.com/<tenant-id>/v2.0',
    'REPLACE_ME',
    'replace-me/shop',
    'changeme',
    'change_me',
    'insert-here',
    'TODO',
    'todo',
    'TODO: ask Ada',
    'placeholder',
    'xxx',
    'XXXX',
    'org-xxx',
    '…',
    'repo:...',
    '__TENANT__',
    'owner/repo',
    'foo/bar',
    'example/shop',
    'example-org/shop',
    'https://example.com',
    'https://api.example.org/v1',
    'countersign.example.net',
    'ada@example.com',
    'https://login.acme.example',
    'https://issuer.invalid',
    'https://issuer.test/path',
    'ada@acme.test',
    'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE',
    'undefined',
    '[object Object]',
  ])('%s', (text) => expect(placeholderIn(text)).toBe('nobodys'));
});

describe('the example of documents, which somebody may have', () => {
  test.each(['acme/shop', 'https://acme.okta.com/oauth2/default', 'octo-org/octo-repo', '123456', '123456789012'])(
    '%s',
    (text) => expect(placeholderIn(text)).toBe('examples'),
  );
});

describe('no placeholder', () => {
  test.each([
    '',
    '*',
    '9b2d7c1e-4f3a-4c58-a1d6-73e0b5f48c29',
    '{9b2d7c1e-4f3a-4c58-a1d6-73e0b5f48c29}',
    'https://token.actions.githubusercontent.com',
    'countersign',
    'refs/heads/main',
    'refs/heads/release-*',
    'refs/heads/test',
    'main.test',
    'northwind-traders/shop',
    'acmecorp/shop',
    'racme/shop',
    'yourkshire/shop',
    'tutorial/todo-app',
    'shop/example',
    'examples',
    'shop/exchange-media',
    'ada@shop.io',
    'https://login.shop.io/',
    '281474976',
    'dependabot[bot]',
    'system:serviceaccount:shop:deploy',
    'max',
    'api:read',
  ])('%s', (text) => expect(placeholderIn(text)).toBeNull());
});

test('the placeholders of a policy are told with their paths, whether or not it is valid', () => {
  const input = {
    issuers: [{ issuer: 'https://login.example.com', audience: ['countersign', 'REPLACE_ME'] }],
    roles: { ci: { workspaces: ['00000000-0000-0000-0000-000000000000'], permissions: 7 } },
    bindings: [{ issuer: 'https://login.example.com', claims: { repository_id: 74, team: 'shop' }, role: 'ci' }],
    webhooks: { scanner: { workspaces: ['xxx'] } },
  };
  expect(placeholdersIn(input).map(({ severity, key }) => [severity, key])).toEqual([
    ['problem', 'issuers[0].issuer'],
    ['problem', 'issuers[0].audience[1]'],
    ['problem', 'roles.ci.workspaces[0]'],
    ['warning', 'bindings[0].claims.repository_id'],
    ['problem', 'webhooks.scanner.workspaces[0]'],
  ]);
});

test('what holds itself has an end, and no secret is repeated', () => {
  const self: Record<string, unknown> = { name: `REPLACE_ME sat_${'s'.repeat(40)}` };
  self['self'] = self;
  const found = placeholdersIn(self);
  expect(found).toHaveLength(1);
  expect(JSON.stringify(found)).not.toContain('ssss');
});

describe('a secret is made up', () => {
  const key = (bytes: readonly number[]): string => btoa(String.fromCharCode(...bytes));
  const random = key(Array.from({ length: 32 }, (_, index) => (index * 73 + 41) % 251));
  test.each<[string, string, boolean]>([
    ['zeros', key(Array.from({ length: 32 }, () => 0)), true],
    ['zeros under an id', `k1:${key(Array.from({ length: 32 }, () => 0))}`, true],
    ['zeros behind a good one', `k2:${random},k1:${key(Array.from({ length: 32 }, () => 7))}`, true],
    ['zeros of a webhook', `whsec_${key(Array.from({ length: 24 }, () => 0))}`, true],
    ['a placeholder', 'REPLACE_ME', true],
    ['the placeholder of a guide', 'your-admin-token', true],
    ['random bytes', random, false],
    ['random bytes under an id', `k1:${random}`, false],
    ['random bytes of a webhook', `whsec_${random}`, false],
    ['a JWT', 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl', false],
  ])('%s', (_, secret, isMadeUp) => expect(isMadeUpSecret(secret)).toBe(isMadeUp));
});
