import { describe, expect, it } from 'vitest';
import type { UpstreamToken } from '../../src/pipeops/types.ts';
import { SNAPSHOT_LIST_WEIGHT_TOKENS } from '../../src/config/limits.ts';
import {
  cacheHeaders,
  type CacheStatus,
  createListBodies,
  named,
  presentList,
  presentMinted,
  presentToken,
} from '../../src/reads/present.ts';

const token: UpstreamToken = {
  id: 'tok-1',
  name: 'shop-csgn-abcdefghijklmn27',
  description: 'Deploys',
  scopes: ['api:read'],
  tokenPrefix: 'sat_xxxxxxx',
  workspaceId: 'ws-1',
  isRevoked: false,
  isExpired: false,
  isActive: true,
  expiresAt: '2026-03-31T12:00:00.000Z',
  createdAt: '2026-03-01T12:00:00.000Z',
  updatedAt: null,
  lastUsedAt: null,
};

const NOW_MS = Date.parse('2026-03-15T12:00:00Z');
const END_MS = Date.parse(token.expiresAt ?? '');

const shown = {
  id: 'tok-1',
  uuid: 'tok-1',
  name: 'shop',
  description: 'Deploys',
  scopes: ['api:read'],
  permissions: ['api:read'],
  token_prefix: 'sat_xxxxxxx',
  workspace_id: 'ws-1',
  is_revoked: false,
  is_expired: false,
  is_active: true,
  expires_at: '2026-03-31T12:00:00.000Z',
  created_at: '2026-03-01T12:00:00.000Z',
  updated_at: null,
  last_used_at: null,
};

it('shows a token under both names of its id and its scopes, without the marker', () => {
  expect(presentToken(token, NOW_MS)).toEqual(shown);
});

it.each([
  ['without it, where it is that of its row', 'shop-csgn-abcdefghijklmn27', '-csgn-abcdefghijklmn27', 'shop'],
  [
    'whole, where its row has another',
    'shop-csgn-abcdefghijklmn27',
    '-csgn-bbbbbbbbbbbbbbbb',
    'shop-csgn-abcdefghijklmn27',
  ],
  ['whole, where its row has none', 'shop-csgn-abcdefghijklmn27', null, 'shop-csgn-abcdefghijklmn27'],
  ['whole, where its row has none and it ends alike', 'shop-csgn-abcdefghijklnull', null, 'shop-csgn-abcdefghijklnull'],
  ['as it is, where it has none', 'shop', null, 'shop'],
  ['without it, where the inventory lacks it: its create may be open', 'shop-csgn-abcdefghijklmn27', undefined, 'shop'],
] as const)('shows a name with what looks like a marker %s', (_case, name, marker, expected) => {
  const known = marker === undefined ? undefined : { marker };
  expect(presentToken(named({ ...token, name }, known), NOW_MS).name).toBe(expected);
});

it('shows a minted token flat, with its secret as a string', () => {
  const secret = 'sat_not-a-real-one';
  expect(presentMinted({ ...token, secret, leftOut: new Set() }, 'Asked for', NOW_MS)).toEqual({
    ...shown,
    token: secret,
  });
});

it('never shows a secret outside the answer to a create', () => {
  const minted = { ...token, secret: 'sat_not-a-real-one' };
  expect(JSON.stringify([presentToken(minted, NOW_MS), presentList([minted], NOW_MS)])).not.toContain(minted.secret);
});

it('shows a list with its total', () => {
  expect(presentList([token, token], NOW_MS)).toEqual({ tokens: [shown, shown], total: 2 });
  expect(presentList([], NOW_MS)).toEqual({ tokens: [], total: 0 });
});

describe('the bytes of a list', () => {
  const parsed = (body: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(body));

  const listing = (name: string, isPartial = false) => ({ name, tokens: () => [token], isPartial });

  it('are made once, for everybody who sees the same', () => {
    const bodies = createListBodies();
    const body = bodies.of(listing('all'), NOW_MS);
    expect(parsed(body)).toEqual({
      success: true,
      message: 'Service account tokens.',
      data: { tokens: [shown], total: 1 },
    });
    expect(bodies.of(listing('all'), NOW_MS)).toBe(body);
    expect(bodies.of(listing('own'), NOW_MS)).not.toBe(body);
  });

  it('say that a part is all that is known, whoever saw the same tokens as a whole', () => {
    const bodies = createListBodies();
    const [whole, partial] = [bodies.of(listing('all'), NOW_MS), bodies.of(listing('all', true), NOW_MS)];
    expect(parsed(partial)).toEqual({ ...(parsed(whole) as object), partial: true });
    expect(bodies.of(listing('all', true), NOW_MS)).toBe(partial);
    expect(bodies.of(listing('all'), NOW_MS)).toBe(whole);
  });

  it('are bounded by the tokens in all of them: those made longest ago are made anew', () => {
    const bodies = createListBodies(2 * (1 + SNAPSHOT_LIST_WEIGHT_TOKENS));
    const first = bodies.of(listing('1'), NOW_MS);
    bodies.of(listing('2'), NOW_MS);
    expect(bodies.of(listing('1'), NOW_MS)).toBe(first);
    bodies.of(listing('3'), NOW_MS);
    expect(bodies.of(listing('1'), NOW_MS)).not.toBe(first);
  });
});

