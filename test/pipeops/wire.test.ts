import { describe, expect, it } from 'vitest';
import { isAcknowledgement, readMinted, readPage, readToken } from '../../src/pipeops/wire.ts';

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
    const leftOut = new Set(['expires_at', 'workspace_id']);
    expect(readMinted(answer(data), 'deploy')).toEqual({ ...read, secret, leftOut });
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

describe('what the answer to a create leaves out', () => {
  const whole = { scopes: ['api:read'], expires_at: '2027-01-01T00:00:00Z', workspace_id: WORKSPACE };
  const minted = (fields: object) => ({ uuid: 'tok-1', name: 'deploy', token: secret, ...whole, ...fields });

  it.each<[string, object, readonly string[]]>([
    ['nothing', minted({}), []],
    ['nothing, an empty list of scopes being one', minted({ scopes: [] }), []],
    ['nothing, scopes under their other name', minted({ scopes: null, permissions: ['api:read'] }), []],
    ['nothing, an empty list under that name', minted({ scopes: undefined, permissions: [] }), []],
    ['nothing, although the workspace is another kind of id', minted({ workspace_id: 42 }), []],
    ['what is absent', { uuid: 'tok-1', name: 'deploy', token: secret }, Object.keys(whole)],
    [
      'what is null',
      minted({ scopes: null, permissions: null, expires_at: null, workspace_id: null }),
      Object.keys(whole),
    ],
    ['what is ""', minted({ scopes: '', permissions: '', expires_at: '', workspace_id: '' }), Object.keys(whole)],
    ['one of them', minted({ expires_at: null }), ['expires_at']],
    ['nothing that the object holds', { uuid: 'tok-1', token: minted({}), scopes: null, expires_at: '' }, []],
    [
      'nothing that stands beside the object',
      { ...whole, name: 'deploy', token: { id: 'tok-1', token: secret, scopes: '' } },
      [],
    ],
    [
      'what is in neither',
      { uuid: 'tok-1', token: minted({ workspace_id: null }), workspace_id: '' },
      ['workspace_id'],
    ],
  ])('%s', (_case, data, left) => {
    expect([...(readMinted(answer(data), 'deploy')?.leftOut ?? ['unread'])]).toEqual(left);
  });

  it.each([['whenever'], [1767366245]])('is not an expiry that cannot be read: %j', (expiry) => {
    expect(readMinted(answer(minted({ expires_at: expiry })), 'deploy')).toBeNull();
  });

  it('is not an expiry that lies in the past', () => {
    const past = readMinted(answer(minted({ expires_at: '2020-01-01T00:00:00Z' })), 'deploy');
    expect(past).toMatchObject({ expiresAt: '2020-01-01T00:00:00.000Z', leftOut: new Set() });
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
    ['empty', { scopes: '', permissions: [], expires_at: '', description: '', token_prefix: '' }],
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
    ['with total', { tokens: [wire, second], total: 2 }, ['tok-1', 'tok-2'], 2, 0],
    ['with pagination.total', { tokens: [wire], pagination: { total: 1 } }, ['tok-1'], 1, 0],
    ['empty', { tokens: [], total: 0 }, [], 0, 0],
    ['empty as Go writes it', { tokens: null, total: 0 }, [], 0, 0],
    ['with a page of more', { tokens: [wire], total: 9 }, ['tok-1'], 9, 0],
    ['with two totals, the greater counting', { tokens: [wire], total: 1, pagination: { total: 3 } }, ['tok-1'], 3, 0],
    ['without any total', { tokens: [wire] }, ['tok-1'], null, 0],
    ['empty without any total', { tokens: [] }, [], null, 0],
    ['with a total that is no number', { tokens: [wire], total: 'all' }, ['tok-1'], null, 0],
    ['with a total that Go left at 0', { tokens: [wire], total: 0 }, ['tok-1'], null, 0],
    ['with a total less than what it sent', { tokens: [wire, second], total: 1 }, ['tok-1', 'tok-2'], 1, 0],
    ['without one that names another workspace', { tokens: [wire, elsewhere], total: 2 }, ['tok-1'], 2, 1],
    ['with one whose workspace is no UUID', { tokens: [{ ...wire, workspace_id: '42' }], total: 1 }, ['tok-1'], 1, 0],
    ['with one token twice', { tokens: [wire, wire], total: 2 }, ['tok-1'], 2, 0],
    ['without an id that is none', { tokens: [wire, bad], total: 2 }, ['tok-1'], 2, 1],
    ['without an expiry that cannot be read', { tokens: [{ ...wire, expires_at: 'x' }], total: 1 }, [], 1, 1],
    ['without what is no token', { tokens: [wire, null, 'x', []], total: 1 }, ['tok-1'], 1, 3],
  ])('%s', (_case, data, ids, total, unreadable) => {
    const page = readPage(answer(data), WORKSPACE);
    expect(page?.tokens.map((token) => token.id)).toEqual(ids);
    expect(page).toMatchObject({ total, unreadable, items: data.tokens?.length ?? 0 });
  });

  it.each([
    ['no tokens', { total: 0 }],
    ['tokens that are no list', { tokens: { 0: wire } }],
    ['no data', undefined],
  ])('not with %s', (_case, data) => {
    expect(readPage(answer(data), WORKSPACE)).toBeNull();
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
      expect(readPage({ ...body, data: { tokens: [], total: 0 } }, WORKSPACE)).toBeNull();
      expect(readMinted({ ...body, data: { ...wire, token: secret } }, 'deploy')).toBeNull();
    },
  );

  it.each([null, undefined, 'ok', 7, true, [[]]])('%j is none', (body) => {
    expect(isAcknowledgement(body)).toBe(false);
  });
});
