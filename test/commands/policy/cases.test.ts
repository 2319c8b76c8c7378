import { describe, expect, it } from 'vitest';
import { readCases, runCases, untestedBy } from '../../../commands/policy/cases.ts';
import { denialOf } from '../../../commands/policy/explain.ts';
import { testLines } from '../../../commands/policy/report.ts';
import { UserError } from '../../../local/errors.ts';
import { definePolicyCases, type PolicyCase } from '../../../src/config/define-cases.ts';
import { definePolicy } from '../../../src/config/define-policy.ts';
import { parsePolicy, type Policy } from '../../../src/config/policy.ts';

const ISSUER = 'https://issuer.example';
const W = '5877a4ae-0000-4000-8000-000000000001';
const NOW_MS = Date.UTC(2026, 10, 28);

const written = definePolicy({
  issuers: [{ issuer: ISSUER, audience: ['countersign', 'other'] }],
  roles: {
    ci: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
      workspaces: [W],
      scopes: ['api:read'],
      maxTtl: '30d',
      maxTokens: 2,
    },
    admin: {
      permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'audit:read'],
      tokens: 'any',
      workspaces: ['*'],
      scopes: ['*'],
    },
    spare: { permissions: ['tokens:read'], workspaces: ['*'] },
  },
  presets: { sdk: ['api:read'] },
  bindings: [
    { issuer: ISSUER, claims: { team: 'shop' }, role: 'ci' },
    { issuer: ISSUER, claims: { team: 'ops' }, role: 'admin' },
    { issuer: ISSUER, claims: { team: 'nobody' }, role: 'spare' },
  ],
});
const parsed = parsePolicy(written);
if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
const policy: Policy = parsed.value;

const shop = { issuer: ISSUER, claims: { sub: 'ci', team: 'shop' } };
const ops = { issuer: ISSUER, claims: { sub: 'ada', team: 'ops' } };
type Case = PolicyCase<'ci' | 'admin' | 'spare'>;
const of = (caller: Case['caller'], request: Case['request'], expected: Case['expect']): Case => ({
  name: JSON.stringify(request),
  caller,
  request,
  expect: expected,
});
const run = async (cases: readonly unknown[]) =>
  await runCases(policy, readCases(cases, policy, 'policy.cases.ts'), NOW_MS);

describe('a case', () => {
  const HOLDING: readonly Case[] = [
    of(shop, { operation: 'create', workspace: W, scopes: ['api:read'] }, { allowed: 'ci' }),
    of(shop, { operation: 'create', workspace: W.toUpperCase(), preset: 'sdk', expiresIn: '4w' }, { allowed: 'ci' }),
    of(shop, { operation: 'create', workspace: W, scopes: ['api:full'] }, { denied: 'scopes', role: 'ci' }),
    of(shop, { operation: 'create', workspace: W, preset: 'none' }, { denied: 'preset_unknown', role: 'ci' }),
    of(
      shop,
      { operation: 'create', workspace: W, scopes: ['api:read'], expiresIn: '31d' },
      { denied: 'lifetime', role: 'ci' },
    ),
    of(
      shop,
      { operation: 'create', workspace: W, scopes: ['api:read'], held: 2 },
      { denied: 'token_limit_reached', role: 'ci' },
    ),
    of(shop, { operation: 'list', workspace: 'other' }, { denied: 'workspace', role: 'ci' }),
    of(shop, { operation: 'get', workspace: W, owner: 'other' }, { denied: 'token_not_found' }),
    of(shop, { operation: 'update', workspace: W }, { allowed: 'ci' }),
    of(shop, { operation: 'update', workspace: W, scopes: ['api:write'] }, { denied: 'scopes' }),
    of(shop, { operation: 'update', workspace: W, active: false, owner: 'nobody' }, { denied: 'token_not_found' }),
    of(
      shop,
      {
        operation: 'update',
        workspace: W,
        active: true,
        suspendedBy: ['leak'],
        tokenScopes: ['api:read'],
        tokenExpiresIn: '1d',
      },
      { denied: 'suspended', role: 'ci' },
    ),
    of(shop, { operation: 'update', workspace: W, active: true, tokenScopes: ['api:read'] }, { denied: 'lifetime' }),
    of(shop, { operation: 'retry', workspaces: [W] }, { denied: 'ownership', role: 'ci' }),
    of(shop, { operation: 'audit' }, { denied: 'permission', role: 'ci' }),
    of(ops, { operation: 'revoke', workspace: 'any', owner: 'nobody' }, { allowed: 'admin' }),
    of(ops, { operation: 'retry', workspaces: ['one', 'two'] }, { allowed: 'admin' }),
    of(ops, { operation: 'audit' }, { allowed: 'admin' }),
    of({ ...shop, claims: { sub: 'x', team: 'none' } }, { operation: 'list', workspace: W }, { denied: 'no_role' }),
    of({ ...shop, claims: { team: 'shop' } }, { operation: 'list', workspace: W }, { denied: 'claim_missing' }),
    of(
      { ...shop, claims: { ...shop.claims, aud: 'x' } },
      { operation: 'list', workspace: W },
      { denied: 'audience_mismatch' },
    ),
    of({ ...shop, claims: { ...shop.claims, aud: 'other' } }, { operation: 'list', workspace: W }, { allowed: 'ci' }),
    of({ ...shop, issuer: 'https://other.example' }, { operation: 'list', workspace: W }, { denied: 'issuer_unknown' }),
  ];

  it.each(HOLDING.map((one) => [`${one.name} is ${JSON.stringify(one.expect)}`, one] as const))(
    'holds: %s',
    async (_name, one) => {
      expect(await run([one])).toMatchObject([{ holds: true }]);
    },
  );

  it.each(HOLDING.map((one) => [one.name, one] as const))(
    'fails where the policy says something else: %s',
    async (_name, one) => {
      const others: readonly Case['expect'][] = [
        { allowed: 'spare' },
        { denied: 'ownership', role: 'admin' },
        { denied: 'malformed' },
      ];
      for (const expected of others) {
        expect(await run([{ ...one, expect: expected }])).toMatchObject([{ holds: false }]);
      }
    },
  );

  it('that fails says what the policy says, role by role', async () => {
    const wrong = of(shop, { operation: 'create', workspace: W, scopes: ['api:full'] }, { allowed: 'ci' });
    const results = await run([wrong]);
    expect(results.map(({ explanation }) => denialOf(explanation))).toEqual(['scopes']);
    const text = testLines(results, untestedBy(results, policy), policy, NOW_MS).join('\n');
    expect(text).toMatch(/^FAILED +.*: denied, scopes, and not allowed by ci$/m);
    expect(text).toMatch(/role ci +falls short: scopes: it allows at most api:read/);
    expect(text).toMatch(/^FAILED +1 cases, 1 failed$/m);
  });

  it('that is missing is noted: for a role, and for a binding', async () => {
    const results = await run([of(shop, { operation: 'list', workspace: W }, { allowed: 'ci' })]);
    expect(untestedBy(results, policy)).toEqual({ roles: ['admin', 'spare'], bindings: [1, 2] });
    expect(testLines(results, untestedBy(results, policy), policy, NOW_MS).join('\n')).toMatch(
      /bindings\[1\], bindings\[2\]/,
    );
  });
});

