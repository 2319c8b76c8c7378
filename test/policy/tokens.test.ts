import { describe, expect, test } from 'vitest';
import type { DenialReason } from '../../src/failures.ts';
import { decide, judgeEach, maySee, maySeeTokensOfOthers, visibleTokens } from '../../src/policy/decide.ts';
import type { KnownToken, PolicyRequest, ResultingToken, Role } from '../../src/policy/types.ts';
import { SUSPENSION_REASONS, type SuspensionReason } from '../../src/vocabulary.ts';
import { BANK, CONTEXT, HOUR_MS, HOUR_SECONDS, NOW_MS, SHOP, TOKENS, callerWith, role } from './builders.ts';

const OPERATIONS = [
  { operation: 'get', permission: 'tokens:read' },
  { operation: 'update', permission: 'tokens:update' },
  { operation: 'revoke', permission: 'tokens:revoke' },
] as const;
type Operation = (typeof OPERATIONS)[number]['operation'];

const on = (operation: Operation, token: KnownToken | null, workspaceUuid = SHOP): PolicyRequest =>
  operation === 'update'
    ? { operation, workspaceUuid, token, resulting: null, resumes: false }
    : { operation, workspaceUuid, token };

const allowedBy = (name: string, lifts: readonly SuspensionReason[] = []) => ({
  allowed: true,
  grant: { role: name, scopes: null, expiresAtMs: null, lifts },
});
const notFound = (reason: 'unknown' | 'not_readable') => ({
  allowed: false,
  failure: { kind: 'token_not_found', reason },
});
const anyToken = role({ name: 'any', tokens: 'any' });

describe.each(OPERATIONS)('$operation', ({ operation, permission }) => {
  const forbidden = (reason: DenialReason) => ({
    allowed: false,
    failure: expect.objectContaining({ kind: 'forbidden', reason, permission }),
  });

  test.each<[string, Role, KnownToken]>([
    ['its own', role(), TOKENS.mine],
    ['its own, in a workspace of *', role({ workspaces: ['*'] }), TOKENS.mine],
    ['another’s, under any', anyToken, TOKENS.anothers],
    ['nobody’s, under any', anyToken, TOKENS.nobodys],
  ])('reaches %s', (_, granted, token) => {
    expect(decide(callerWith(granted), on(operation, token), CONTEXT)).toEqual(allowedBy(granted.name));
  });

  test.each<[string, Role, KnownToken]>([
    ['another’s, under own', role(), TOKENS.anothers],
    ['that of the same subject at another issuer', role(), TOKENS.namesakes],
    ['nobody’s, under own', role(), TOKENS.nobodys],
    ['its own, in a workspace it has no role for', role({ workspaces: [BANK] }), TOKENS.mine],
  ])('does not find %s', (_, granted, token) => {
    expect(decide(callerWith(granted), on(operation, token), CONTEXT)).toEqual(notFound('not_readable'));
  });

  test('does not find a token that nobody knows', () => {
    expect(decide(callerWith(anyToken), on(operation, null), CONTEXT)).toEqual(notFound('unknown'));
  });
  test('does not find a token of another workspace than the one asked about', () => {
    const everywhere = callerWith(role({ tokens: 'any', workspaces: ['*'] }));
    expect(decide(everywhere, on(operation, TOKENS.mineInBank, SHOP), CONTEXT)).toEqual(notFound('unknown'));
  });
  test.each([null, TOKENS.mine, TOKENS.anothers])('without the permission says the same of every id', (token) => {
    const others = role().permissions.filter((name) => name !== permission);
    const decision = decide(callerWith(role({ permissions: others })), on(operation, token), CONTEXT);
    expect(decision).toEqual(forbidden('permission'));
  });
});

