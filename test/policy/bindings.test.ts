import { describe, expect, test } from 'vitest';
import type { Identity } from '../../src/identity/identity.ts';
import { rolesFor, unmatchedClaims } from '../../src/policy/bindings.ts';
import type { Binding } from '../../src/policy/types.ts';
import { role } from './builders.ts';

const ISSUER = 'https://issuer.example';
const UUID = '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e';

function identity(claims: Record<string, unknown>, issuer = ISSUER): Identity {
  return { issuer, subject: 's', label: null, actorType: 'user', claims };
}

function rolesOf(who: Identity, ...bindings: readonly Binding[]): readonly string[] {
  const roles = [role({ name: 'first' }), role({ name: 'second' }), role({ name: 'third' })];
  return rolesFor(who, { roles, bindings }).map(({ name }) => name);
}

const matches = (wanted: Binding['claims'], claims: Record<string, unknown>): boolean =>
  rolesOf(identity(claims), { issuer: ISSUER, claims: wanted, role: 'first' }).length === 1;

describe('claims match', () => {
  test.each<[string, Binding['claims'], Record<string, unknown>]>([
    ['an equal string', { repository: 'acme/shop' }, { repository: 'acme/shop' }],
    ['a number by its digits', { id: '74' }, { id: 74 }],
    ['a boolean by its word', { email_verified: 'true' }, { email_verified: true }],
    ['a pattern', { ref: 'refs/heads/*' }, { ref: 'refs/heads/main' }],
    ['a member of an array', { groups: 'ops' }, { groups: ['dev', 'ops'] }],
    ['a member of an array by pattern', { groups: 'ops-*' }, { groups: ['dev', 'ops-eu'] }],
    ['a number in an array', { ids: '7' }, { ids: [6, 7] }],
    ['a word of scope', { scope: 'mint' }, { scope: 'read mint audit' }],
    ['all words of scope, in any order', { scope: 'mint read' }, { scope: 'read  mint' }],
    ['words of scope between and beside spaces', { scope: ' mint  read ' }, { scope: 'mint read' }],
    ['words of scp as an array', { scp: 'mint read' }, { scp: ['read', 'mint'] }],
    ['a pattern for a word of scope', { scope: 'tokens.*' }, { scope: 'openid tokens.mint' }],
    ['a nested claim by its path', { '/kubernetes.io/namespace': 'shop' }, { 'kubernetes.io': { namespace: 'shop' } }],
    ['a name with dots and slashes, verbatim', { 'https://a.example/g': 'x' }, { 'https://a.example/g': ['x'] }],
    ['every claim listed', { a: '1', b: '2' }, { a: '1', b: '2', c: '3' }],
    ['a workspace in capitals', { workspace_uuid: UUID }, { workspace_uuid: UUID.toUpperCase() }],
    ['a workspace that the binding has in capitals', { workspace: UUID.toUpperCase() }, { workspace: UUID }],
    ['a workspace without hyphens', { workspace_id: UUID }, { workspace_id: UUID.replaceAll('-', '') }],
    [
      'a workspace as a URN',
      { 'https://acme.example/workspace': UUID },
      { 'https://acme.example/workspace': `urn:uuid:${UUID}` },
    ],
    ['a nested workspace', { '/pipeops/workspace': UUID }, { pipeops: { workspace: UUID.toUpperCase() } }],
    ['one of several workspaces', { workspace_uuid: UUID }, { workspace_uuid: ['w', UUID.toUpperCase()] }],
    ['a workspace by a pattern, as ever', { workspace_uuid: '5877A4AE-*' }, { workspace_uuid: UUID.toUpperCase() }],
    ['a workspace that is no UUID', { workspace: 'Shop' }, { workspace: 'Shop' }],
  ])('%s', (_, wanted, claims) => expect(matches(wanted, claims)).toBe(true));
});

