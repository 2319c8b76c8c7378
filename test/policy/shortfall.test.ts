import { describe, expect, it } from 'vitest';
import { SHORTFALL_NAMES_MAX_COUNT } from '../../src/config/limits.ts';
import { decide } from '../../src/policy/decide.ts';
import { describeShortfall, shortfallOf, type Shortfall } from '../../src/policy/shortfall.ts';
import type { KnownToken, PolicyRequest, Role } from '../../src/policy/types.ts';
import { toWireError } from '../../src/http/wire-errors.ts';
import { BANK, callerWith, CONTEXT, create, HOUR_MS, HOUR_SECONDS, NOW_MS, role, SHOP, TOKENS } from './builders.ts';

// A refusal names by how much the first role that has the permission falls short: from the role and the request, and nothing else.

const told = (roles: readonly Role[], request: PolicyRequest, presets = CONTEXT.presets): string => {
  const decision = decide(callerWith(...roles), request, { ...CONTEXT, presets });
  if (decision.allowed) throw new Error('allowed');
  return toWireError(decision.failure).message;
};
const refused = (why: string): string =>
  `None of your roles allows the whole of this request${why}. GET /api/v1/whoami shows what they allow.`;

const reader = role({ name: 'reader', permissions: ['tokens:read'], scopes: ['*'], workspaces: ['*'] });
const oneHour = { maxTtlSeconds: HOUR_SECONDS };
const LATE_MS = NOW_MS + 5 * HOUR_MS;

describe('of a create', () => {
  it.each<[string, readonly Role[], Parameters<typeof create>[0], string]>([
    ['a scope', [role()], { scopes: ['api:write'] }, 'role "ci" allows at most api:read'],
    ['of several scopes', [role({ scopes: ['a:b', 'c:d'] })], {}, 'role "ci" allows at most a:b, c:d'],
    ['every scope', [role({ scopes: [] })], {}, 'role "ci" allows no scope'],
    [
      'a preset beyond the ceiling',
      [role()],
      { scopes: null, preset: 'platform' },
      'role "ci" allows at most api:read',
    ],
    ['an unknown preset', [role()], { preset: 'mcp' }, 'role "ci" knows the presets sandbox'],
    [
      'an unknown preset, without a ceiling',
      [role({ scopes: ['*'] })],
      { preset: 'mcp' },
      'role "ci" knows the presets sandbox, platform',
    ],
    ['a preset where none fits', [role({ scopes: ['x:y'] })], { preset: 'mcp' }, 'role "ci" knows no preset'],
    ['a lifetime', [role(oneHour)], { expiresAtMs: LATE_MS }, 'role "ci" allows at most 1 hour'],
    ['a workspace', [role()], { workspaceUuid: BANK }, `role "ci" is for ${SHOP} alone`],
    [
      'of several at once, the first to be judged',
      [role(oneHour)],
      { workspaceUuid: BANK, scopes: ['api:write'], expiresAtMs: LATE_MS },
      `role "ci" is for ${SHOP} alone`,
    ],
    [
      'the first role that has the permission, not the first of all',
      [reader, role({ name: 'minter' })],
      { scopes: ['api:write'] },
      'role "minter" allows at most api:read',
    ],
    [
      'the first in file order, whichever came closer',
      [role({ name: 'far', workspaces: [BANK] }), role({ name: 'near', ...oneHour })],
      { expiresAtMs: LATE_MS },
      `role "far" is for ${BANK} alone`,
    ],
  ])('%s', (_case, roles, request, why) => {
    expect(told(roles, create(request))).toBe(refused(`: ${why}`));
  });

  it('the permission', () => {
    expect(told([reader], create())).toBe(
      'None of your roles has the permission tokens:create. GET /api/v1/whoami shows what they allow.',
    );
  });

  it('no preset is known at all', () => {
    expect(told([role()], create({ preset: 'mcp' }), { other: ['x:y'] } as never)).toBe(
      refused(': role "ci" knows no preset'),
    );
  });
});

const update = (
  token: KnownToken,
  changes: Partial<Extract<PolicyRequest, { operation: 'update' }>> = {},
): PolicyRequest => ({ operation: 'update', workspaceUuid: SHOP, token, resulting: null, resumes: false, ...changes });
const RESULT = { scopes: ['api:write'], expiresAtMs: null };
const anyReader = role({ name: 'seer', permissions: ['tokens:read'], tokens: 'any' });

