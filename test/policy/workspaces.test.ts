import { describe, expect, it } from 'vitest';
import { type KnownWorkspaces, mayUseAnyWorkspace, usableWorkspaces } from '../../src/policy/reach.ts';
import type { Role } from '../../src/policy/types.ts';
import { BANK, callerWith, role, SHOP } from './builders.ts';

const KNOWN: KnownWorkspaces = { byDefault: 'home', inPolicy: [SHOP, BANK, SHOP], inUse: ['used', BANK, 'home'] };
const any = (changes: Partial<Role> = {}): Role => role({ workspaces: ['*'], ...changes });
const auditor = any({ permissions: ['audit:read'], tokens: 'any' });

describe('the workspaces that a caller may use', () => {
  it.each<[string, readonly Role[], readonly string[]]>([
    ['are those that its role names', [role({ workspaces: [BANK, SHOP] })], [BANK, SHOP]],
    ['are those of all its roles, each once', [role(), role({ workspaces: [BANK, SHOP] })], [SHOP, BANK]],
    ['have the default first', [role({ workspaces: [SHOP, 'home', BANK] })], ['home', SHOP, BANK]],
    ['have not the default where none of its roles is for it', [role()], [SHOP]],
    ['are all that is known, for a role for any', [any()], ['home', SHOP, BANK, 'used']],
    [
      'are all that is known beside what another role names',
      [role({ workspaces: ['x'] }), any()],
      ['home', 'x', SHOP, BANK, 'used'],
    ],
    ['are none of a role that only reads the trail', [auditor], []],
    ['are not more by a role that only reads the trail', [role(), auditor], [SHOP]],
    ['are those of a role that only revokes', [role({ permissions: ['tokens:revoke'] })], [SHOP]],
    ['are those of a role that also reads the trail', [role({ permissions: ['audit:read', 'tokens:read'] })], [SHOP]],
    ['are none without a role', [], []],
  ])('%s', (_case, roles, expected) => {
    expect(usableWorkspaces(callerWith(...roles), KNOWN)).toEqual(expected);
  });

  it('are the default too where nothing else names it', () => {
    const known = { byDefault: 'home', inPolicy: [SHOP], inUse: [] };
    expect(usableWorkspaces(callerWith(any()), known)).toEqual(['home', SHOP]);
  });

  it('may be known without a default', () => {
    expect(usableWorkspaces(callerWith(any()), { ...KNOWN, byDefault: null })).toEqual([SHOP, BANK, 'used', 'home']);
  });
});

it.each<[readonly Role[], boolean]>([
  [[any()], true],
  [[role(), any({ permissions: ['tokens:read'] })], true],
  [[role()], false],
  [[auditor], false],
  [[role(), auditor], false],
  [[], false],
])('whether a caller may use any workspace: case %#', (roles, expected) => {
  expect(mayUseAnyWorkspace(callerWith(...roles))).toBe(expected);
});
