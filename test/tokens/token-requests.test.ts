import { describe, expect, it } from 'vitest';
import { parseTokenRequest, parseWorkspaceRequest } from '../../src/tokens/requests.ts';
import { accepted, create, LEAST, OTHER_WORKSPACE, refused, SECRET, update, WORKSPACE } from './parsing.ts';

const list = (query: string, defaultWorkspaceUuid: string | null = null) =>
  parseWorkspaceRequest({ query: new URLSearchParams(query), defaultWorkspaceUuid });
const get = (id: string, query = `workspace_uuid=${WORKSPACE}`, defaultWorkspaceUuid: string | null = null) =>
  parseTokenRequest({ id, query: new URLSearchParams(query), defaultWorkspaceUuid });

describe('the workspace', () => {
  it.each([
    ['in the query', `workspace_uuid=${WORKSPACE}`, null],
    ['in the query, before the default', `workspace_uuid=${WORKSPACE}`, OTHER_WORKSPACE],
    ['twice the same in the query', `workspace_uuid=${WORKSPACE}&workspace_uuid=${WORKSPACE}`, null],
    ['under its other name', `workspace=${WORKSPACE}`, null],
    ['under both names', `workspace=${WORKSPACE}&workspace_uuid=${WORKSPACE}`, OTHER_WORKSPACE],
    ['by default', '', WORKSPACE],
  ])('%s', (_case, query, defaultWorkspaceUuid) => {
    expect(accepted(list(query, defaultWorkspaceUuid))).toEqual({ workspaceUuid: WORKSPACE });
    expect(accepted(get('tok-1', query, defaultWorkspaceUuid))).toEqual({ workspaceUuid: WORKSPACE, tokenId: 'tok-1' });
    expect(accepted(create(LEAST, { query, defaultWorkspaceUuid })).workspaceUuid).toBe(WORKSPACE);
  });

  it.each([
    ['in the body, before the default', '', OTHER_WORKSPACE],
    ['in the body alone', '', null],
    ['in query and body', `workspace_uuid=${WORKSPACE}`, null],
  ])('%s', (_case, query, defaultWorkspaceUuid) => {
    const place = { query, defaultWorkspaceUuid };
    expect(accepted(create({ ...LEAST, workspace_uuid: WORKSPACE }, place)).workspaceUuid).toBe(WORKSPACE);
  });

  it.each([
    ['missing everywhere', ''],
    ['empty, as of an unset variable', 'workspace_uuid='],
    ['twice different', `workspace_uuid=${WORKSPACE}&workspace_uuid=${OTHER_WORKSPACE}`],
    ['a path', 'workspace_uuid=..%2Fx'],
    ['more than a workspace', `workspace_uuid=${WORKSPACE}%26a=b`],
    ['shaped like a secret', `workspace_uuid=${SECRET}`],
  ])('%s: 400', (_case, query) => {
    for (const result of [
      list(query),
      get('tok-1', query),
      create(LEAST, { query, defaultWorkspaceUuid: null }),
      update({ name: 'shop' }, { query, defaultWorkspaceUuid: null }),
    ]) {
      expect(Object.keys(refused(result, 'invalid_request'))).toEqual(['workspace_uuid']);
    }
  });

  it('that differs in query and body is 400', () => {
    const place = { query: `workspace_uuid=${OTHER_WORKSPACE}` };
    const errors = refused(create({ ...LEAST, workspace_uuid: WORKSPACE }, place), 'invalid_request');
    expect(errors).toEqual({ workspace_uuid: ['Give one workspace: this request names several.'] });
  });

  it('that is missing is answered with all three ways to give it', () => {
    const [message] = refused(list(''), 'invalid_request')['workspace_uuid'] ?? [];
    expect(message).toMatch(/query.*body.*PIPEOPS_WORKSPACE_UUID/);
  });

  it('empty in the query never means the default', () => {
    expect(list('workspace_uuid=', WORKSPACE)).toMatchObject({ ok: false });
  });
});

describe('query parameters that are not known: 400', () => {
  it.each([
    ['a name that is nearly the workspace’s', `workspace_id=${WORKSPACE}`, ['workspace_id']],
    ['paging', 'page=2&limit=5', ['page', 'limit']],
    ['a JWT', 'access_token=x', ['access_token']],
    ['an inherited name', '__proto__=1&constructor=2', ['__proto__', 'constructor']],
    ['one shaped like a secret', `${SECRET}=1`, ['query']],
    ['an empty name', '=1', ['query']],
  ])('%s', (_case, query, named) => {
    expect(Object.keys(refused(list(query, WORKSPACE), 'invalid_request'))).toEqual(named);
    expect(Object.keys(refused(get('tok-1', query, WORKSPACE), 'invalid_request'))).toEqual(named);
  });
});

describe('the id of a token', () => {
  it.each(['5877a4ae-0d0c-4f6c-9a4c-5d2f2f9b0b11', 'tok-1', 'token_123', 'a', 'a.b~c', 'x'.repeat(128)])('%s', (id) => {
    expect(accepted(get(id)).tokenId).toBe(id);
  });

  it.each(['', '.', '..', '-a', '~a', 'a/b', 'a%2fb', 'a b', 'a;b', 'a?b', 'a\n', 'a\0', 'é', 'x'.repeat(129), SECRET])(
    '%j: 400',
    (id) => {
      expect(refused(get(id), 'invalid_request')).toEqual({ id: [expect.any(String)] });
    },
  );
});