describe('a table that is none is refused, with every problem', () => {
  const good = of(shop, { operation: 'list', workspace: W }, { allowed: 'ci' });
  it.each<[string, unknown, RegExp]>([
    ['no table', undefined, /the table/],
    ['an empty one', [], /is empty/],
    ['a case without a name', [{ ...good, name: '' }], /0\.name/],
    [
      'a strange operation',
      [{ ...good, request: { operation: 'mint' } }],
      /0\.request\.operation: is none of create, list/,
    ],
    [
      'a field that does not go with its operation',
      [{ ...good, request: { operation: 'list', workspace: W, held: 1 } }],
      /held/,
    ],
    [
      'a request without a workspace',
      [{ ...good, request: { operation: 'list' } }],
      /0\.request\.workspace: is missing/,
    ],
    ['an expectation of both', [{ ...good, expect: { allowed: 'ci', denied: 'scopes' } }], /0\.expect: is neither/],
    [
      'a role that the policy does not have',
      [{ ...good, expect: { allowed: 'cii' } }],
      /expects the role cii; there are: ci, admin, spare/,
    ],
  ])('%s', (_what, table, message) => {
    expect(() => readCases(table, policy, 'policy.cases.ts')).toThrow(UserError);
    expect(() => readCases(table, policy, 'policy.cases.ts')).toThrow(message);
  });

  it.each<[string, Case['request'], RegExp]>([
    [
      'a scope that is none',
      { operation: 'create', workspace: W, scopes: ['Api Read'] },
      /"a case" asks for nothing.*422.*scopes/,
    ],
    ['no scope', { operation: 'create', workspace: W }, /422.*scope/],
    ['a workspace that is none', { operation: 'list', workspace: 'a b' }, /not the id of one/],
    ['a resume of nobody knows what', { operation: 'update', workspace: W, active: true }, /tokenScopes/],
  ])('and so is a request that the service would not understand: %s', async (_what, request, message) => {
    await expect(run([{ ...good, name: 'a case', request }])).rejects.toThrow(message);
  });
});

it('the types know the roles of the policy', () => {
  // @ts-expect-error -- the policy has no such role
  const cases = definePolicyCases(written, [of(shop, { operation: 'audit' }, { allowed: 'cii' })]);
  expect(cases).toHaveLength(1);
});