describe.each(OPERATIONS.slice(1))('$operation of a token that may be read', ({ operation, permission }) => {
  const reader = role({ name: 'reader', permissions: ['tokens:read'], tokens: 'any', workspaces: ['*'] });

  test.each<[string, readonly Role[], KnownToken, DenialReason]>([
    ['another’s', [reader, role()], TOKENS.anothers, 'ownership'],
    ['its own elsewhere', [reader, role()], TOKENS.mineInBank, 'workspace'],
    [
      'another’s, of two roles by the one that came closer',
      [reader, role({ workspaces: [BANK] }), role()],
      TOKENS.anothers,
      'ownership',
    ],
  ])('is forbidden: %s', (_, roles, token, reason) => {
    const expected = { allowed: false, failure: expect.objectContaining({ kind: 'forbidden', reason, permission }) };
    expect(decide(callerWith(...roles), on(operation, token, token.workspaceUuid), CONTEXT)).toEqual(expected);
    const reversed = callerWith(...roles.toReversed());
    expect(decide(reversed, on(operation, token, token.workspaceUuid), CONTEXT)).toEqual(expected);
  });

  test('is allowed by the one role that reaches it, even if another shows it', () => {
    const changer = role({ name: 'changer', permissions: [permission], tokens: 'any' });
    expect(decide(callerWith(reader, changer), on(operation, TOKENS.anothers), CONTEXT)).toEqual(allowedBy('changer'));
  });
  test.each<[string, Partial<Role>, KnownToken]>([
    ['another’s, under own', {}, TOKENS.anothers],
    ['another’s, under any', { tokens: 'any' }, TOKENS.anothers],
    ['that of the same subject at another issuer, under any', { tokens: 'any' }, TOKENS.namesakes],
    ['nobody’s, under any', { tokens: 'any' }, TOKENS.nobodys],
    ['its own, in a workspace it has no role for', { workspaces: [BANK] }, TOKENS.mine],
  ])('is not found by a role that may change but not read: %s', (_, changes, token) => {
    const blind = callerWith(role({ permissions: [permission], ...changes }));
    expect(decide(blind, on(operation, token), CONTEXT)).toEqual(notFound('not_readable'));
  });
});

describe('its own token, by a role that may not read it,', () => {
  const creator = role({ name: 'creator', permissions: ['tokens:create'], workspaces: ['*'] });
  const revoker = role({ name: 'revoker', permissions: ['tokens:create', 'tokens:revoke'] });

  test.each<[string, readonly Role[]]>([
    ['over own tokens', [revoker]],
    ['over own tokens everywhere', [{ ...revoker, workspaces: ['*'] }]],
    ['over any token', [{ ...revoker, tokens: 'any' }]],
    ['beside another role', [creator, revoker]],
  ])('is revoked: %s', (_, roles) => {
    expect(decide(callerWith(...roles), on('revoke', TOKENS.mine), CONTEXT)).toEqual(allowedBy('revoker'));
  });
  test('is not found where no single role revokes it', () => {
    const elsewhere = { ...revoker, workspaces: [BANK] };
    expect(decide(callerWith(creator, elsewhere), on('revoke', TOKENS.mine), CONTEXT)).toEqual(
      notFound('not_readable'),
    );
  });
  test('is not found in another workspace than its own', () => {
    expect(decide(callerWith(revoker), on('revoke', TOKENS.mineInBank), CONTEXT)).toEqual(notFound('unknown'));
  });
  test('is not found by an update', () => {
    const updater = role({ permissions: ['tokens:update', 'tokens:revoke'] });
    expect(decide(callerWith(updater), on('update', TOKENS.mine), CONTEXT)).toEqual(notFound('not_readable'));
  });
  test('stays unseen', () => {
    expect(maySee(callerWith(revoker), TOKENS.mine)).toBe(false);
    expect(visibleTokens(callerWith(revoker), SHOP, [TOKENS.mine])).toEqual([]);
  });
});

describe('tokens of others', () => {
  const anyReader = role({ tokens: 'any', permissions: ['tokens:read'] });

  test.each<[string, readonly Role[], boolean]>([
    ['to a role that reads any token there', [anyReader], true],
    ['to one of two roles', [role({ workspaces: [BANK] }), anyReader], true],
    ['to a role that reads any token everywhere', [{ ...anyReader, workspaces: ['*'] }], true],
    ['not to a role that reads its own', [role()], false],
    ['not to a role that reads any token elsewhere', [{ ...anyReader, workspaces: [BANK] }], false],
    ['not to a role that revokes any token and reads none', [{ ...anyReader, permissions: ['tokens:revoke'] }], false],
    ['not to two roles that only together read any', [role(), { ...anyReader, permissions: ['tokens:revoke'] }], false],
    ['not to nobody', [], false],
  ])('are shown %s', (_, roles, shown) => {
    expect(maySeeTokensOfOthers(callerWith(...roles), SHOP)).toBe(shown);
  });
});

