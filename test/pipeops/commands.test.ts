import { describe, expect, it } from 'vitest';
import { createBody, updateBody } from '../../src/pipeops/requests.ts';

const least = {
  workspaceUuid: 'ws-1',
  name: 'deploy',
  description: null,
  scopes: [],
  expiresAt: null,
};

describe('the body of a create', () => {
  it('is the form that PipeOps reads, and no more than was asked for', () => {
    expect(createBody(least)).toEqual({
      name: 'deploy',
      workspace_uuid: 'ws-1',
      scopes: [],
      permissions: [],
    });
  });

  it('carries description and expiry where they are given', () => {
    const expiresAt = '2027-01-01T00:00:00.000Z';
    expect(createBody({ ...least, description: 'for CI', scopes: ['api:read'], expiresAt })).toEqual({
      name: 'deploy',
      workspace_uuid: 'ws-1',
      scopes: ['api:read'],
      permissions: ['api:read'],
      metadata: { description: 'for CI' },
      expires_at: expiresAt,
    });
  });

  it('carries an empty description, which is one', () => {
    expect(createBody({ ...least, description: '' })).toMatchObject({ metadata: { description: '' } });
  });
});

describe('the body of an update', () => {
  it.each([
    [{}, {}],
    [{ name: 'n' }, { name: 'n' }],
    [{ description: '' }, { description: '' }],
    [{ isActive: false }, { is_active: false }],
    [{ scopes: [] }, { scopes: [], permissions: [] }],
    [{ scopes: ['api:read'] }, { scopes: ['api:read'], permissions: ['api:read'] }],
  ])('of %j is %j', (command, body) => {
    expect(updateBody(command)).toEqual(body);
  });
});
