import { describe, expect, test } from 'vitest';
import { policyAdvice } from '../../src/config/advice.ts';
import { parsePolicy } from '../../src/config/policy.ts';
import { FULL, GITHUB_ISSUER, ISSUER, policyWith } from './policies.ts';

type Changes = Parameters<typeof policyWith>[0];

/** Each piece of advice on one line: how serious, where, what, and what would be right. */
function adviceOn(input: unknown): readonly string[] {
  const parsed = parsePolicy(input);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return policyAdvice(parsed.value).map(
    ({ severity, key, problem, example }) => `${severity} ${key} ${problem} → ${example}`,
  );
}

/** A role that gives no occasion for advice. */
const CI = {
  permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'],
  workspaces: ['9b2d7c1e-4f3a-4c58-a1d6-73e0b5f48c29'],
  scopes: ['api:read'],
  maxTtl: '30d',
};
const role = (changes: object): Changes => ({ role: { ...CI, ...changes } });
const issuer = (changes: { readonly issuer?: string }, claims: object = { team: 'ops' }): Changes => ({
  role: CI,
  issuer: changes,
  binding: { issuer: changes.issuer ?? ISSUER, claims },
});
const github = (subject: string | undefined, url = GITHUB_ISSUER): Changes =>
  issuer({ issuer: url, ...(subject !== undefined && { subject }) }, { repository: 'northwind/shop' });

