import { describe, expect, test } from 'vitest';
import type { DenialReason } from '../../src/failures.ts';
import { decide, hasPermission } from '../../src/policy/decide.ts';
import type { PolicyRequest, Role } from '../../src/policy/types.ts';
import { PERMISSIONS } from '../../src/vocabulary.ts';
import { BANK, CONTEXT, SHOP, TOKENS, callerWith, create, role } from './builders.ts';

const auditor = role({ name: 'auditor', permissions: ['audit:read'], tokens: 'any', workspaces: ['*'], scopes: [] });

test.each(PERMISSIONS)('%s is held by a caller one of whose roles lists it, and by no other', (permission) => {
  const holder = { ...auditor, permissions: [permission] };
  const others = { ...auditor, permissions: PERMISSIONS.filter((name) => name !== permission) };
  expect(hasPermission(callerWith(others, holder), permission)).toBe(true);
  expect(hasPermission(callerWith(others), permission)).toBe(false);
});

test.each<PolicyRequest>([
  create(),
  { operation: 'list', workspaceUuid: SHOP },
  { operation: 'get', workspaceUuid: SHOP, token: TOKENS.mine },
  { operation: 'update', workspaceUuid: SHOP, token: TOKENS.mine, resulting: null, resumes: false },
  { operation: 'revoke', workspaceUuid: SHOP, token: TOKENS.mine },
  { operation: 'order', workspaceUuid: SHOP },
  { operation: 'retry', workspaceUuids: [SHOP] },
  { operation: 'audit' },
  { operation: 'resume-log' },
])('whoever has no role may not $operation', (request) => {
  expect(decide(callerWith(), request, CONTEXT)).toEqual({ allowed: false, failure: { kind: 'no_role' } });
});

describe('the trail', () => {
  test('is read under a role over every workspace and any token', () => {
    const grant = { role: 'auditor', scopes: null, expiresAtMs: null, lifts: [] };
    expect(decide(callerWith(role(), auditor), { operation: 'audit' }, CONTEXT)).toEqual({ allowed: true, grant });
  });
  test.each<[string, readonly Role[], DenialReason]>([
    ['without the permission', [role({ tokens: 'any', workspaces: ['*'] })], 'permission'],
    ['in one workspace', [{ ...auditor, workspaces: [SHOP] }], 'workspace'],
    ['over own tokens', [{ ...auditor, tokens: 'own' }], 'ownership'],
    [
      'with workspaces of one role and tokens of another',
      [
        { ...auditor, workspaces: [SHOP] },
        { ...auditor, tokens: 'own' },
      ],
      'ownership',
    ],
  ])('is closed: %s', (_, roles, reason) => {
    const caller = callerWith(...roles);
    const failure = { kind: 'forbidden', reason, permission: 'audit:read' };
    expect(decide(caller, { operation: 'audit' }, CONTEXT)).toEqual({ allowed: false, failure });
    expect(hasPermission(caller, 'audit:read')).toBe(false);
  });
});

describe('what a delivery ordered', () => {
  const responder = role({ name: 'responder', permissions: ['tokens:revoke'], tokens: 'any', workspaces: [SHOP] });
  const retry = (workspaceUuids: readonly string[], ...roles: readonly Role[]): unknown =>
    decide(callerWith(...roles), { operation: 'retry', workspaceUuids }, CONTEXT);

  test('is repeated under a role over any token of its workspaces', () => {
    const grant = { role: 'responder', scopes: null, expiresAtMs: null, lifts: [] };
    expect(retry([SHOP], role(), responder)).toEqual({ allowed: true, grant });
  });
  test.each<[string, readonly string[], Role, DenialReason]>([
    ['of a workspace that its role is not for', [BANK], responder, 'workspace'],
    ['of two workspaces of which its role is for one', [SHOP, BANK], responder, 'workspace'],
    ['by a role over own tokens', [SHOP], { ...responder, tokens: 'own' }, 'ownership'],
  ])('is not repeated %s', (_, workspaceUuids, held, reason) => {
    const failure = { kind: 'forbidden', reason, permission: 'tokens:revoke', shortfall: null };
    expect(retry(workspaceUuids, held)).toEqual({ allowed: false, failure });
  });
});

describe('revocations', () => {
  const responder = role({ name: 'responder', permissions: ['tokens:revoke'], tokens: 'any', workspaces: [SHOP] });
  const everywhere = { ...responder, name: 'everywhere', workspaces: ['*'] };
  const order = (workspaceUuid: string, ...roles: readonly Role[]): unknown =>
    decide(callerWith(...roles), { operation: 'order', workspaceUuid }, CONTEXT);

  test.each<[string, string, readonly Role[], string]>([
    ['of tokens, under a role over any token of their workspace', SHOP, [role(), responder], 'responder'],
    ['of tokens, under a role for all workspaces', SHOP, [everywhere], 'everywhere'],
    ['of a subject, under a role for all workspaces', '*', [responder, everywhere], 'everywhere'],
  ])('are ordered %s', (_, workspaceUuid, roles, name) => {
    const grant = { role: name, scopes: null, expiresAtMs: null, lifts: [] };
    expect(order(workspaceUuid, ...roles)).toEqual({ allowed: true, grant });
  });

  test.each<[string, string, readonly Role[], DenialReason]>([
    ['of tokens in a workspace that no role is for', BANK, [responder], 'workspace'],
    ['of tokens by a role over own tokens', SHOP, [{ ...responder, tokens: 'own' }], 'ownership'],
    ['of a subject by a role for one workspace', '*', [responder], 'workspace'],
    ['of a subject by a role over own tokens', '*', [{ ...everywhere, tokens: 'own' }], 'ownership'],
    ['without the permission', '*', [{ ...everywhere, permissions: ['tokens:read', 'audit:read'] }], 'permission'],
    [
      'of a subject with the workspaces of one role, the tokens of another and the permission of a third',
      '*',
      [
        responder,
        { ...everywhere, tokens: 'own' },
        { ...everywhere, name: 'reader', permissions: ['tokens:read', 'audit:read'] },
      ],
      'ownership',
    ],
  ])('are not ordered %s', (_, workspaceUuid, roles, reason) => {
    expect(order(workspaceUuid, ...roles)).toMatchObject({
      allowed: false,
      failure: { kind: 'forbidden', reason, permission: 'tokens:revoke' },
    });
  });
});
