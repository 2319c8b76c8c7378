import policy from './policy.ts';
import { definePolicyCases } from './src/config/define-cases.ts';

// What policy.ts must allow, and what it must not. `npm run policy -- test` asks it, and so does `npm run check`. Write a case for
// each thing that you rely on, and one for each that would frighten you.

const GITHUB = 'https://token.actions.githubusercontent.com';
const WORKSPACE = '00000000-0000-0000-0000-000000000000';

const main = {
  issuer: GITHUB,
  claims: { repository: 'your-org/your-repo', repository_id: '1', ref: 'refs/heads/main' },
};
const pullRequest = { issuer: GITHUB, claims: { ...main.claims, ref: 'refs/pull/7/merge' } };
const stranger = {
  issuer: GITHUB,
  claims: { ...main.claims, repository: 'somebody-else/your-repo', repository_id: '2' },
};

export default definePolicyCases(policy, [
  {
    name: 'the main branch mints a token that reads, for a month',
    caller: main,
    request: { operation: 'create', workspace: WORKSPACE, scopes: ['api:read'], expiresIn: '30d' },
    expect: { allowed: 'ci' },
  },
  {
    name: 'it mints none that may do everything',
    caller: main,
    request: { operation: 'create', workspace: WORKSPACE, scopes: ['api:full'] },
    expect: { denied: 'scopes', role: 'ci' },
  },
  {
    name: 'it mints none for longer than a month',
    caller: main,
    request: { operation: 'create', workspace: WORKSPACE, scopes: ['api:read'], expiresIn: '31d' },
    expect: { denied: 'lifetime', role: 'ci' },
  },
  {
    name: 'it mints none in another workspace',
    caller: main,
    request: { operation: 'create', workspace: '11111111-1111-1111-1111-111111111111', scopes: ['api:read'] },
    expect: { denied: 'workspace', role: 'ci' },
  },
  {
    name: 'it mints none beyond fifty live ones',
    caller: main,
    request: { operation: 'create', workspace: WORKSPACE, scopes: ['api:read'], held: 50 },
    expect: { denied: 'token_limit_reached', role: 'ci' },
  },
  {
    name: 'it revokes its own token',
    caller: main,
    request: { operation: 'revoke', workspace: WORKSPACE },
    expect: { allowed: 'ci' },
  },
  {
    name: 'it rotates its own token, which lives on for a day',
    caller: main,
    request: { operation: 'rotate', workspace: WORKSPACE, tokenScopes: ['api:read'], overlap: '1d' },
    expect: { allowed: 'ci' },
  },
  {
    name: 'it rotates none that was granted more than it may have by now',
    caller: main,
    request: { operation: 'rotate', workspace: WORKSPACE, tokenScopes: ['api:full'] },
    expect: { denied: 'scopes', role: 'ci' },
  },
  {
    name: 'it does not even see the token of another repository',
    caller: main,
    request: { operation: 'revoke', workspace: WORKSPACE, owner: 'other' },
    expect: { denied: 'token_not_found' },
  },
  {
    name: 'it does not read the trail',
    caller: main,
    request: { operation: 'audit' },
    expect: { denied: 'permission' },
  },
  {
    name: 'a pull request has no role',
    caller: pullRequest,
    request: { operation: 'list', workspace: WORKSPACE },
    expect: { denied: 'no_role' },
  },
  {
    name: 'nor has a repository of the same name in another organisation',
    caller: stranger,
    request: { operation: 'list', workspace: WORKSPACE },
    expect: { denied: 'no_role' },
  },
  {
    name: 'a JWT for another audience is not accepted',
    caller: { ...main, claims: { ...main.claims, aud: 'https://github.com/your-org' } },
    request: { operation: 'list', workspace: WORKSPACE },
    expect: { denied: 'audience_mismatch' },
  },
]);
