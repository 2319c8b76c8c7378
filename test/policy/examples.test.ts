import { describe, expect, test } from 'vitest';
import cloudflareAccess from '../../docs/policy/cloudflare-access.ts';
import githubActions from '../../docs/policy/github-actions.ts';
import kubernetes from '../../docs/policy/kubernetes.ts';
import oauthScopes from '../../docs/policy/oauth-scopes.ts';
import webhooks from '../../docs/policy/webhooks.ts';
import rootPolicy from '../../policy.ts';
import { policyAdvice } from '../../src/config/advice.ts';
import { placeholdersIn } from '../../src/config/placeholders.ts';
import { parsePolicy, type Policy } from '../../src/config/policy.ts';
import { readClaim, rolesFor } from '../../src/policy/bindings.ts';
import { ACCESS_SERVICE, ACCESS_USER, AUTH0, GITHUB, KUBERNETES, OKTA } from './claims.ts';

type Claims = Readonly<Record<string, unknown>>;

function parsed(input: unknown): Policy {
  const policy = parsePolicy(input);
  if (!policy.ok) throw new Error(JSON.stringify(policy.error));
  return policy.value;
}

/** The identity that these claims name by the first entry of their issuer and audience that has a subject for them, and its roles. */
function named(input: unknown, claims: Claims) {
  const policy = parsed(input);
  const audiences = [claims['aud']].flat();
  for (const issuer of policy.issuers) {
    const subject = readClaim(claims, issuer.subject);
    const isOurs = issuer.issuer === claims['iss'] && issuer.audience.some((audience) => audiences.includes(audience));
    if (!isOurs || typeof subject !== 'string' || subject === '') continue;
    const label = issuer.label === null ? null : readClaim(claims, issuer.label);
    const { actorType } = issuer;
    const identity = { issuer: issuer.issuer, subject, label: String(label), actorType, claims };
    return { subject, label, actorType, roles: rolesFor(identity, policy).map(({ name }) => name) };
  }
  return null;
}

test.each([
  ['policy.ts', rootPolicy],
  ['GitHub Actions', githubActions],
  ['Cloudflare Access', cloudflareAccess],
  ['OAuth scopes', oauthScopes],
  ['Kubernetes', kubernetes],
  ['webhooks', webhooks],
])(
  'the example for %s parses, grants every role it defines, and has placeholders that the doctor knows',
  (_, input) => {
    expect(policyAdvice(parsed(input))).toEqual([]);
    const { workspaces } = parsed(input).roles.find((role) => !role.workspaces.includes('*')) ?? { workspaces: [] };
    const placeholders = placeholdersIn(input).filter(({ severity }) => severity === 'problem');
    // Whoever copies the example and forgets the workspace is told.
    for (const workspace of workspaces) {
      expect(placeholders.map(({ problem }) => problem)).toContainEqual(expect.stringContaining(workspace));
    }
    expect(placeholders.map(({ key }) => key)).toContainEqual(expect.stringMatching(/^roles\.\w+\.workspaces\[0\]$/));
  },
);

test('policy.ts as it comes gives nobody a role', () => {
  expect(named(rootPolicy, GITHUB)?.roles).toEqual([]);
});

describe('GitHub Actions', () => {
  const ROTATE = 'octo-org/octo-repo/.github/workflows/rotate-token.yml';
  const rotating = { ...GITHUB, event_name: 'schedule', workflow_ref: `${ROTATE}@refs/heads/main` };
  const release = { ...GITHUB, ref: 'refs/heads/release-1.2' };
  test.each<[string, Claims, readonly string[]]>([
    ['main of the organisation', GITHUB, ['ci']],
    ['a release branch of the repository', release, ['release']],
    ['the workflow that rotates, on its schedule', rotating, ['rotation']],
    ['that workflow on another branch', { ...rotating, workflow_ref: `${ROTATE}@refs/heads/x` }, []],
    ['a branch that only starts like one', { ...GITHUB, ref: 'refs/heads/release-1/x' }, []],
    ['another branch', { ...GITHUB, ref: 'refs/heads/feature' }, []],
    ['a pull request', { ...GITHUB, ref: 'refs/pull/7/merge', event_name: 'pull_request' }, []],
    ['what a pull request triggers on main', { ...GITHUB, event_name: 'pull_request_target' }, []],
    ['a release branch of a repository of the same name', { ...release, repository_id: '75' }, []],
    ['main of another organisation', { ...GITHUB, repository_owner_id: '66' }, []],
  ])('%s', (_, claims, roles) => expect(named(githubActions, claims)?.roles).toEqual(roles));

  test('tokens belong to the repository by its number', () => {
    expect(named(githubActions, GITHUB)).toMatchObject({ subject: '74', label: 'octo-org/octo-repo' });
  });
});

