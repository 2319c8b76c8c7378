import * as fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { DenialReason } from '../../src/failures.ts';
import { toWireError } from '../../src/http/wire-errors.ts';
import { decide, judgeEach, rotationLimit } from '../../src/policy/decide.ts';
import { describeShortfall, shortfallOf } from '../../src/policy/shortfall.ts';
import type { Grant, PolicyRequest, Role } from '../../src/policy/types.ts';
import { BANK, callerWith, CONTEXT, HOUR_MS, HOUR_SECONDS, NOW_MS, role, SHOP, TOKENS } from './builders.ts';

// A rotation is the owner's alone, and mints no more than a create under the same role would.

type Rotate = Extract<PolicyRequest, { operation: 'rotate' }>;
const rotate = (changes: Partial<Rotate> = {}): Rotate => ({
  operation: 'rotate',
  workspaceUuid: SHOP,
  token: TOKENS.mine,
  scopes: ['api:read'],
  expiresAtMs: null,
  lifetimeSeconds: null,
  overlapSeconds: 24 * HOUR_SECONDS,
  heldTokens: 1,
  ...changes,
});
const rotator = (changes: Partial<Role> = {}): Role => role({ permissions: ['tokens:rotate'], ...changes });
const oneHour = { maxTtlSeconds: HOUR_SECONDS };
const failureOf = (roles: readonly Role[], request: Rotate) => {
  const decision = decide(callerWith(...roles), request, CONTEXT);
  return decision.allowed ? null : decision.failure;
};

describe('one role allows', () => {
  test.each<[string, Partial<Role>, Partial<Rotate>, Pick<Grant, 'scopes' | 'expiresAtMs'>]>([
    ['what the token was granted', {}, {}, { scopes: ['api:read'], expiresAtMs: null }],
    ['a token that no role of its owner shows', {}, {}, { scopes: ['api:read'], expiresAtMs: null }],
    [
      'the original lifetime from now',
      {},
      { lifetimeSeconds: HOUR_SECONDS },
      { scopes: ['api:read'], expiresAtMs: NOW_MS + HOUR_MS },
    ],
    [
      'the original lifetime, cut to maxTtl',
      oneHour,
      { lifetimeSeconds: 30 * 24 * HOUR_SECONDS },
      { scopes: ['api:read'], expiresAtMs: NOW_MS + HOUR_MS },
    ],
    [
      'a lifetime without end, cut to maxTtl',
      oneHour,
      { lifetimeSeconds: null },
      { scopes: ['api:read'], expiresAtMs: NOW_MS + HOUR_MS },
    ],
    [
      'a shorter original lifetime as it is',
      oneHour,
      { lifetimeSeconds: 60 },
      { scopes: ['api:read'], expiresAtMs: NOW_MS + 60_000 },
    ],
    [
      'the expiry that is asked for, whatever the original lifetime was',
      {},
      { expiresAtMs: NOW_MS + 5, lifetimeSeconds: 60 },
      { scopes: ['api:read'], expiresAtMs: NOW_MS + 5 },
    ],
    [
      'an expiry 60 s beyond maxTtl, cut',
      oneHour,
      { expiresAtMs: NOW_MS + HOUR_MS + 60_000 },
      { scopes: ['api:read'], expiresAtMs: NOW_MS + HOUR_MS },
    ],
    ['no overlap', { maxOverlapSeconds: 0 }, { overlapSeconds: 0 }, { scopes: ['api:read'], expiresAtMs: null }],
    [
      'exactly maxOverlap',
      { maxOverlapSeconds: 60 },
      { overlapSeconds: 60 },
      { scopes: ['api:read'], expiresAtMs: null },
    ],
    [
      'one token fewer than twice maxTokens',
      { maxTokens: 2 },
      { heldTokens: 3 },
      { scopes: ['api:read'], expiresAtMs: null },
    ],
    ['a role over any token, the caller’s own', { tokens: 'any' }, {}, { scopes: ['api:read'], expiresAtMs: null }],
  ])('%s', (_case, changes, request, grant) => {
    expect(decide(callerWith(rotator(changes)), rotate(request), CONTEXT)).toEqual({
      allowed: true,
      grant: { role: 'ci', lifts: [], ...grant },
    });
  });
});