it.each([
  ['as it was asked for where PipeOps says nothing of it', null, 'Asked for', 'Asked for'],
  ['as PipeOps tells it', 'Told', 'Asked for', 'Told'],
  ['null where there is none', null, null, null],
])('the description of a minted token is %s', (_case, told, asked, expected) => {
  const minted = { ...token, description: told, secret: 'sat_not-a-real-one', leftOut: new Set([]) } as const;
  expect(presentMinted(minted, asked, NOW_MS).description).toBe(expected);
});

describe('a token is active', () => {
  it.each([
    ['as PipeOps says', {}, true],
    ['where PipeOps is silent and nothing speaks against it', { isActive: null }, true],
    ['without an end', { expiresAt: null }, true],
    ['and not when it is suspended', { isActive: false }, false],
    ['and not when it is revoked, whatever PipeOps says of it', { isActive: true, isRevoked: true }, false],
    ['and not when it is revoked and PipeOps is silent', { isActive: null, isRevoked: true }, false],
    ['and not when PipeOps counts it as expired', { isActive: true, isExpired: true }, false],
    ['and not when it is expired and PipeOps is silent', { isActive: null, isExpired: true }, false],
    ['and not when it is all of that', { isActive: false, isRevoked: true, isExpired: true }, false],
  ])('%s', (_case, state, expected) => {
    expect(presentToken({ ...token, ...state }, NOW_MS).is_active).toBe(expected);
  });

  it('until the millisecond of its end, however old the list is that shows it', () => {
    const flags = (nowMs: number) => {
      const { is_active, is_expired } = presentToken(token, nowMs);
      return { is_active, is_expired };
    };
    expect(flags(END_MS - 1)).toEqual({ is_active: true, is_expired: false });
    expect(flags(END_MS)).toEqual({ is_active: false, is_expired: true });
  });

  it('in a list that is held, until its end and no longer', () => {
    const later = { ...token, id: 'tok-2', expiresAt: '2026-04-30T12:00:00.000Z' };
    const bodies = createListBodies();
    const tokens = [later, token, { ...token, id: 'tok-3', expiresAt: null }];
    const listing = { name: 'all', tokens: () => tokens, isPartial: false };
    const active = (nowMs: number): unknown =>
      JSON.parse(new TextDecoder().decode(bodies.of(listing, nowMs))).data.tokens.map(
        ({ is_active }: { is_active: boolean }) => is_active,
      );
    expect(active(NOW_MS)).toEqual([true, true, true]);
    expect(active(END_MS - 1)).toEqual([true, true, true]);
    expect(active(END_MS)).toEqual([true, false, true]);
    expect(active(Date.parse(later.expiresAt))).toEqual([false, false, true]);
    // Made anew once for each end, not for each read.
    const others = createListBodies();
    expect(others.of(listing, END_MS)).toBe(others.of(listing, END_MS));
    expect(bodies.of(listing, END_MS * 2)).toBe(bodies.of(listing, END_MS * 2 + 1));
  });
});

it.each<[string, CacheStatus, string, string | undefined]>([
  ['PipeOps', { from: 'pipeops', why: 'request', isShared: false }, 'fwd=request', undefined],
  ['the call of another read', { from: 'pipeops', why: 'miss', isShared: true }, 'fwd=miss; collapsed', undefined],
  ['memory', { from: 'memory', ttlMs: 14_999, ageMs: 1_001 }, 'hit; ttl=14', '1'],
  ['D1, in its last moment', { from: 'd1', ttlMs: 0, ageMs: 15_000 }, 'hit; ttl=0; detail=d1', '15'],
  ['a list that stands in', { from: 'd1', ttlMs: -1, ageMs: 15_001 }, 'hit; ttl=-1; detail=stale', '15'],
  ['a list of a clock that is ahead', { from: 'memory', ttlMs: 20_000, ageMs: -5_000 }, 'hit; ttl=20', '0'],
])('Cache-Status and Age tell of an answer from %s', (_case, status, told, age) => {
  const headers = cacheHeaders(status);
  expect([headers['Cache-Status'], headers['Age']]).toEqual([`countersign; ${told}`, age]);
});
