import { describe, expect, test } from 'vitest';
import {
  gapWords,
  lifetimeChoices,
  overlapChoices,
  usualLifetime,
  usualOverlap,
} from '../../console/views/tokens/durations.ts';
import { ceilingOf, longestTtl, offersOf, rolesAllowing, rolesToMint } from '../../console/views/tokens/rights.ts';
import {
  afterClick,
  beyondOne,
  byWorkspace,
  isChoosable,
  ORDER_MAX_TOKENS,
} from '../../console/views/tokens/selection.ts';
import { WEBHOOK_TOKENS_MAX_COUNT } from '../../src/config/webhook-limits.ts';
import {
  ADA,
  ADMIN,
  AUDITOR,
  LINUS,
  OTHER_WORKSPACE,
  roleOf,
  tokenOf,
  viewerWith,
  WORKSPACE,
} from './token-samples.ts';

const ada = viewerWith(ADA, ADMIN);
const linus = viewerWith(LINUS, roleOf());
const auditor = viewerWith(ADA, AUDITOR);

const offered = (...given: Parameters<typeof offersOf>): readonly string[] =>
  Object.entries(offersOf(...given)).flatMap(([name, isOffered]) => (isOffered ? [name] : []));

describe('what is offered at a token', () => {
  test.each([
    ['its owner', linus, {}, ['revoke', 'suspend', 'update', 'rotate']],
    ['an administrator, who rotates only what is his own', ada, {}, ['revoke', 'suspend', 'update']],
    ['an administrator of his own', ada, { owner: ADA }, ['revoke', 'suspend', 'update', 'rotate']],
    ['an auditor', auditor, {}, []],
    ['a developer, of somebody else’s', linus, { owner: ADA }, []],
    ['a developer, of one that was made outside', linus, { owner: null }, []],
    [
      'an administrator, of one that was made outside',
      ada,
      { owner: null, scopes: null },
      ['revoke', 'suspend', 'update'],
    ],
    ['a developer in a workspace of no role', linus, { workspace_uuid: OTHER_WORKSPACE }, []],
    ['its owner while it retires', linus, { state: 'retiring' }, ['revoke', 'suspend', 'update']],
    ['its owner once it is expired', linus, { state: 'expired' }, ['revoke']],
    ['anybody once it is revoked', ada, { state: 'revoked', owner: ADA }, []],
    [
      'its owner, who suspended it',
      linus,
      { state: 'suspended', suspended_by: ['owner'] },
      ['revoke', 'resume', 'update'],
    ],
    [
      'its owner, whom an administrator overruled',
      linus,
      { state: 'suspended', suspended_by: ['administrator'] },
      ['revoke', 'update'],
    ],
    ['an administrator', ada, { state: 'suspended', suspended_by: ['offboarding'] }, ['revoke', 'resume', 'update']],
    ['its owner, where no grant is known', linus, { scopes: null }, ['revoke', 'suspend', 'update']],
  ] as const)('to %s', (_whom, viewer, fields, expected) => {
    expect(offered(viewer, tokenOf(fields)).toSorted()).toEqual([...expected].toSorted());
  });

  test('grants of two roles never combine', () => {
    const readsAny = roleOf({ permissions: ['tokens:read'], tokens: 'any' });
    const revokesElsewhere = roleOf({ tokens: 'any', workspaces: [OTHER_WORKSPACE] });
    expect(offered(viewerWith(ADA, readsAny, revokesElsewhere), tokenOf())).toEqual([]);
  });
});