describe('one role refuses', () => {
  test.each<[string, Partial<Role>, Partial<Rotate>, DenialReason]>([
    ['without the permission', { permissions: ['tokens:create', 'tokens:read'] }, {}, 'permission'],
    ['recorded scopes that it does not allow today', {}, { scopes: ['api:read', 'api:write'] }, 'scopes'],
    ['a token whose scopes were not recorded', { scopes: ['*'] }, { scopes: [] }, 'scopes'],
    ['an expiry 60.001 s beyond maxTtl', oneHour, { expiresAtMs: NOW_MS + HOUR_MS + 60_001 }, 'lifetime'],
    ['a second more than maxOverlap', { maxOverlapSeconds: 60 }, { overlapSeconds: 61 }, 'overlap'],
    ['an overlap that is no number', {}, { overlapSeconds: Number.NaN }, 'overlap'],
  ])('%s', (_case, changes, request, reason) => {
    expect(failureOf([rotator(changes)], rotate(request))).toMatchObject({
      kind: 'forbidden',
      reason,
      permission: 'tokens:rotate',
    });
  });

  test('a workspace of its owner that it is not for', () => {
    const roles = [rotator(), role({ permissions: ['tokens:read'], workspaces: [BANK] })];
    const request = rotate({ workspaceUuid: BANK, token: TOKENS.mineInBank });
    expect(failureOf(roles, request)).toMatchObject({ kind: 'forbidden', reason: 'workspace' });
  });

  test.each([
    ['as many as twice maxTokens', 4],
    ['infinitely many, since none is reserved', Infinity],
  ])('a caller that holds %s', (_case, heldTokens) => {
    expect(failureOf([rotator({ maxTokens: 2 })], rotate({ heldTokens }))).toEqual({
      kind: 'token_limit_reached',
      limit: 4,
    });
  });
});

describe('a token of nobody or of somebody else', () => {
  const any = { tokens: 'any', permissions: ['tokens:read', 'tokens:rotate'] } as const;
  it.each(['anothers', 'namesakes', 'nobodys'] as const)('is rotated by no administrator: %s', (whose) => {
    const failure = failureOf([rotator(any)], rotate({ token: TOKENS[whose] }));
    expect(failure).toMatchObject({ kind: 'forbidden', reason: 'ownership', permission: 'tokens:rotate' });
    const { status, message } = toWireError(failure ?? { kind: 'internal_error' });
    expect([status, message]).toEqual([403, expect.stringMatching(/administrator revokes.*owner mints/s)]);
  });

  it.each(['anothers', 'namesakes', 'nobodys'] as const)('is not known to who is not shown it: %s', (whose) => {
    expect(failureOf([rotator()], rotate({ token: TOKENS[whose] }))).toMatchObject({ kind: 'token_not_found' });
    expect(failureOf([rotator({ tokens: 'any' })], rotate({ token: TOKENS[whose] }))).toMatchObject({
      kind: 'token_not_found',
    });
  });
});

describe('of several roles', () => {
  const narrow = rotator({ name: 'narrow', maxOverlapSeconds: 60 });
  const brief = rotator({ name: 'brief', scopes: ['*'], maxOverlapSeconds: 0 });

  it('one must allow the whole: grants of two never combine', () => {
    const request = rotate({ scopes: ['api:write'], overlapSeconds: 60 });
    expect(failureOf([narrow, brief], request)).toMatchObject({ kind: 'forbidden' });
    expect(
      decide(callerWith(narrow, brief), rotate({ scopes: ['api:write'], overlapSeconds: 0 }), CONTEXT),
    ).toMatchObject({
      grant: { role: 'brief' },
    });
  });

  it('the limit is that of those that may rotate in the workspace', () => {
    const roles = [
      rotator({ name: 'few', maxTokens: 2 }),
      rotator({ name: 'elsewhere', maxTokens: 9, workspaces: [BANK] }),
      role({ name: 'creator', maxTokens: 7 }),
    ];
    expect(rotationLimit(callerWith(...roles), SHOP)).toBe(4);
    expect(rotationLimit(callerWith(...roles), BANK)).toBe(18);
    expect(rotationLimit(callerWith(role()), SHOP)).toBeNull();
  });

  it('a limit names the most that any of them allows', () => {
    const roles = [rotator({ maxTokens: 1 }), rotator({ name: 'more', maxTokens: 3 })];
    expect(failureOf(roles, rotate({ heldTokens: 6 }))).toEqual({ kind: 'token_limit_reached', limit: 6 });
  });
});

