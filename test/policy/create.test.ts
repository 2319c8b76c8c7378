import { describe, expect, test } from 'vitest';
import type { DenialReason } from '../../src/failures.ts';
import { decide, mostTokensOf, tokenLimit } from '../../src/policy/decide.ts';
import type { Grant, PolicyRequest, Role } from '../../src/policy/types.ts';
import { BANK, CONTEXT, HOUR_MS, HOUR_SECONDS, NOW_MS, SHOP, callerWith, create, role } from './builders.ts';

type Create = Extract<PolicyRequest, { operation: 'create' }>;
const IN_AN_HOUR_MS = NOW_MS + HOUR_MS;
const oneHour = { maxTtlSeconds: HOUR_SECONDS };
const platform = ['api:read', 'api:write'];

describe('one role allows', () => {
  test.each<[string, Partial<Role>, Partial<Create>, Omit<Grant, 'role' | 'lifts'>]>([
    ['a scope within the ceiling', {}, {}, { scopes: ['api:read'], expiresAtMs: null }],
    ['each scope once', {}, { scopes: ['api:read', 'api:read'] }, { scopes: ['api:read'], expiresAtMs: null }],
    ['any scope under *', { scopes: ['*'] }, { scopes: ['api:full'] }, { scopes: ['api:full'], expiresAtMs: null }],
    [
      'any workspace under *',
      { workspaces: ['*'] },
      { workspaceUuid: BANK },
      { scopes: ['api:read'], expiresAtMs: null },
    ],
    ['a preset as its scopes', {}, { scopes: null, preset: 'sandbox' }, { scopes: ['api:read'], expiresAtMs: null }],
    ['a preset beside no scopes', {}, { scopes: [], preset: 'sandbox' }, { scopes: ['api:read'], expiresAtMs: null }],
    [
      'scopes and a preset as their union',
      { scopes: ['api:read', 'api:write', 'x'] },
      { scopes: ['x', 'api:read'], preset: 'platform' },
      { scopes: ['x', 'api:read', 'api:write'], expiresAtMs: null },
    ],
    ['no expiry without maxTtl', {}, {}, { scopes: ['api:read'], expiresAtMs: null }],
    ['any expiry without maxTtl', {}, { expiresAtMs: 9e12 }, { scopes: ['api:read'], expiresAtMs: 9e12 }],
    ['maxTtl as the default expiry', oneHour, {}, { scopes: ['api:read'], expiresAtMs: IN_AN_HOUR_MS }],
    [
      'an earlier expiry as it is',
      oneHour,
      { expiresAtMs: NOW_MS + 1 },
      { scopes: ['api:read'], expiresAtMs: NOW_MS + 1 },
    ],
    ['exactly maxTtl', oneHour, { expiresAtMs: IN_AN_HOUR_MS }, { scopes: ['api:read'], expiresAtMs: IN_AN_HOUR_MS }],
    [
      'a millisecond more, cut',
      oneHour,
      { expiresAtMs: IN_AN_HOUR_MS + 1 },
      { scopes: ['api:read'], expiresAtMs: IN_AN_HOUR_MS },
    ],
    [
      '60 s more, cut',
      oneHour,
      { expiresAtMs: IN_AN_HOUR_MS + 60_000 },
      { scopes: ['api:read'], expiresAtMs: IN_AN_HOUR_MS },
    ],
  ])('%s', (_, roleChanges, request, grant) => {
    const decision = decide(callerWith(role(roleChanges)), create(request), CONTEXT);
    expect(decision).toEqual({ allowed: true, grant: { role: 'ci', lifts: [], ...grant } });
  });
});

describe('one role refuses', () => {
  test.each<[string, Partial<Role>, Partial<Create>, DenialReason]>([
    ['without the permission', { permissions: ['tokens:read', 'tokens:update', 'tokens:revoke'] }, {}, 'permission'],
    ['another workspace', {}, { workspaceUuid: BANK }, 'workspace'],
    ['a workspace of which it has a prefix', { workspaces: ['workspace'] }, {}, 'workspace'],
    ['a scope beyond the ceiling', {}, { scopes: ['api:read', 'api:write'] }, 'scopes'],
    ['a scope that its own merely starts', {}, { scopes: ['api:readwrite'] }, 'scopes'],
    ['a scope in another case', {}, { scopes: ['API:READ'] }, 'scopes'],
    ['what a greater scope may imply', { scopes: ['api:full'] }, { scopes: ['api:read'] }, 'scopes'],
    ['a * asked for under a ceiling', {}, { scopes: ['*'] }, 'scopes'],
    ['everything under an empty ceiling', { scopes: [] }, {}, 'scopes'],
    ['neither scopes nor preset', {}, { scopes: null }, 'scopes'],
    ['no scope at all, even without a ceiling', { scopes: ['*'] }, { scopes: [] }, 'scopes'],
    ['an unknown preset', {}, { preset: 'mcp' }, 'preset_unknown'],
    ['an unknown preset, even without a ceiling', { scopes: ['*'] }, { preset: 'mcp' }, 'preset_unknown'],
    ['a preset named after what objects inherit', { scopes: ['*'] }, { preset: 'constructor' }, 'preset_unknown'],
    ['a preset beyond the ceiling', {}, { scopes: null, preset: 'platform' }, 'scopes'],
    ['a preset beyond the ceiling beside good scopes', {}, { preset: 'platform' }, 'scopes'],
    ['good presets beside a scope beyond', {}, { scopes: ['api:write'], preset: 'sandbox' }, 'scopes'],
    ['an expiry 60.001 s beyond maxTtl', oneHour, { expiresAtMs: IN_AN_HOUR_MS + 60_001 }, 'lifetime'],
    ['an expiry that is no number', oneHour, { expiresAtMs: Number.NaN }, 'lifetime'],
  ])('%s', (_, roleChanges, request, reason) => {
    const decision = decide(callerWith(role(roleChanges)), create(request), CONTEXT);
    expect(decision).toMatchObject({
      allowed: false,
      failure: { kind: 'forbidden', reason, permission: 'tokens:create' },
    });
  });
});

