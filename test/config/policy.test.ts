import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { definePolicy } from '../../src/config/define-policy.ts';
import { parsePolicy } from '../../src/config/policy.ts';
import { spellingsOf } from '../support/spellings.ts';
import { FULL, GITHUB_ISSUER, ISSUER, policyWith } from './policies.ts';

const PUBLIC_JWK = { kty: 'EC', crv: 'P-256', x: 'eA', y: 'eQ', kid: '1' };

function problemsOf(input: unknown): readonly (readonly [string, string])[] {
  const parsed = parsePolicy(input);
  return parsed.ok ? [] : parsed.error.map(({ key, problem }) => [key, problem] as const);
}

test('every key is read', () => {
  const parsed = parsePolicy(definePolicy(FULL));
  expect(parsed).toEqual({
    ok: true,
    value: {
      issuers: [
        {
          issuer: ISSUER,
          audience: ['countersign', 'countersign-staging'],
          algorithms: ['ES256', 'EdDSA'],
          keys: { kind: 'uri', jwksUri: 'https://issuer.example/keys?p=main' },
          subject: '/nested/id',
          label: 'email',
          actorType: 'user',
          maxAgeSeconds: 15 * 60,
          clockToleranceSeconds: 5,
          acceptTyp: ['application/jwt', 'application/okta-internal-at+jwt'],
          header: 'Cf-Access-Jwt-Assertion',
        },
      ],
      roles: [
        {
          name: 'ci',
          permissions: ['tokens:create', 'tokens:read', 'tokens:rotate'],
          tokens: 'own',
          workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
          scopes: ['api:read'],
          maxTtlSeconds: 30 * 24 * 60 * 60,
          maxTokens: 50,
          maxOverlapSeconds: 0,
          unusedAfterSeconds: 60 * 24 * 60 * 60,
          onUnused: 'suspend',
        },
        {
          name: 'auditor',
          permissions: ['audit:read'],
          tokens: 'any',
          workspaces: ['*'],
          scopes: [],
          maxTtlSeconds: null,
          maxTokens: 2_000,
          maxOverlapSeconds: 7 * 24 * 60 * 60,
          unusedAfterSeconds: 90 * 24 * 60 * 60,
          onUnused: 'report',
        },
      ],
      bindings: [
        { issuer: ISSUER, claims: { team: 'ops', level: '3', staff: 'true' }, role: 'ci' },
        { issuer: ISSUER, claims: { team: 'audit', mail: '*@acme.example' }, role: 'auditor' },
      ],
      presets: { mcp: ['api:read'] },
      webhooks: [
        {
          name: 'scanner',
          kind: 'standard',
          events: ['token.leaked', 'token.revoke'],
          workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'],
          secrets: ['WEBHOOK_SCANNER', 'WEBHOOK_SCANNER_NEXT'],
        },
        { name: 'hr', kind: 'standard', events: ['subject.offboarded'], workspaces: ['*'], secrets: ['WEBHOOK_HR'] },
      ],
    },
  });
});

test('what is left out grants the least', () => {
  const parsed = parsePolicy(policyWith({}));
  expect(parsed.ok && parsed.value).toMatchObject({
    issuers: [
      {
        audience: ['countersign'],
        algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
        keys: { kind: 'discovery' },
        subject: 'sub',
        label: null,
        actorType: 'service_account',
        maxAgeSeconds: 24 * 60 * 60,
        clockToleranceSeconds: 30,
        acceptTyp: ['application/jwt', 'application/at+jwt'],
        header: 'Authorization',
      },
    ],
    roles: [{ tokens: 'own', scopes: [], maxTtlSeconds: null, maxTokens: 2_000 }],
    presets: {},
  });
});