describe('a refusal names by how much the first role with the permission falls short', () => {
  it.each<[string, Partial<Role>, Partial<Rotate>, string]>([
    ['an overlap', { maxOverlapSeconds: HOUR_SECONDS }, {}, 'role "ci" allows an overlap of at most 1 hour'],
    ['any overlap', { maxOverlapSeconds: 0 }, { overlapSeconds: 1 }, 'role "ci" allows no overlap'],
    ['scopes', {}, { scopes: ['api:write'] }, 'role "ci" allows at most api:read'],
    ['a lifetime', oneHour, { expiresAtMs: NOW_MS + 3 * HOUR_MS }, 'role "ci" allows at most 1 hour'],
  ])('%s', (_case, changes, request, why) => {
    const failure = failureOf([rotator(changes)], rotate(request));
    expect(toWireError(failure ?? { kind: 'internal_error' }).message).toBe(
      `None of your roles allows the whole of this request: ${why}. GET /api/v1/whoami shows what they allow.`,
    );
  });

  it('nothing under a role that allows it', () => {
    expect(shortfallOf(callerWith(rotator()), 'tokens:rotate', rotate(), CONTEXT)).toBeNull();
    expect(describeShortfall({ of: 'overlap', role: 'r', maxOverlapSeconds: 90 })).toContain('90 seconds');
  });
});

const scopeSets = fc.subarray(['api:read', 'api:write', 'api:full']);
const anyRole: fc.Arbitrary<Role> = fc
  .record({
    name: fc.uuid(),
    tokens: fc.constantFrom('own' as const, 'any' as const),
    workspaces: fc.constantFrom(['*'], [SHOP], [BANK]),
    permissions: fc.subarray(['tokens:rotate' as const, 'tokens:read' as const, 'tokens:create' as const]),
    scopes: fc.oneof(fc.constant(['*']), scopeSets),
    maxTtlSeconds: fc.option(fc.integer({ min: 1, max: 2 * HOUR_SECONDS })),
    maxTokens: fc.integer({ min: 1, max: 4 }),
    maxOverlapSeconds: fc.integer({ min: 0, max: 2 * HOUR_SECONDS }),
  })
  .map((changes) => role(changes));
const rotations = fc
  .record({
    scopes: scopeSets,
    token: fc.constantFrom(TOKENS.mine, TOKENS.anothers, TOKENS.nobodys),
    expiresAtMs: fc.option(fc.integer({ min: 1, max: 3 * HOUR_SECONDS }).map((seconds) => NOW_MS + seconds * 1000)),
    lifetimeSeconds: fc.option(fc.integer({ min: 1, max: 3 * HOUR_SECONDS })),
    overlapSeconds: fc.integer({ min: 0, max: 2 * HOUR_SECONDS }),
    heldTokens: fc.integer({ min: 0, max: 8 }),
  })
  .map(rotate);

test('a successor holds what its predecessor was granted and nothing else, within one role, and is its owner’s', () => {
  fc.assert(
    fc.property(fc.array(anyRole, { maxLength: 4 }), rotations, (roles, request) => {
      const decision = decide(callerWith(...roles), request, CONTEXT);
      fc.pre(decision.allowed);
      const { role: name, scopes, expiresAtMs } = decision.grant;
      const granting = roles.find((candidate) => candidate.name === name);
      expect(request.token).toBe(TOKENS.mine);
      expect(granting?.permissions).toContain('tokens:rotate');
      expect(scopes).toEqual(request.scopes);
      expect(granting?.scopes.includes('*') || request.scopes.every((scope) => granting?.scopes.includes(scope))).toBe(
        true,
      );
      expect(request.overlapSeconds).toBeLessThanOrEqual(granting?.maxOverlapSeconds ?? -1);
      const asked = request.expiresAtMs ?? NOW_MS + (request.lifetimeSeconds ?? Infinity) * 1000;
      const latest = NOW_MS + (granting?.maxTtlSeconds ?? Infinity) * 1000;
      expect(expiresAtMs ?? Infinity).toBe(Math.min(asked, latest));
      expect(request.heldTokens).toBeLessThan((granting?.maxTokens ?? 0) * 2);
      // The first in file order that allows the whole decides it.
      const each = judgeEach(callerWith(...roles), request, CONTEXT);
      expect(each.find((one) => one.decision.ok)?.role.name).toBe(name);
    }),
    { numRuns: 1_000 },
  );
});