describe('Cloudflare Access', () => {
  test('a user is known by sub, and shown by e-mail', () => {
    expect(named(cloudflareAccess, ACCESS_USER)).toEqual({
      subject: '7335d417-61da-459d-899c-0a01c76a2f94',
      label: 'ada@acme.example',
      actorType: 'user',
      roles: ['security'],
    });
  });
  test('a service token is known by its Client ID, since its sub is empty', () => {
    expect(named(cloudflareAccess, ACCESS_SERVICE)).toEqual({
      subject: 'e367826f93b8d71185e03fe518aff3b4.access',
      label: 'e367826f93b8d71185e03fe518aff3b4.access',
      actorType: 'service_account',
      roles: ['backup'],
    });
  });
  test.each<[string, Claims, readonly string[]]>([
    ['another user', { ...ACCESS_USER, email: 'eve@acme.example', custom: {} }, []],
    ['another user of the group', { ...ACCESS_USER, email: 'bob@acme.example' }, ['security']],
    ['another service token', { ...ACCESS_SERVICE, common_name: 'ffffffffffffffffffffffffffffffff.access' }, []],
  ])('%s', (_, claims, roles) => expect(named(cloudflareAccess, claims)?.roles).toEqual(roles));

  test('a JWT for another application is nobody’s', () => {
    expect(named(cloudflareAccess, { ...ACCESS_USER, aud: ['another'] })).toBeNull();
  });
});

describe('OAuth scopes', () => {
  test.each<[string, Claims, readonly string[]]>([
    ['Auth0: all words, in another order', AUTH0, ['minter']],
    ['Auth0: one word of two', { ...AUTH0, scope: 'tokens:mint' }, []],
    ['Auth0: a word more', { ...AUTH0, scope: `${AUTH0.scope} audit:read` }, ['minter', 'auditor']],
    ['Auth0: no scope at all', { ...AUTH0, scope: undefined }, []],
    ['Okta: the scope in an array', OKTA, ['minter']],
    ['Okta: another scope', { ...OKTA, scp: ['tokens.minting'] }, []],
    ['Okta: the words of Auth0', { ...OKTA, scp: ['tokens:mint', 'tokens:read'] }, []],
  ])('%s', (_, claims, roles) => expect(named(oauthScopes, claims)?.roles).toEqual(roles));

  test('clients own their tokens', () => {
    expect(named(oauthScopes, AUTH0)?.subject).toBe('my_client_id@clients');
    expect(named(oauthScopes, OKTA)?.subject).toBe('0oabskvc6442nkvQO0h7');
  });
});

describe('Kubernetes', () => {
  const inNamespace = (changes: Claims): Claims => ({
    ...KUBERNETES,
    'kubernetes.io': { ...KUBERNETES['kubernetes.io'], ...changes },
  });
  test.each<[string, Claims, readonly string[]]>([
    ['a service account of the pattern', KUBERNETES, ['deployer']],
    ['one of another namespace', inNamespace({ namespace: 'bank' }), []],
    ['one of another name', inNamespace({ serviceaccount: { name: 'default', uid: 'u' } }), []],
  ])('%s', (_, claims, roles) => expect(named(kubernetes, claims)?.roles).toEqual(roles));

  test('tokens belong to the UID, and the name is shown', () => {
    expect(named(kubernetes, KUBERNETES)).toMatchObject({
      subject: '14ee3fa4-a7e2-420f-9f9a-dbc4507c3798',
      label: 'system:serviceaccount:shop:deploy-web',
    });
  });
});