describe('accepted', () => {
  test.each<[string, unknown]>([
    ['nothing for nobody', { issuers: [], roles: {}, bindings: [] }],
    [
      'http on a loopback address',
      policyWith({ issuer: { issuer: 'http://127.0.0.1:9000' }, binding: { issuer: 'http://127.0.0.1:9000' } }),
    ],
    ['inline public keys', policyWith({ issuer: { jwks: { keys: [PUBLIC_JWK] } } })],
    ['no ceiling', policyWith({ role: { scopes: ['*'] } })],
    ['seconds', policyWith({ role: { maxTtl: '90s' } })],
    ['hours', policyWith({ role: { maxTtl: '12h' } })],
    ['a single token', policyWith({ role: { maxTokens: 1 } })],
    ['the most tokens', policyWith({ role: { maxTokens: 10_000 } })],
    ['no overlap', policyWith({ role: { maxOverlap: '0s' } })],
    ['the longest overlap', policyWith({ role: { maxOverlap: '30d' } })],
    ['an issuer listed twice for two kinds of caller', twice({ subject: 'common_name' })],
    ['an issuer listed twice for two types of JWT', twice({ acceptTyp: ['JWT', 'entity+jwt'] })],
    ['an issuer listed twice for two algorithms', withFirst({ algorithms: ['RS256'] }, twice({}))],
    ['no tolerance', policyWith({ issuer: { clockToleranceSeconds: 0 } })],
    ['the most tolerance', policyWith({ issuer: { clockToleranceSeconds: 300 } })],
    [
      'every algorithm with a longer hash',
      policyWith({ issuer: { algorithms: ['RS384', 'PS512', 'ES384', 'ES512'] } }),
    ],
    ['an issuer listed twice for two audiences', twice({ audience: ['countersign', 'another'] })],
    ['a GitHub owner', policyForGitHub({ repository_owner: 'acme', ref: 'refs/heads/*' })],
    ['a GitHub repository by its number', policyForGitHub({ repository_id: 74 })],
  ])('%s', (_, input) => expect(problemsOf(input)).toEqual([]));
});

describe('a workspace is one in every spelling', () => {
  const UUID = '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e';
  const OTHER = '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0f';

  test.each<[string, readonly string[], readonly string[]]>([
    ...Object.entries(spellingsOf(UUID)).map(([name, text]): [string, string[], string[]] => [name, [text], [UUID]]),
    ['all of them, which are one', [UUID, ...Object.values(spellingsOf(UUID))], [UUID]],
    ['two, of which one is there twice', [OTHER.toUpperCase(), UUID, OTHER], [OTHER, UUID]],
    ['two that are no UUIDs and differ in case', ['Shop', 'shop'], ['Shop', 'shop']],
    ['all', ['*'], ['*']],
  ])('%s', (_name, workspaces, expected) => {
    const source = { kind: 'standard', events: ['token.leaked'], workspaces, secrets: ['A'] };
    const parsed = parsePolicy({ ...policyWith({ role: { workspaces } }), webhooks: { scanner: source } });
    expect(parsed).toMatchObject({
      ok: true,
      value: { roles: [{ workspaces: expected }], webhooks: [{ workspaces: expected }] },
    });
  });
});