const oneHour = { maxTtlSeconds: HOUR_SECONDS };
const resulting = (changes: Partial<ResultingToken> = {}): ResultingToken => ({
  scopes: ['api:read'],
  expiresAtMs: NOW_MS + HOUR_MS,
  ...changes,
});
const decideFor = (roles: readonly Role[], result: ResultingToken) =>
  decide(
    callerWith(...roles),
    { operation: 'update', workspaceUuid: SHOP, token: TOKENS.mine, resulting: result, resumes: false },
    CONTEXT,
  );

describe('an update is judged on the token it results in', () => {
  test.each<[string, Partial<Role>, ResultingToken]>([
    ['within ceiling and lifetime', oneHour, resulting()],
    ['without expiry, where there is no maxTtl', {}, resulting({ expiresAtMs: null })],
    ['of any scope, under *', { scopes: ['*'] }, resulting({ scopes: ['api:full'] })],
    ['of no known scope, under *', { scopes: ['*'] }, resulting({ scopes: [] })],
  ])('allowed: %s', (_, changes, result) => expect(decideFor([role(changes)], result)).toEqual(allowedBy('ci')));

  test.each<[string, readonly Role[], ResultingToken, DenialReason]>([
    ['a scope beyond the ceiling', [role()], resulting({ scopes: ['api:read', 'api:write'] }), 'scopes'],
    ['no known scope under a ceiling', [role()], resulting({ scopes: [] }), 'scopes'],
    ['no expiry under a maxTtl', [role(oneHour)], resulting({ expiresAtMs: null }), 'lifetime'],
    [
      'a millisecond beyond maxTtl, which cannot be cut',
      [role(oneHour)],
      resulting({ expiresAtMs: NOW_MS + HOUR_MS + 1 }),
      'lifetime',
    ],
    [
      'the ceiling of one role and the lifetime of another',
      [role(oneHour), role({ name: 'long', scopes: ['api:write'] })],
      resulting({ expiresAtMs: null }),
      'lifetime',
    ],
  ])('forbidden: %s', (_, roles, result, reason) => {
    const failure = expect.objectContaining({ kind: 'forbidden', reason, permission: 'tokens:update' });
    expect(decideFor(roles, result)).toEqual({ allowed: false, failure });
  });
});

