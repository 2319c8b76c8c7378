import { describe, expect, it } from 'vitest';
import { accepted, JWT, MARKER_SHAPED, OTHER_WORKSPACE, refused, SECRET, update, WORKSPACE } from './parsing.ts';

describe('what an update changes', () => {
  it.each([
    ['a name', { name: 'shop' }, { name: 'shop' }],
    ['a description', { description: 'Deploys' }, { description: 'Deploys' }],
    ['a description taken away', { description: '' }, { description: '' }],
    ['scopes', { scopes: ['b', 'a', 'b'] }, { scopes: ['b', 'a'] }],
    ["scopes by the SDK's name", { permissions: ['a'] }, { scopes: ['a'] }],
    ['scopes by both names', { permissions: ['a', 'b'], scopes: ['b', 'a'] }, { scopes: ['b', 'a'] }],
    ['suspending', { is_active: false }, { isActive: false }],
    ['resuming', { is_active: true }, { isActive: true }],
    ['nothing by null', { name: null, scopes: null, is_active: true }, { isActive: true }],
  ])('%s', (_case, body, changes) => {
    expect(accepted(update(body))).toEqual({ workspaceUuid: WORKSPACE, tokenId: 'tok-1', changes });
  });

  it('takes the workspace from the body too', () => {
    const request = update({ name: 'shop', workspace_uuid: OTHER_WORKSPACE });
    expect(accepted(request).workspaceUuid).toBe(OTHER_WORKSPACE);
  });
});

describe('values that are not acceptable: 422', () => {
  it.each([
    ['no change', {}, ['body']],
    ['only null', { name: null }, ['body']],
    ['only a workspace', { workspace_uuid: WORKSPACE }, ['body']],
    ['an empty name', { name: '' }, ['name']],
    ['a name with a secret', { name: SECRET }, ['name']],
    ['a name like a marker', { name: `x${MARKER_SHAPED}` }, ['name']],
    ['a description with a JWT', { description: JWT }, ['description']],
    ['no scopes', { scopes: [] }, ['scopes']],
    ['no permissions', { permissions: [] }, ['permissions']],
    ['scopes and permissions that differ', { scopes: ['a'], permissions: ['b'] }, ['scopes', 'permissions']],
    ['is_active as text', { is_active: 'false' }, ['is_active']],
    ['is_active as a number', { is_active: 0 }, ['is_active']],
  ])('%s', (_case, body, named) => {
    expect(Object.keys(refused(update(body), 'validation_failed'))).toEqual(named);
  });
});

describe('requests that are not understood: 400', () => {
  it.each([
    ['an expiry, which PipeOps cannot change', { expires_at: '2030-01-01T00:00:00Z' }, ['expires_at']],
    ['a preset', { preset: 'mcp' }, ['preset']],
    ['metadata', { metadata: { description: 'x' } }, ['metadata']],
    ['an id in the body', { name: 'shop', id: 'tok-2' }, ['id']],
    ['__proto__', '{"is_active":true,"__proto__":{"name":"x"}}', ['__proto__']],
  ])('%s', (_case, body, named) => {
    expect(Object.keys(refused(update(body), 'invalid_request'))).toEqual(named);
  });

  it('names a bad id together with the rest', () => {
    const errors = refused(update({ name: '' }, { id: '..', query: 'workspace_uuid=%2F' }), 'invalid_request');
    expect(Object.keys(errors)).toEqual(['id', 'workspace_uuid', 'name']);
  });
});