describe('told', () => {
  test.each<[string, Changes, RegExp]>([
    ['no scopes to create with', role({ scopes: [] }), /^problem roles\.ci\.scopes is empty/],
    [
      'a limit on tokens of a role that creates none',
      { role: { maxTokens: 5 } },
      /^problem roles\.ci\.maxTokens limits nothing/,
    ],

    [
      'no scopes to rotate with',
      role({ permissions: ['tokens:read', 'tokens:rotate'], scopes: [] }),
      /^problem roles\.ci\.scopes is empty: a role with tokens:rotate/,
    ],
    [
      'a limit on rotations of a role that has none',
      role({ maxOverlap: '1d' }),
      /^problem roles\.ci\.maxOverlap limits nothing/,
    ],
    [
      'rotations for ever',
      role({ permissions: ['tokens:read', 'tokens:rotate'], maxTtl: undefined }),
      /^warning roles\.ci\.maxTtl is missing/,
    ],

    [
      'a workspace that is no UUID',
      role({ workspaces: ['shop'] }),
      /^problem roles\.ci\.workspaces\[0\] is no UUID, "shop"/,
    ],
    [
      'a second one',
      role({ workspaces: [CI.workspaces[0], '42'] }),
      /^problem roles\.ci\.workspaces\[1\] is no UUID, "42"/,
    ],

    [
      'an unknown scope',
      role({ scopes: ['api:read', 'api:reed'] }),
      /^warning .*scopes\[1\] is a scope .*"api:reed" → one of api:read, /,
    ],
    [
      'an unknown preset',
      { role: CI, presets: { sandpit: ['api:read'] } },
      /^warning presets\.sandpit .* → one of sandbox, mcp, /,
    ],
    [
      'an unknown scope of a preset',
      { role: CI, presets: { mcp: ['api:red'] } },
      /^warning presets\.mcp\[0\] is a scope/,
    ],

    [
      'GitHub with the default subject',
      github(undefined),
      /^problem issuers\[0\]\.subject is 'sub', at GitHub .* → subject: 'repository_id'$/,
    ],
    ['GitHub by name', github('repository'), /^problem issuers\[0\]\.subject is 'repository'/],
    ['GitHub by run', github('run_id'), /^problem issuers\[0\]\.subject is 'run_id'/],
    ['the issuer of an enterprise', github('sub', `${GITHUB_ISSUER}/northwind`), /^problem issuers\[0\]\.subject/],
    [
      'GitHub with data residency',
      github('sub', 'https://token.actions.northwind.ghe.com'),
      /^problem issuers\[0\]\.subject/,
    ],
    [
      'GitHub Enterprise Server',
      github('sub', 'https://git.northwind.io/_services/token'),
      /^problem issuers\[0\]\.subject/,
    ],
    [
      'GitLab',
      issuer({ issuer: 'https://gitlab.com' }),
      /^problem issuers\[0\]\.subject .*GitLab .* → subject: 'project_id'$/,
    ],
    ['a GitLab of your own', issuer({}, { project_path: 'shop/app' }), /^problem issuers\[0\]\.subject .*GitLab/],
    [
      'Kubernetes by name',
      issuer({}, { '/kubernetes.io/namespace': 'shop' }),
      /^problem issuers\[0\]\.subject .* → subject: '\/kubernetes\.io\/serviceaccount\/uid'$/,
    ],
    ['people by e-mail', issuer({ subject: 'email' } as object), /^warning issuers\[0\]\.subject is 'email'/],

    [
      'full access everywhere for ever',
      role({ scopes: ['api:full'], workspaces: ['*'], maxTtl: undefined }),
      /^problem roles\.ci\.maxTtl is missing: .*api:full in all/,
    ],
    [
      'any scope everywhere for ever',
      role({ scopes: ['*'], workspaces: ['*'], maxTtl: undefined }),
      /^problem roles\.ci\.maxTtl is missing: .*api:full/,
    ],
    ['tokens for ever', role({ maxTtl: undefined }), /^warning roles\.ci\.maxTtl is missing/],
    ['a year and a day', role({ maxTtl: '366d' }), /^problem roles\.ci\.maxTtl is 366 days, more than a year/],
    ['a year and an hour', role({ maxTtl: '8761h' }), /^problem roles\.ci\.maxTtl is 365 days, more than a year/],
    ['JWTs of more than a year', issuer({ maxAge: '400d' } as object), /^problem issuers\[0\]\.maxAge is 400 days/],

    [
      'a path with dots',
      issuer({}, { 'realm_access.roles': 'ops' }),
      /^problem bindings\[0\]\.claims has the claim 'realm_access\.roles'.* → claims: \{ '\/realm_access\/roles': 'ops' \}; or '\/realm_access\.roles'/,
    ],
    [
      'a path without its slash',
      issuer({}, { 'kubernetes.io/namespace': 'shop' }),
      /^problem bindings\[0\]\.claims .* → claims: \{ '\/kubernetes\.io\/namespace': 'shop' \}; or '\/kubernetes\.io~1namespace'/,
    ],
    [
      'a path of JSONPath',
      issuer({}, { '$.realm_access.roles': 'ops' }),
      /^problem bindings\[0\]\.claims .*'\/realm_access\/roles'/,
    ],
    [
      'a path with brackets',
      issuer({}, { "custom['groups']": 'ops' }),
      /^problem bindings\[0\]\.claims .*'\/custom\/groups'/,
    ],
    ['a path into an array', issuer({}, { '/groups/0': 'ops' }), /^problem bindings\[0\]\.claims .*array.*'\/groups'/],
    [
      'a path with an empty part',
      issuer({}, { '/custom//groups': 'ops' }),
      /^problem bindings\[0\]\.claims .*'\/custom\/groups'/,
    ],
    [
      'a subject with dots',
      issuer({ subject: 'user.id' } as object),
      /^problem issuers\[0\]\.subject .* → subject: '\/user\/id'/,
    ],
    [
      'a label with dots',
      issuer({ label: 'user.email' } as object),
      /^problem issuers\[0\]\.label .* → label: '\/user\/email'/,
    ],

    [
      'create alone',
      role({ permissions: ['tokens:create'] }),
      /^problem roles\.ci\.permissions .* not read or revoke them: it has no tokens:read and no tokens:revoke/,
    ],
    [
      'create and read',
      role({ permissions: ['tokens:create', 'tokens:read'] }),
      /^problem roles\.ci\.permissions .* not revoke them/,
    ],
    [
      'create and revoke',
      role({ permissions: ['tokens:create', 'tokens:revoke'] }),
      /^problem roles\.ci\.permissions .* not read them/,
    ],
    [
      'update without read',
      role({ permissions: ['tokens:update'] }),
      /^problem roles\.ci\.permissions has tokens:update without tokens:read/,
    ],
    [
      'revoke of all without read',
      role({ permissions: ['tokens:revoke'], tokens: 'any' }),
      /^problem roles\.ci\.permissions has tokens:revoke for/,
    ],
  ])('%s', (_, changes, advice) => expect(adviceOn(policyWith(changes))).toEqual([expect.stringMatching(advice)]));

  test('a role nobody can have', () => {
    expect(adviceOn({ ...policyWith({ role: CI }), bindings: [] })).toEqual([
      expect.stringMatching(/^problem roles\.ci is a role nobody/),
    ]);
  });

  test('a workspace of a webhook that is no UUID', () => {
    const hook = { kind: 'standard', events: ['token.leaked'], workspaces: ['shop'], secrets: ['WEBHOOK_SCANNER'] };
    expect(adviceOn({ ...policyWith({ role: CI }), webhooks: { scanner: hook } })).toEqual([
      expect.stringMatching(/^problem webhooks\.scanner\.workspaces\[0\] is no UUID/),
    ]);
  });
});