describe('a caller that holds tokens', () => {
  const three = role({ name: 'three', maxTokens: 3 });
  const five = role({ name: 'five', maxTokens: 5 });
  const held = (heldTokens: number, ...roles: readonly Role[]) =>
    decide(callerWith(...roles), create({ heldTokens }), CONTEXT);
  const limitReached = (limit: number) => ({ allowed: false, failure: { kind: 'token_limit_reached', limit } });

  test.each<[string, number, readonly Role[], string]>([
    ['one fewer than the limit', 2, [three], 'three'],
    ['as many as the first role allows, and fewer than the next does', 3, [three, five], 'five'],
    ['fewer than the first role allows', 2, [three, five], 'three'],
    ['none', 0, [five, three], 'five'],
  ])('may create another: %s', (_, count, roles, name) => {
    expect(held(count, ...roles)).toMatchObject({ allowed: true, grant: { role: name } });
  });

  test.each<[string, number, readonly Role[], number]>([
    ['as many as its role allows', 3, [three], 3],
    ['more than its role allows', 7, [three], 3],
    ['as many as the most that any role allows', 5, [five, three], 5],
    ['infinitely many, since none is reserved', Infinity, [three, five], 5],
    ['as many as one allows, while another role forbids the rest', 3, [three, role({ workspaces: [BANK] })], 3],
    ['as many, while a role with more forbids the rest', 3, [role({ scopes: ['x'], maxTokens: 9 }), three], 3],
  ])('is at its limit: %s', (_, count, roles, limit) => {
    expect(held(count, ...roles)).toEqual(limitReached(limit));
  });

  test('is told what else is forbidden, and nothing about the limit', () => {
    const request = create({ heldTokens: 9, scopes: ['api:full'] });
    expect(decide(callerWith(three), request, CONTEXT)).toMatchObject({
      failure: { kind: 'forbidden', reason: 'scopes' },
    });
  });

  test('reserves under the highest limit of the roles that allow the rest, whatever it holds', () => {
    const reader = role({ permissions: ['tokens:read'], maxTokens: 8 });
    const roles = [three, five, role({ workspaces: [BANK], maxTokens: 9 }), reader];
    const limitOf = (request: PolicyRequest & { operation: 'create' }) =>
      tokenLimit(callerWith(...roles), request, CONTEXT);
    expect(limitOf(create({ heldTokens: 99 }))).toBe(5);
    expect(limitOf(create({ workspaceUuid: BANK }))).toBe(9);
    expect(limitOf(create({ scopes: ['api:full'] }))).toBeNull();
    expect(mostTokensOf(callerWith(...roles))).toBe(9);
    expect(mostTokensOf(callerWith(reader))).toBeNull();
  });
});

describe('of several roles', () => {
  const shortInShop = role({ name: 'short', maxTtlSeconds: HOUR_SECONDS });
  const longInShop = role({ name: 'long', maxTtlSeconds: 2 * HOUR_SECONDS });
  const writerInBank = role({ name: 'writer', workspaces: [BANK], scopes: platform });
  const decideFor = (roles: readonly Role[], request: Partial<Create>) =>
    decide(callerWith(...roles), create(request), CONTEXT);

  test.each<[string, readonly Role[], Partial<Create>, string, number | null]>([
    ['the first in file order decides', [shortInShop, longInShop], {}, 'short', IN_AN_HOUR_MS],
    ['the order of the file, not the longer life, counts', [longInShop, shortInShop], {}, 'long', NOW_MS + 2 * HOUR_MS],
    [
      'one that refuses is passed over',
      [shortInShop, longInShop],
      { expiresAtMs: NOW_MS + 2 * HOUR_MS },
      'long',
      NOW_MS + 2 * HOUR_MS,
    ],
    [
      'one that cuts comes before a later one that would not',
      [shortInShop, longInShop],
      { expiresAtMs: IN_AN_HOUR_MS + 30_000 },
      'short',
      IN_AN_HOUR_MS,
    ],
  ])('%s', (_, roles, request, name, expiresAtMs) => {
    expect(decideFor(roles, request)).toEqual({
      allowed: true,
      grant: { role: name, scopes: ['api:read'], expiresAtMs, lifts: [] },
    });
  });

  test.each<[string, readonly Role[], Partial<Create>, DenialReason]>([
    ['workspace of one, scope of the other', [shortInShop, writerInBank], { scopes: ['api:write'] }, 'scopes'],
    [
      'scope of one, lifetime of the other',
      [role({ ...oneHour, scopes: platform }), role({ name: 'long' })],
      { scopes: ['api:write'], expiresAtMs: NOW_MS + 5 * HOUR_MS },
      'lifetime',
    ],
    [
      'scope of one, scope of the other',
      [role(), role({ name: 'w', scopes: ['api:write'] })],
      { scopes: platform },
      'scopes',
    ],
    [
      'permission of one, workspace of the other',
      [role({ workspaces: [BANK] }), role({ name: 'reader', permissions: ['tokens:read'], workspaces: [SHOP] })],
      {},
      'workspace',
    ],
  ])('grants never combine: %s', (_, roles, request, reason) => {
    const denied = { allowed: false, failure: { kind: 'forbidden', reason, permission: 'tokens:create' } };
    expect(decideFor(roles, request)).toMatchObject(denied);
    expect(decideFor(roles.toReversed(), request)).toMatchObject(denied);
  });
});