describe('claims do not match', () => {
  test.each<[string, Binding['claims'], Record<string, unknown>]>([
    ['if one of several differs', { a: '1', b: '2' }, { a: '1', b: '3' }],
    ['by another workspace', { workspace: UUID }, { workspace: UUID.replace('5877', '5878') }],
    ['by a workspace in another case that is no UUID', { workspace: 'Shop' }, { workspace: 'shop' }],
    ['by a UUID in capitals that names no workspace', { sub: UUID }, { sub: UUID.toUpperCase() }],
    ['by one whose name only ends like a workspace', { myworkspace: UUID }, { myworkspace: UUID.toUpperCase() }],
    ['by one whose name only begins so', { workspace_owner: UUID }, { workspace_owner: UUID.toUpperCase() }],
    [
      'by a workspace in capitals where a pattern is small',
      { workspace: '5877a4ae-*' },
      { workspace: UUID.toUpperCase() },
    ],
    ['by an empty workspace', { workspace: UUID }, { workspace: '' }],
    ['if one of several is absent', { a: '1', b: '2' }, { a: '1' }],
    ['if the binding lists none', {}, { a: '1' }],
    ['by a prefix', { repository: 'acme/shop' }, { repository: 'acme/shop2' }],
    ['by words, unless it is scope or scp', { permissions: 'mint' }, { permissions: 'read mint' }],
    ['by part of a word of scope', { scope: 'mint' }, { scope: 'mint:all' }],
    ['if one of the words of scope is absent', { scope: 'mint read' }, { scope: 'mint' }],
    ['if scope is asked for by spaces alone', { scope: ' ' }, { scope: 'mint' }],
    ['null', { a: 'null' }, { a: null }],
    ['an object', { a: '[object Object]' }, { a: {} }],
    ['an array by its joined text', { a: 'x,y' }, { a: ['x', 'y'] }],
    ['an array inside of an array', { a: 'x' }, { a: [['x']] }],
    ['an empty array', { a: '*', b: '1' }, { a: [], b: '1' }],
    ['a number that JSON readers round', { id: '9007199254740993' }, { id: 9_007_199_254_740_992 + 1 }],
    ['a fraction', { id: '1.5' }, { id: 1.5 }],
    [
      'a nested claim by a verbatim name',
      { 'kubernetes.io/namespace': 'shop' },
      { 'kubernetes.io': { namespace: 'shop' } },
    ],
    ['what every object inherits', { constructor: '*' }, { a: '1' }],
    ['what every object inherits, by a path', { '/a/constructor/name': 'Object' }, { a: {} }],
    ['an array by an index', { '/groups/0': 'ops' }, { groups: ['ops'] }],
  ])('%s', (_, wanted, claims) => expect(matches(wanted, claims)).toBe(false));
});

const binding = (name: string, issuer = ISSUER): Binding => ({ issuer, claims: { a: '1' }, role: name });

describe('roles', () => {
  const who = identity({ a: '1' });

  test('stand in file order, not in that of the bindings', () => {
    expect(rolesOf(who, binding('third'), binding('first'))).toEqual(['first', 'third']);
  });
  test('stand once, however many bindings grant them', () => {
    expect(rolesOf(who, binding('second'), binding('second'))).toEqual(['second']);
  });
  test('are not granted by a binding of another issuer', () => {
    expect(rolesOf(who, binding('first', 'https://issuer.example/'))).toEqual([]);
  });
  test('are none where no binding matches', () => {
    expect(rolesOf(identity({ a: '2' }), binding('first'))).toEqual([]);
  });
});

test('the claims that do not match are named in the order of the binding', () => {
  const wanted = { team: 'ops', ref: 'refs/heads/*', scope: 'mint read', level: '3' };
  expect(unmatchedClaims({ claims: wanted }, { team: 'dev', ref: 'refs/heads/main', scope: 'mint' })).toEqual([
    'team',
    'scope',
    'level',
  ]);
  expect(
    unmatchedClaims({ claims: wanted }, { team: 'ops', ref: 'refs/heads/x', scope: 'read mint', level: 3 }),
  ).toEqual([]);
});