describe('fine', () => {
  test.each<[string, Changes]>([
    ['a role that can undo what it does', { role: CI }],
    ['all workspaces', role({ workspaces: ['*'] })],
    ['a workspace in another spelling', role({ workspaces: ['{9B2D7C1E4F3A4C58A1D673E0B5F48C29}'] })],
    ['full access everywhere, for a while', role({ scopes: ['api:full'], workspaces: ['*'], maxTtl: '1h' })],
    ['a year', role({ maxTtl: '365d' })],
    ['a known preset', { role: CI, presets: { sandbox: ['api:read'] } }],
    ['revoke of its own alone', role({ permissions: ['tokens:revoke'] })],
    ['GitHub by number', github('repository_id')],
    ['GitHub by the number of its owner', github('repository_owner_id')],
    ['a host that only looks like GitHub', github('sub', 'https://token.actions.githubusercontent.com.northwind.io')],
    ['GitLab by number', issuer({ issuer: 'https://gitlab.com', subject: 'project_id' } as object)],
    ['a claim whose name is a URI', issuer({}, { 'https://northwind.io/groups': 'ops' })],
    ['a claim whose name is a URN', issuer({}, { 'urn:zitadel:iam:org:project:roles': 'ops' })],
    ['a claim with a colon', issuer({}, { 'cognito:groups': 'ops' })],
    ['a path', issuer({}, { '/realm_access/roles': 'ops' })],
    ['a single claim with a dot', issuer({}, { '/realm_access.roles': 'ops' })],
  ])('%s', (_, changes) => expect(adviceOn(policyWith(changes))).toEqual([]));
});

describe('a role that lacks a permission which its bearers have by another', () => {
  const READER = { permissions: ['tokens:read', 'tokens:revoke'], workspaces: CI.workspaces };
  const claims = { team: 'ops', env: 'prod' };
  const policy = (reader: object, claimsOfReader: object) => ({
    issuers: [{ issuer: ISSUER, audience: 'countersign' }],
    roles: { minter: { ...CI, permissions: ['tokens:create'] }, reader: { ...READER, ...reader } },
    bindings: [
      { issuer: ISSUER, claims, role: 'minter' },
      { issuer: ISSUER, claims: claimsOfReader, role: 'reader' },
    ],
  });

  test.each<[string, object, object, boolean]>([
    ['the same claims', {}, claims, true],
    ['fewer claims, so that it has the other surely', {}, { team: 'ops' }, true],
    ['all workspaces', { workspaces: ['*'] }, claims, true],
    ['other claims', {}, { team: 'dev' }, false],
    ['more claims', {}, { ...claims, level: 3 }, false],
    ['other workspaces', { workspaces: ['1d0c9a7e-52b6-4f83-9e4d-8a6b3c2f7051'] }, claims, false],
    ['read alone', { permissions: ['tokens:read'] }, claims, false],
  ])('%s', (_, reader, claimsOfReader, isFine) => {
    const advice = adviceOn(policy(reader, claimsOfReader));
    expect(advice.every((line) => line.startsWith('problem roles.minter.permissions'))).toBe(true);
    expect(advice).toHaveLength(isFine ? 0 : 1);
  });

  test('the role of another issuer is none of theirs', () => {
    const OTHER = 'https://other.example';
    const { issuers, bindings, ...rest } = policy({}, claims);
    const input = {
      ...rest,
      issuers: [...issuers, { issuer: OTHER, audience: 'countersign' }],
      bindings: [bindings[0], { ...bindings[1], issuer: OTHER }],
    };
    expect(adviceOn(input)).toEqual([expect.stringMatching(/^problem roles\.minter\.permissions/)]);
  });
});

test('a policy with every key has only what it lacks told', () => {
  expect(adviceOn(FULL)).toEqual([expect.stringMatching(/^problem roles\.ci\.permissions .* not revoke them/)]);
});
