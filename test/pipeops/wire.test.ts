import { describe, expect, it } from 'vitest';
import { isAcknowledgement, readList, readMinted, readToken } from '../../src/pipeops/wire.ts';

const secret = 'sat_Zk3nP0qLmW8xYb71';
const WORKSPACE = '5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e';
const wire = { uuid: 'tok-1', name: 'deploy', scopes: ['api:read'] };
const read = {
  id: 'tok-1',
  name: 'deploy',
  description: null,
  scopes: ['api:read'],
  tokenPrefix: null,
  workspaceId: null,
  isRevoked: false,
  isExpired: false,
  isActive: null,
  expiresAt: null,
  createdAt: null,
  updatedAt: null,
  lastUsedAt: null,
};
const answer = (data: unknown): unknown => ({ success: true, message: 'done', data });

describe('a created token is read', () => {
  it.each([
    ['flat, the secret a string', { ...wire, token: secret }],
    ['with its id as id', { id: 'tok-1', name: 'deploy', scopes: ['api:read'], token: secret }],
    ['with its id as token_uuid', { ...wire, token_uuid: 'tok-1', uuid: 'other', token: secret }],
    ['with scopes as permissions', { uuid: 'tok-1', name: 'deploy', permissions: ['api:read'], token: secret }],
    ['without its name', { uuid: 'tok-1', scopes: ['api:read'], token: secret }],
    ['older: the secret in an object beside the token', { ...wire, token: { token: secret } }],
    ['older: all of it in the object', { token: { ...wire, token: secret } }],
    [
      'older: the id inside, the name outside',
      { name: 'deploy', scopes: ['api:read'], token: { id: 'tok-1', token: secret } },
    ],
    ['older: empty outside, told inside', { uuid: '', name: null, token: { ...wire, token: secret } }],
    ['older: the same id on both sides', { ...wire, token: { id: 'tok-1', token: secret } }],
  ])('%s', (_form, data) => {
    expect(readMinted(answer(data), 'deploy')).toEqual({ ...read, secret });
  });

  it.each([
    ['no secret', wire],
    ['an empty secret', { ...wire, token: '' }],
    ['a secret that is none', { ...wire, token: 'Zk3nP0qLmW8xYb71' }],
    ['only the prefix of a secret', { ...wire, token: 'sat_' }],
    ['a secret with a line break', { ...wire, token: `${secret}\n` }],
    ['a secret that is a number', { ...wire, token: 7 }],
    ['no id', { name: 'deploy', token: secret }],
    ['two ids', { ...wire, token: { id: 'tok-2', token: secret } }],
    ['no data', null],
    ['a list for data', [{ ...wire, token: secret }]],
  ])('not with %s', (_case, data) => {
    expect(readMinted(answer(data), 'deploy')).toBeNull();
  });
});

describe('a token is read', () => {
  it.each([
    ['as data', wire],
    ['under data.token', { token: wire }],
    ['with masked text where a create has the secret', { ...wire, token: 'sat_xxxxxxx' }],
    ['with a number as id beside its UUID', { ...wire, id: 42 }],
    ['with unreadable times that decide nothing', { ...wire, created_at: 'soon', updated_at: 7, last_used_at: '' }],
    ['with fields that nobody knows', { ...wire, owner: { a: 1 }, ['__proto__']: { name: 'x' } }],
  ])('%s', (_form, data) => {
    expect(readToken(answer(data), 'tok-1')).toEqual(read);
  });

  it('with every field, whichever form it has', () => {
    const data = {
      ...wire,
      metadata: { description: 'for CI' },
      permissions: ['api:read', 'api:write'],
      token_prefix: 'sat_xxxxxxx',
      workspace_id: 'ws-1',
      is_revoked: true,
      is_expired: true,
      is_active: false,
      expires_at: '2027-01-01 00:00:00',
      created_at: '2026-01-01T01:00:00+01:00',
      updated_at: '2026-01-01T00:00:00.5Z',
      last_used_at: '2026-01-02T00:00:00Z',
    };
    expect(readToken(answer(data), 'tok-1')).toEqual({
      id: 'tok-1',
      name: 'deploy',
      description: 'for CI',
      scopes: ['api:read', 'api:write'],
      tokenPrefix: 'sat_xxxxxxx',
      workspaceId: 'ws-1',
      isRevoked: true,
      isExpired: true,
      isActive: false,
      expiresAt: '2027-01-01T00:00:00.000Z',
      createdAt: '2026-01-01T00:00:00.000Z',
      updatedAt: '2026-01-01T00:00:00.500Z',
      lastUsedAt: '2026-01-02T00:00:00.000Z',
    });
  });

  it.each([
    ['absent', {}],
    ['null', { scopes: null, expires_at: null, is_active: null, description: null }],
    ['empty', { scopes: [], expires_at: '', description: '', token_prefix: '' }],
  ])('with fields that are %s as none', (_case, fields) => {
    const data = { uuid: 'tok-1', name: 'deploy', ...fields };
    expect(readToken(answer(data), 'tok-1')).toEqual({ ...read, scopes: [] });
  });

  it.each([
    ['another id', { ...wire, uuid: 'tok-2' }],
    ['an id that is none', { ...wire, uuid: '../tok-1' }],
    ['no id', { name: 'deploy' }],
    ['no name', { uuid: 'tok-1' }],
    ['an expiry that cannot be read', { ...wire, expires_at: 'whenever' }],
    ['an expiry that is a number', { ...wire, expires_at: 1767366245 }],
    ['scopes that are no list', { ...wire, scopes: 'api:read' }],
    ['scopes that are no text', { ...wire, scopes: [1] }],
    ['a flag that is no boolean', { ...wire, is_revoked: 'false' }],
    ['nothing', undefined],
  ])('not with %s', (_case, data) => {
    expect(readToken(answer(data), 'tok-1')).toBeNull();
  });

  it('with [redacted] for text shaped like a secret, wherever it stands', () => {
    const jwt = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln';
    const data = {
      uuid: 'tok-1',
      name: `deploy ${secret}`,
      description: `see ${jwt}`,
      scopes: [secret],
      token_prefix: secret,
      workspace_id: jwt,
    };
    expect(readToken(answer(data), 'tok-1')).toMatchObject({
      name: 'deploy [redacted]',
      description: 'see [redacted]',
      scopes: ['[redacted]'],
      tokenPrefix: '[redacted]',
      workspaceId: '[redacted]',
    });
  });

  it.each([
    ['sat_report-csgn-abcdefghijklmnop', 'sat_report-csgn-abcdefghijklmnop'],
    [`${secret}-csgn-abcdefghijklmnop`, '[redacted]-csgn-abcdefghijklmnop'],
  ])('with the marker of its name, whatever stands before: %s', (name, expected) => {
    expect(readToken(answer({ ...wire, name }), 'tok-1')?.name).toBe(expected);
  });
});