describe('refused', () => {
  test.each<[string, Parameters<typeof policyWith>[0], string, RegExp]>([
    ['an issuer with a bar', { issuer: { issuer: 'https://issuer.example/a|b' } }, 'issuers[0].issuer', /\|/],
    ['an issuer over http', { issuer: { issuer: 'http://issuer.example' } }, 'issuers[0].issuer', /https/],
    [
      'an issuer on a host that only looks like loopback',
      { issuer: { issuer: 'http://localhost.example' } },
      'issuers[0].issuer',
      /https/,
    ],
    ['an issuer that is no URL', { issuer: { issuer: 'github' } }, 'issuers[0].issuer', /not a URL/],
    [
      'an issuer with credentials',
      { issuer: { issuer: 'https://a:b@issuer.example' } },
      'issuers[0].issuer',
      /credentials/,
    ],
    ['an issuer with a query', { issuer: { issuer: 'https://issuer.example/?a' } }, 'issuers[0].issuer', /query/],
    ['an issuer with a fragment', { issuer: { issuer: 'https://issuer.example/#a' } }, 'issuers[0].issuer', /fragment/],
    [
      'an issuer longer than the trail keeps',
      { issuer: { issuer: `https://issuer.example/${'a'.repeat(110)}` } },
      'issuers[0].issuer',
      /128 bytes/,
    ],
    ['a missing audience', { issuer: { audience: undefined } }, 'issuers[0].audience', /missing/],
    ['an empty audience', { issuer: { audience: '' } }, 'issuers[0].audience[0]', /empty/],
    ['an empty audience list', { issuer: { audience: [] } }, 'issuers[0].audience', /empty/],
    ['an HMAC algorithm', { issuer: { algorithms: ['RS256', 'HS256'] } }, 'issuers[0].algorithms[1]', /HMAC/],
    ['no signature at all', { issuer: { algorithms: ['none'] } }, 'issuers[0].algorithms[0]', /none of RS256/],
    ['an empty list of algorithms', { issuer: { algorithms: [] } }, 'issuers[0].algorithms', /empty/],
    ['keys over http', { issuer: { jwksUri: 'http://issuer.example/keys' } }, 'issuers[0].jwksUri', /https/],
    [
      'keys in two places',
      { issuer: { jwksUri: 'https://i.example', jwks: { keys: [PUBLIC_JWK] } } },
      'issuers[0].jwks',
      /only one/,
    ],
    ['no inline key', { issuer: { jwks: { keys: [] } } }, 'issuers[0].jwks.keys', /empty/],
    [
      'a private key',
      { issuer: { jwks: { keys: [{ ...PUBLIC_JWK, d: 'ZA' }] } } },
      'issuers[0].jwks.keys[0]',
      /public/,
    ],
    ['a symmetric key', { issuer: { jwks: { keys: [{ kty: 'oct', k: 'aw' }] } } }, 'issuers[0].jwks.keys[0]', /public/],
    ['a key that is no object', { issuer: { jwks: { keys: ['key'] } } }, 'issuers[0].jwks.keys[0]', /public/],
    ['another HMAC algorithm', { issuer: { algorithms: ['HS512'] } }, 'issuers[0].algorithms[0]', /HMAC/],
    ...[-1, 301, 0.5, '30', NaN, Infinity, null].map(
      (seconds): [string, Parameters<typeof policyWith>[0], string, RegExp] => [
        `a tolerance of ${String(seconds)}`,
        { issuer: { clockToleranceSeconds: seconds } },
        'issuers[0].clockToleranceSeconds',
        /whole number of seconds from 0 to 300/,
      ],
    ),
    ['no type at all', { issuer: { acceptTyp: [] } }, 'issuers[0].acceptTyp', /empty/],
    ['a type as text', { issuer: { acceptTyp: 'JWT' } }, 'issuers[0].acceptTyp', /array/],
    ...['', '*', 'at jwt', 'a/b/c', '/jwt', 'application/', 'jwt; v=1', 'jwt\n'].map(
      (typ): [string, Parameters<typeof policyWith>[0], string, RegExp] => [
        `the type ${JSON.stringify(typ)}`,
        { issuer: { acceptTyp: [typ] } },
        'issuers[0].acceptTyp[0]',
        /type of JWT/,
      ],
    ),
    ['an empty subject claim', { issuer: { subject: '' } }, 'issuers[0].subject', /empty/],
    ['an actor that no JWT can be', { issuer: { actorType: 'system' } }, 'issuers[0].actorType', /none of user/],
    ['another header', { issuer: { header: 'X-Jwt' } }, 'issuers[0].header', /none of Authorization/],
    ['a misspelt key', { issuer: { maxage: '1h' } }, 'issuers[0]', /unknown keys: maxage/],
    ['a role without permissions', { role: { permissions: [] } }, 'roles.ci.permissions', /empty/],
    [
      'an unknown permission',
      { role: { permissions: ['tokens:*'] } },
      'roles.ci.permissions[0]',
      /none of tokens:create/,
    ],
    ['a role without workspaces', { role: { workspaces: undefined } }, 'roles.ci.workspaces', /missing/],
    ['a role over no workspace', { role: { workspaces: [] } }, 'roles.ci.workspaces', /empty/],
    ['a pattern for workspaces', { role: { workspaces: ['5877*'] } }, 'roles.ci.workspaces[0]', /UUID/],
    [
      'a workspace that is no id',
      { role: { workspaces: ['a/b'] } },
      'roles.ci.workspaces[0]',
      /nor the id of a workspace/,
    ],
    [
      'a URN of no UUID',
      { role: { workspaces: ['w', 'urn:uuid:w'] } },
      'roles.ci.workspaces[1]',
      /nor the id of a workspace/,
    ],
    [
      'a workspace that is a number',
      { role: { workspaces: [7] } },
      'roles.ci.workspaces[0]',
      /nor the id of a workspace/,
    ],
    ['* beside a workspace', { role: { workspaces: ['*', 'w'] } }, 'roles.ci.workspaces', /alone/],
    ['a pattern for scopes', { role: { scopes: ['api:*'] } }, 'roles.ci.scopes[0]', /scope/],
    ['two scopes in one string', { role: { scopes: ['api:read api:write'] } }, 'roles.ci.scopes[0]', /scope/],
    ['* beside a scope', { role: { scopes: ['*', 'api:read'] } }, 'roles.ci.scopes', /alone/],
    ['a lifetime without unit', { role: { maxTtl: '30' } }, 'roles.ci.maxTtl', /duration/],
    ['a lifetime of nothing', { role: { maxTtl: '0d' } }, 'roles.ci.maxTtl', /duration/],
    ['a lifetime as a number', { role: { maxTtl: 30 } }, 'roles.ci.maxTtl', /string/],
    ['a lifetime of a hundred years', { role: { maxTtl: '36500d' } }, 'roles.ci.maxTtl', /3650 days/],
    ['no token at all', { role: { maxTokens: 0 } }, 'roles.ci.maxTokens', /whole number from 1 to 10000/],
    ['a list that nobody could read', { role: { maxTokens: 10_001 } }, 'roles.ci.maxTokens', /whole number from 1 to/],
    ['half a token', { role: { maxTokens: 1.5 } }, 'roles.ci.maxTokens', /whole number/],
    ['a number of tokens as text', { role: { maxTokens: '200' } }, 'roles.ci.maxTokens', /whole number/],
    ['too long an overlap', { role: { maxOverlap: '31d' } }, 'roles.ci.maxOverlap', /longer than 30 days/],
    [
      'an overlap that is no duration',
      { role: { maxOverlap: 'long' } },
      'roles.ci.maxOverlap',
      /neither 0s nor a duration/,
    ],
    ['unused at once', { role: { unusedAfter: '0s' } }, 'roles.ci.unusedAfter', /is not a duration/],
    ['another end of the unused', { role: { onUnused: 'revoke' } }, 'roles.ci.onUnused', /report/],
    ['endlessly many tokens', { role: { maxTokens: Infinity } }, 'roles.ci.maxTokens', /whole number/],
    ['no number of tokens', { role: { maxTokens: null } }, 'roles.ci.maxTokens', /whole number/],
    ['audit:read over own tokens', { role: { permissions: ['audit:read'] } }, 'roles.ci.permissions', /audit:read/],
    [
      'audit:read in one workspace',
      { role: { permissions: ['audit:read'], tokens: 'any', workspaces: ['w'] } },
      'roles.ci.permissions',
      /audit:read/,
    ],
    [
      'a binding to an unknown role',
      { binding: { role: 'admin' } },
      'bindings[0].role',
      /unknown role, "admin"; there are: ci/,
    ],
    ['a binding to what objects inherit', { binding: { role: 'constructor' } }, 'bindings[0].role', /unknown role/],
    [
      'a binding of an unknown issuer',
      { binding: { issuer: `${ISSUER}/` } },
      'bindings[0].issuer',
      /unknown issuer, "https:\/\/issuer\.example\/"; there are: https:\/\/issuer\.example$/,
    ],
    ['a binding without claims', { binding: { claims: {} } }, 'bindings[0].claims', /exact claim/],
    [
      'a binding of patterns alone',
      { binding: { claims: { sub: '*', team: 'o*' } } },
      'bindings[0].claims',
      /exact claim/,
    ],
    ['an empty claim', { binding: { claims: { team: '' } } }, 'bindings[0].claims.team', /empty/],
    ['a claim that is null', { binding: { claims: { team: null } } }, 'bindings[0].claims.team', /neither text/],
    [
      'a claim of many values',
      { binding: { claims: { team: ['a', 'b'] } } },
      'bindings[0].claims.team',
      /neither text/,
    ],
    [
      'a claim number that is rounded',
      { binding: { claims: { team: 2 ** 60 } } },
      'bindings[0].claims.team',
      /neither text/,
    ],
    [
      'a condition that zod would drop',
      {
        binding: {
          claims: Object.fromEntries([
            ['team', 'ops'],
            ['__proto__', 'x'],
          ]),
        },
      },
      'bindings[0].claims',
      /__proto__/,
    ],
    ['a preset without scopes', { presets: { mcp: [] } }, 'presets.mcp', /empty/],
    ['a preset for everything', { presets: { mcp: ['*'] } }, 'presets.mcp[0]', /scope/],
    ['a preset with a space in its name', { presets: { 'm p': ['a'] } }, 'presets.m p', /preset/],
  ])('%s', (_, changes, key, problem) => {
    const problems = problemsOf(policyWith(changes));
    expect(problems.map(([where]) => where)).toContain(key);
    expect(problems.find(([where]) => where === key)?.[1]).toMatch(problem);
  });

  test.each<[string, unknown, string, RegExp]>([
    ['nothing', undefined, '', /missing/],
    ['a list', [], '', /object/],
    ['an unknown part', { ...policyWith({}), binding: [] }, '', /unknown keys: binding/],
    ['roles in a list', { ...policyWith({}), roles: [] }, 'roles', /not an object/],
    ['no roles', { ...policyWith({}), roles: undefined }, 'roles', /missing/],
    ['a role whose name is a number', { ...policyWith({}), roles: { 1: {} } }, 'roles.1', /letter/],
    ['an issuer twice', twice({}), 'issuers[1]', /never reached/],
    [
      'a GitHub binding by branch alone',
      policyForGitHub({ ref: 'refs/heads/main' }),
      'bindings[0].claims',
      /repository_owner_id/,
    ],
    [
      'a GitHub binding by a pattern of owners',
      policyForGitHub({ repository: 'acme/*', ref: 'x' }),
      'bindings[0].claims',
      /repository_owner_id/,
    ],
    [
      'a GitHub binding of an enterprise issuer',
      policyForGitHub({ ref: 'x' }, `${GITHUB_ISSUER}/acme`),
      'bindings[0].claims',
      /repository/,
    ],
  ])('%s', (_, input, key, problem) => {
    const found = problemsOf(input).find(([where]) => where === key);
    expect(found?.[1]).toMatch(problem);
  });

  test('all problems are told at once, each with an example, and so are names in bindings that do not exist', () => {
    const parsed = parsePolicy(policyWith({ issuer: { audience: undefined }, binding: { role: 'admin' } }));
    expect(parsed.ok ? [] : parsed.error).toEqual([
      { key: 'issuers[0].audience', problem: 'is missing', example: "audience: 'countersign'" },
      { key: 'bindings[0].role', problem: expect.any(String), example: expect.stringContaining("role: 'ci'") },
    ]);
  });
});