describe('a resume', () => {
  const resume = (
    roles: readonly Role[],
    suspendedBy: readonly SuspensionReason[],
    changes: { readonly resumes?: boolean; readonly resulting?: ResultingToken | null } = {},
  ) =>
    decide(
      callerWith(...roles),
      {
        operation: 'update',
        workspaceUuid: SHOP,
        token: { ...TOKENS.mine, suspendedBy },
        resulting: null,
        resumes: true,
        ...changes,
      },
      CONTEXT,
    );
  const suspended = {
    allowed: false,
    failure: { kind: 'forbidden', reason: 'suspended', permission: 'tokens:update', shortfall: null },
  };

  test.each<[string, readonly SuspensionReason[], readonly SuspensionReason[]]>([
    ['of what nothing here suspended', [], []],
    ['of what its owner suspended', ['owner'], ['owner']],
    ['of what its owner suspended and others too', ['administrator', 'owner', 'leak'], ['owner']],
    ['of what was suspended since nobody used it', ['unused'], ['unused']],
    ['of what was unused and leaked too', ['unused', 'leak', 'owner'], ['unused', 'owner']],
  ])('by a role over its own lifts what the owner did, and that nobody used it: %s', (_, reasons, lifts) => {
    expect(resume([role()], reasons)).toEqual(allowedBy('ci', lifts));
  });
  test.each<SuspensionReason>(['administrator', 'offboarding', 'leak'])(
    'by a role over its own is forbidden where only this suspended it: %s',
    (reason) => expect(resume([role()], [reason])).toEqual(suspended),
  );
  test.each<[string, readonly SuspensionReason[]]>([
    ['nothing', []],
    ['all', SUSPENSION_REASONS],
  ])('by a role over any token lifts whatever suspended it: %s', (_, reasons) => {
    expect(resume([anyToken], reasons)).toEqual(allowedBy('any', reasons));
  });
  test('is decided by the first role that lifts any of its reasons', () => {
    expect(resume([role(), anyToken], ['leak'])).toEqual(allowedBy('any', ['leak']));
    expect(resume([role(), anyToken], ['leak', 'owner'])).toEqual(allowedBy('ci', ['owner']));
  });
  test('is also judged on the token it results in', () => {
    const beyond = resume([role()], ['owner'], { resulting: resulting({ scopes: ['api:full'] }) });
    expect(beyond).toEqual({ ...suspended, failure: { ...suspended.failure, reason: 'scopes' } });
    expect(resume([role()], ['owner'], { resulting: resulting() })).toEqual(allowedBy('ci', ['owner']));
  });
  test('is the only update that lifts anything: any other is allowed and leaves the token suspended', () => {
    expect(resume([role()], ['leak'], { resumes: false })).toEqual(allowedBy('ci'));
    expect(resume([anyToken], ['leak'], { resumes: false })).toEqual(allowedBy('any'));
  });
});

const list = (workspaceUuid: string) => ({ operation: 'list', workspaceUuid }) as const;

describe('a list', () => {
  test('is allowed by a role that may read in the workspace', () => {
    expect(decide(callerWith(role()), list(SHOP), CONTEXT)).toEqual(allowedBy('ci'));
  });
  test.each<[string, Partial<Role>, DenialReason]>([
    ['of another workspace', { workspaces: [BANK] }, 'workspace'],
    ['without the permission', { permissions: ['tokens:create'] }, 'permission'],
  ])('is forbidden: %s', (_, changes, reason) => {
    const failure = expect.objectContaining({ kind: 'forbidden', reason, permission: 'tokens:read' });
    expect(decide(callerWith(role(changes)), list(SHOP), CONTEXT)).toEqual({ allowed: false, failure });
  });

  const all = Object.values(TOKENS);
  test.each<[string, readonly Role[], string, readonly KnownToken[]]>([
    ['own shows one’s own', [role()], SHOP, [TOKENS.mine]],
    [
      'any shows all of the workspace',
      [anyToken],
      SHOP,
      [TOKENS.mine, TOKENS.anothers, TOKENS.namesakes, TOKENS.nobodys],
    ],
    ['two roles show the union of what each shows', [role({ workspaces: ['*'] }), anyToken], BANK, [TOKENS.mineInBank]],
    ['a role without tokens:read shows nothing', [role({ permissions: ['tokens:revoke'], tokens: 'any' })], SHOP, []],
    ['no role shows nothing', [], SHOP, []],
  ])('%s', (_, roles, workspaceUuid, expected) => {
    expect(visibleTokens(callerWith(...roles), workspaceUuid, all)).toEqual(expected);
  });
  test('the grants of two roles do not combine into sight', () => {
    const readsOwn = role({ workspaces: [BANK], permissions: ['tokens:read'] });
    const revokesAny = role({ permissions: ['tokens:revoke'], tokens: 'any' });
    expect(maySee(callerWith(readsOwn, revokesAny), TOKENS.mine)).toBe(false);
  });
});

test('no role is asked of a token that is not known, and each by itself of one that is', () => {
  const roles = [role({ name: 'none', permissions: ['tokens:create'] }), role({ name: 'ci' })];
  const caller = callerWith(...roles);
  expect(judgeEach(caller, on('get', null), CONTEXT)).toEqual([]);
  const answers = judgeEach(caller, on('get', TOKENS.mine), CONTEXT);
  expect(answers.map(({ role: { name }, decision }) => [name, decision.ok ? null : decision.error])).toEqual([
    ['none', 'permission'],
    ['ci', null],
  ]);
});
