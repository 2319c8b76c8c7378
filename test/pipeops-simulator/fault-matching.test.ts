import { describe, expect, it } from 'vitest';
import { createFaultList, matches, type MatchedRequest } from './faults.ts';

const request: MatchedRequest = {
  method: 'DELETE',
  path: '/api/v1/service-account-tokens/tok-1',
  workspaceUuid: 'w-1',
  bearer: 'jwt-1',
};

describe('a match', () => {
  it.each([
    ['everything, where there is none', undefined, true],
    ['everything, where it is empty', {}, true],
    ['its method', { method: 'DELETE' }, true],
    ['no other method', { method: 'POST' }, false],
    ['its workspace', { workspace_uuid: 'w-1' }, true],
    ['no other workspace', { workspace_uuid: 'w-2' }, false],
    ['a part of its path', { path_contains: 'tok-1' }, true],
    ['no other path', { path_contains: 'tok-2' }, false],
    ['its credential', { credential: 'jwt-1' }, true],
    ['no part of its credential', { credential: 'jwt' }, false],
    ['only all of it together', { method: 'DELETE', workspace_uuid: 'w-2' }, false],
  ])('takes %s', (_, match, expected) => {
    expect(matches(match, request)).toBe(expected);
  });

  it('with a workspace or credential does not take a request without', () => {
    const bare = { ...request, workspaceUuid: null, bearer: null };
    expect(matches({ workspace_uuid: 'w-1' }, bare)).toBe(false);
    expect(matches({ credential: 'jwt-1' }, bare)).toBe(false);
  });
});

/** The statuses that so many requests meet. */
const statuses = (list: ReturnType<typeof createFaultList>, requests: number): readonly (number | null)[] =>
  Array.from({ length: requests }, () => list.take(request)?.status ?? null);

describe('the list of faults', () => {
  it('uses each fault once', () => {
    const list = createFaultList();
    list.add([{ status: 500 }]);
    expect(statuses(list, 2)).toEqual([500, null]);
  });

  it('uses a fault as often as it says, oldest first', () => {
    const list = createFaultList();
    list.add([{ status: 500, times: 2 }]);
    list.add([{ status: 503 }]);
    expect(statuses(list, 4)).toEqual([500, 500, 503, null]);
  });

  it('passes over faults for other requests and keeps them', () => {
    const list = createFaultList();
    list.add([{ status: 500, match: { method: 'POST' } }, { status: 503 }]);
    expect(statuses(list, 2)).toEqual([503, null]);
    expect(list.take({ ...request, method: 'POST' })?.status).toBe(500);
  });

  it('forgets those of one workspace or credential, or all', () => {
    const list = createFaultList();
    const [mine, others] = [{ workspace_uuid: 'w-1' }, { credential: 'jwt-1' }];
    list.add([{ status: 500, match: mine }, { status: 501, match: others }, { status: 502 }]);
    list.clear(mine);
    expect(statuses(list, 1)).toEqual([501]);
    list.clear({});
    expect(statuses(list, 1)).toEqual([null]);
  });
});