describe('of what is about a token', () => {
  it('scopes that the update names', () => {
    const request = update(TOKENS.mine, { resulting: RESULT, namedScopes: ['api:write'] });
    expect(told([role()], request)).toBe(refused(': role "ci" allows at most api:read'));
  });

  it('a workspace', () => {
    const mine = { workspaceUuid: BANK, token: TOKENS.mineInBank };
    const roles = [role(), role({ ...anyReader, workspaces: [BANK] })];
    const why = `: role "ci" is for ${SHOP} alone`;
    expect(told(roles, update(TOKENS.mineInBank, { workspaceUuid: BANK }))).toBe(refused(why));
    expect(told(roles, { operation: 'revoke', ...mine })).toBe(refused(why));
    expect(told([role()], { operation: 'list', workspaceUuid: BANK })).toBe(refused(why));
  });

  const hidden = refused(' (tokens:update)');
  it.each<[string, readonly Role[], PolicyRequest]>([
    ['whose token it is', [role(), anyReader], update(TOKENS.anothers)],
    [
      'what scopes it has, where a resume is judged by them',
      [role()],
      update(TOKENS.mine, { resulting: RESULT, resumes: true }),
    ],
    [
      'how long it lives, where the scopes that are named would do',
      [role(oneHour)],
      update(TOKENS.mine, { resulting: { scopes: ['api:read'], expiresAtMs: LATE_MS }, namedScopes: ['api:read'] }),
    ],
    [
      'why it is suspended',
      [role()],
      update({ ...TOKENS.mine, suspendedBy: ['offboarding'] }, { resumes: true, namedScopes: null }),
    ],
  ])('not %s', (_case, roles, request) => {
    expect(told(roles, request)).toBe(hidden);
  });

  it('is the same, whatever token it is and whether or not it was suspended', () => {
    const named = { resulting: RESULT, namedScopes: ['api:write'] };
    const messages = [TOKENS.mine, TOKENS.anothers, TOKENS.namesakes, TOKENS.nobodys].flatMap((token) =>
      [[], ['leak' as const]].map((suspendedBy) => told([role(), anyReader], update({ ...token, suspendedBy }, named))),
    );
    expect(new Set(messages)).toEqual(new Set([refused(': role "ci" allows at most api:read')]));
  });

  it('nothing of a token that the caller is not shown', () => {
    const request = update(TOKENS.anothers, { resulting: RESULT, namedScopes: ['api:write'] });
    expect(told([role()], request)).toBe(told([role()], update({ ...TOKENS.anothers, workspaceUuid: BANK })));
  });
});

describe('a revocation', () => {
  const revoker = { permissions: ['tokens:revoke'], tokens: 'any', workspaces: [SHOP] } as const;
  const everywhere = { ...revoker, workspaces: ['*'] };
  it.each<[string, Partial<Role>, string, string]>([
    ['of a subject needs all workspaces', revoker, '*', `role "ci" is for ${SHOP} alone`],
    ['is for the workspaces of the role', revoker, BANK, `role "ci" is for ${SHOP} alone`],
    [
      'is of anybody’s tokens',
      { ...everywhere, tokens: 'own' },
      BANK,
      `role "ci" is for its bearer's own tokens alone`,
    ],
  ])('%s', (_case, fields, workspaceUuid, why) => {
    expect(told([role(fields)], { operation: 'order', workspaceUuid })).toBe(refused(`: ${why}`));
  });

  it('falls short of nothing under a role that allows it', () => {
    const request = { operation: 'order', workspaceUuid: '*' } as const;
    expect(shortfallOf(callerWith(role(everywhere)), 'tokens:revoke', request, CONTEXT)).toBeNull();
  });
});

it('nothing of the workspaces of a delivery, which its caller need not know', () => {
  expect(told([role()], { operation: 'retry', workspaceUuids: [BANK] })).toBe(refused(' (tokens:revoke)'));
  expect(told([role({ workspaces: ['*'] })], { operation: 'retry', workspaceUuids: [BANK] })).toBe(
    refused(' (tokens:revoke)'),
  );
});

it('nothing where no role has the permission', () => {
  expect(shortfallOf(callerWith(reader), 'tokens:create', create(), CONTEXT)).toBeNull();
});

it('a role that would mint what is asked for falls short of nothing', () => {
  expect(shortfallOf(callerWith(role()), 'tokens:create', create(), CONTEXT)).toBeNull();
});

describe('in words', () => {
  const scopes = (count: number) => Array.from({ length: count }, (_scope, index) => `s:${index}`);
  it.each<[Shortfall, string]>([
    [{ of: 'lifetime', role: 'r', maxTtlSeconds: 30 * 86_400 }, 'role "r" allows at most 30 days'],
    [{ of: 'lifetime', role: 'r', maxTtlSeconds: 86_400 }, 'role "r" allows at most 1 day'],
    [{ of: 'lifetime', role: 'r', maxTtlSeconds: 36 * 3_600 }, 'role "r" allows at most 36 hours'],
    [{ of: 'lifetime', role: 'r', maxTtlSeconds: 900 }, 'role "r" allows at most 15 minutes'],
    [{ of: 'lifetime', role: 'r', maxTtlSeconds: 90 }, 'role "r" allows at most 90 seconds'],
    [
      { of: 'scopes', role: 'r', scopes: scopes(SHORTFALL_NAMES_MAX_COUNT) },
      `role "r" allows at most ${scopes(SHORTFALL_NAMES_MAX_COUNT).join(', ')}`,
    ],
    [
      { of: 'scopes', role: 'r', scopes: scopes(SHORTFALL_NAMES_MAX_COUNT + 3) },
      `role "r" allows at most ${scopes(SHORTFALL_NAMES_MAX_COUNT).join(', ')} and 3 more`,
    ],
  ])('%j', (shortfall, text) => {
    expect(describeShortfall(shortfall)).toBe(text);
  });
});