describe('a list is read', () => {
  const second = { ...wire, uuid: 'tok-2' };
  const bad = { ...wire, uuid: '../../admin' };
  const elsewhere = { ...wire, uuid: 'tok-3', workspace_id: crypto.randomUUID() };

  it.each([
    ['with total', { tokens: [wire, second], total: 2 }, ['tok-1', 'tok-2'], 2, true],
    ['with pagination.total', { tokens: [wire], pagination: { total: 1 } }, ['tok-1'], 1, true],
    ['empty', { tokens: [], total: 0 }, [], 0, true],
    ['empty as Go writes it', { tokens: null, total: 0 }, [], 0, true],
    ['with a page of more', { tokens: [wire], total: 9 }, ['tok-1'], 9, false],
    [
      'with two totals, the greater counting',
      { tokens: [wire], total: 1, pagination: { total: 3 } },
      ['tok-1'],
      3,
      false,
    ],
    ['without any total', { tokens: [wire] }, ['tok-1'], 1, false],
    ['with a total that is no number', { tokens: [wire], total: 'all' }, ['tok-1'], 1, false],
    ['with a total less than what it sent', { tokens: [wire, second], total: 1 }, ['tok-1', 'tok-2'], 2, false],
    ['without one that names another workspace', { tokens: [wire, elsewhere], total: 2 }, ['tok-1'], 2, false],
    [
      'with one whose workspace is another kind of id',
      { tokens: [{ ...wire, workspace_id: '42' }], total: 1 },
      ['tok-1'],
      1,
      true,
    ],
    ['with one token twice', { tokens: [wire, wire], total: 2 }, ['tok-1'], 2, false],
    ['without an id that is none', { tokens: [wire, bad], total: 2 }, ['tok-1'], 2, false],
    ['without an expiry that cannot be read', { tokens: [{ ...wire, expires_at: 'x' }], total: 1 }, [], 1, false],
    ['without what is no token', { tokens: [wire, null, 'x', []], total: 1 }, ['tok-1'], 1, false],
  ])('%s', (_case, data, ids, total, complete) => {
    const list = readList(answer(data), WORKSPACE);
    expect(list?.tokens.map((token) => token.id)).toEqual(ids);
    expect(list).toMatchObject({ total, complete });
  });

  it.each([
    ['no tokens', { total: 0 }],
    ['tokens that are no list', { tokens: { 0: wire } }],
    ['no data', undefined],
  ])('not with %s', (_case, data) => {
    expect(readList(answer(data), WORKSPACE)).toBeNull();
  });
});

describe('an envelope', () => {
  it.each([[{}], [{ success: true }], [{ success: null, status: 'success' }], [{ message: 'revoked' }]])(
    '%j is success',
    (body) => {
      expect(isAcknowledgement(body)).toBe(true);
      expect(readToken({ ...body, data: wire }, 'tok-1')).toEqual(read);
    },
  );

  it.each([[{ success: false }], [{ success: 'true' }], [{ success: 0 }], [{ status: 'error' }]])(
    '%j is not, whatever the HTTP status was',
    (body) => {
      expect(isAcknowledgement(body)).toBe(false);
      expect(readToken({ ...body, data: wire }, 'tok-1')).toBeNull();
      expect(readList({ ...body, data: { tokens: [], total: 0 } }, WORKSPACE)).toBeNull();
      expect(readMinted({ ...body, data: { ...wire, token: secret } }, 'deploy')).toBeNull();
    },
  );

  it.each([null, undefined, 'ok', 7, true, [[]]])('%j is none', (body) => {
    expect(isAcknowledgement(body)).toBe(false);
  });
});