test('parsing accepts no other JSON, and never throws', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (input) => {
      expect(parsePolicy(input).ok).toBe(false);
    }),
  );
});

test('parsing never throws, whatever value stands in any place of a policy', () => {
  const places = placesIn(FULL);
  fc.assert(
    fc.property(fc.constantFrom(...places), fc.oneof(fc.jsonValue(), fc.double(), fc.string()), (place, value) => {
      expect(typeof parsePolicy(replaced(FULL, place, value)).ok).toBe('boolean');
    }),
    { numRuns: 2_000 },
  );
});

function twice(changes: object): unknown {
  const { issuers, ...rest } = policyWith({});
  return { ...rest, issuers: [...issuers, { ...issuers[0], ...changes }] };
}

/** The policy with its first issuer changed. */
function withFirst(changes: object, policy: unknown): unknown {
  const { issuers, ...rest } = policy as ReturnType<typeof policyWith>;
  return { ...rest, issuers: issuers.map((issuer, index) => (index === 0 ? { ...issuer, ...changes } : issuer)) };
}

function policyForGitHub(claims: object, issuer = GITHUB_ISSUER): unknown {
  return policyWith({ issuer: { issuer }, binding: { issuer, claims } });
}

type Place = readonly string[];

/** The path of every value in a JSON document. */
function placesIn(value: unknown, place: Place = []): readonly Place[] {
  if (typeof value !== 'object' || value === null) return [place];
  return [place, ...Object.entries(value).flatMap(([key, inner]) => placesIn(inner, [...place, key]))];
}

function replaced(value: unknown, [key, ...rest]: Place, by: unknown): unknown {
  if (key === undefined) return by;
  if (Array.isArray(value))
    return value.map((inner, index) => (String(index) === key ? replaced(inner, rest, by) : inner));
  const entries = Object.entries(value ?? {});
  return Object.fromEntries(entries.map(([name, inner]) => [name, name === key ? replaced(inner, rest, by) : inner]));
}
