import { describe, expect, it } from 'vitest';
import type { UpstreamToken } from '../../src/pipeops/types.ts';
import { listBody, presentList, presentMinted, presentToken } from '../../src/tokens/present.ts';

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
  expect(presentToken(token)).toEqual(shown);
});

it('shows a minted token flat, with its secret as a string', () => {
  const secret = 'sat_not-a-real-one';
  expect(presentMinted({ ...token, secret, leftOut: new Set() })).toEqual({ ...shown, token: secret });
});

it('never shows a secret outside the answer to a create', () => {
  const minted = { ...token, secret: 'sat_not-a-real-one' };
  expect(JSON.stringify([presentToken(minted), presentList([minted])])).not.toContain(minted.secret);
});

it('shows a list with its total', () => {
  expect(presentList([token, token])).toEqual({ tokens: [shown, shown], total: 2 });
  expect(presentList([])).toEqual({ tokens: [], total: 0 });
});

describe('the bytes of a list', () => {
  const parsed = (body: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(body));

  it('are made once, for everybody who sees all of it', () => {
    const tokens = [token];
    const body = listBody({ tokens, isPartial: false });
    expect(parsed(body)).toEqual({
      success: true,
      message: 'Service account tokens.',
      data: { tokens: [shown], total: 1 },
    });
    expect(listBody({ tokens, isPartial: false })).toBe(body);
    expect(listBody({ tokens: [token], isPartial: false })).not.toBe(body);
  });

  it('say that a part is all that is known, whoever saw the same tokens as a whole', () => {
    const tokens = [token];
    const [whole, partial] = [listBody({ tokens, isPartial: false }), listBody({ tokens, isPartial: true })];
    expect(parsed(partial)).toEqual({ ...(parsed(whole) as object), partial: true });
    expect(listBody({ tokens, isPartial: true })).toBe(partial);
    expect(listBody({ tokens, isPartial: false })).toBe(whole);
  });
});

describe('is_active, which a client would read as false where it is missing', () => {
  it.each([
    ['as PipeOps says', { isActive: false }, false],
    ['as PipeOps says of a revoked token', { isActive: true, isRevoked: true }, true],
    ['true of a live token where PipeOps is silent', { isActive: null }, true],
    ['false of a revoked token where PipeOps is silent', { isActive: null, isRevoked: true }, false],
    ['false of an expired token where PipeOps is silent', { isActive: null, isExpired: true }, false],
  ])('is %s', (_case, state, expected) => {
    expect(presentToken({ ...token, ...state }).is_active).toBe(expected);
  });
});