describe('what a token may be minted with', () => {
  test('roles that may create in the workspace, their ceiling, and how long those that allow the scopes let it live', () => {
    const short = roleOf({ name: 'short', scopes: ['api:full'], max_ttl_seconds: 3_600 });
    const viewer = viewerWith(LINUS, roleOf(), short, AUDITOR, roleOf({ workspaces: [OTHER_WORKSPACE] }));
    const roles = rolesToMint(viewer, WORKSPACE);
    expect(roles.map(({ name }) => name)).toEqual(['developer', 'short']);
    expect(ceilingOf(roles)).toEqual(['api:full', 'api:read', 'deploy:write']);
    expect(ceilingOf([...roles, ADMIN])).toBeNull();
    expect(longestTtl(rolesAllowing(roles, ['api:full']))).toBe(3_600);
    expect(longestTtl(rolesAllowing(roles, ['api:read']))).toBe(30 * 86_400);
    expect(rolesAllowing(roles, ['api:full', 'api:read'])).toEqual([]);
    expect(longestTtl([...roles, ADMIN])).toBeNull();
  });

  test.each([
    [null, ['1h', '1d', '7d', '30d', '90d', '365d', ''], '30d'],
    [30 * 86_400, ['1h', '1d', '7d', '30d'], '30d'],
    [45 * 86_400, ['1h', '1d', '7d', '30d', '45d'], '30d'],
    [90 * 60, ['1h', '90m'], '90m'],
    [600, ['10m'], '10m'],
  ])('offers lifetimes up to %s seconds', (maxSeconds, values, usual) => {
    const choices = lifetimeChoices(maxSeconds);
    expect(choices.map(({ value }) => value)).toEqual(values);
    expect(usualLifetime(maxSeconds)).toBe(usual);
    expect(values).toContain(usual);
  });

  test.each([
    [7 * 86_400, ['0s', '1h', '1d', '3d', '7d'], '1d'],
    [10 * 86_400, ['0s', '1h', '1d', '3d', '7d', '10d'], '1d'],
    [1_800, ['0s', '30m'], '30m'],
    [0, ['0s'], '0s'],
  ])('offers overlaps up to %s seconds', (maxSeconds, values, usual) => {
    expect(overlapChoices(maxSeconds).map(({ value }) => value)).toEqual(values);
    expect(usualOverlap(maxSeconds)).toBe(usual);
  });

  test.each([
    [0, '0 ms'],
    [31, '31 ms'],
    [1_250, '1.3 s'],
    [59_400, '59 s'],
    [60_000, null],
    [-1, null],
    [Number.NaN, null],
  ])('tells %s ms between two moments that are close', (ms, words) => {
    expect(gapWords(ms)).toBe(words);
  });
});

describe('choosing rows', () => {
  const rows = ['a', 'b', 'c', 'd'];
  test.each([
    ['one more', ['a'], 'c', false, 'a', ['a', 'c']],
    ['one less', ['a', 'c'], 'c', false, 'a', ['a']],
    ['a span downwards', ['a'], 'c', true, 'a', ['a', 'b', 'c']],
    ['a span upwards', ['d'], 'b', true, 'd', ['b', 'c', 'd']],
    ['a span less', ['a', 'b', 'c'], 'c', true, 'a', []],
    ['one, where the row before is gone', [], 'b', true, 'x', ['b']],
  ])('%s', (_what, chosen, key, isShift, anchor, expected) => {
    expect([...afterClick(new Set(chosen), rows, key, { isShift, anchor })].toSorted()).toEqual(expected);
  });

  test('one order a workspace, of no more tokens than the API takes', () => {
    const tokens = [tokenOf({ id: '1' }), tokenOf({ id: '1', workspace_uuid: OTHER_WORKSPACE }), tokenOf({ id: '2' })];
    expect(byWorkspace(tokens)).toEqual([
      { workspaceUuid: WORKSPACE, ids: ['1', '2'] },
      { workspaceUuid: OTHER_WORKSPACE, ids: ['1'] },
    ]);
    expect(ORDER_MAX_TOKENS).toBe(WEBHOOK_TOKENS_MAX_COUNT);
    const many = Array.from({ length: ORDER_MAX_TOKENS + 1 }, (_, index) => tokenOf({ id: String(index) }));
    expect(beyondOne(byWorkspace(many))).toBe(ORDER_MAX_TOKENS + 1);
    expect(beyondOne(byWorkspace(many.slice(1)))).toBeNull();
  });

  test('only where the viewer may order that, and not what has ended', () => {
    expect(isChoosable(ada, tokenOf())).toBe(true);
    expect(isChoosable(ada, tokenOf({ state: 'revoked' }))).toBe(false);
    expect(isChoosable(linus, tokenOf())).toBe(false);
    expect(isChoosable(viewerWith(ADA, roleOf({ tokens: 'any' })), tokenOf({ workspace_uuid: OTHER_WORKSPACE }))).toBe(
      false,
    );
  });
});
