import { describe, expect, it } from 'vitest';
import { LIST_PAGES_MAX_COUNT } from '../../src/config/limits.ts';
import { callWith, json, NOW_MS, patientCall, scripted, WORKSPACE, type Answer } from './scripted-pipeops.ts';

// Nothing is published of the pages of this list, so every way in which PipeOps may answer them is one of these.

/** A page with a token for each letter, `!` being an item that cannot be read. */
const page = (letters: string, total?: number): Answer =>
  json(200, {
    data: {
      tokens: letters.split('').map((letter) => (letter === '!' ? {} : { uuid: letter, name: letter, scopes: [] })),
      ...(total !== undefined && { total }),
    },
  });

/** What became of a list that PipeOps answers so, one answer for each call. */
async function listed(answers: readonly Answer[]) {
  const { pipeops, sent } = scripted(answers);
  const answered = await pipeops.list(WORKSPACE, patientCall());
  if (!answered.ok) throw new Error(answered.error.kind);
  const { tokens, ...list } = answered.value.data;
  return {
    ...list,
    ids: tokens.map(({ id }) => id).join(''),
    sent: sent.map(({ url }) => new URL(url).search.replace('?workspace_uuid=ws-1', '')),
  };
}

/** A minute from now. */
const RESET = String(NOW_MS / 1_000 + 60);
const P2 = '&page=2&limit=2';
const P3 = '&page=3&limit=2';

describe('a list', () => {
  it.each<[string, readonly Answer[], { ids: string; state: string; total: number; sent: readonly string[] }]>([
    [
      'whose total is what it shows is one call',
      [page('ab', 2)],
      { ids: 'ab', state: 'complete', total: 2, sent: [''] },
    ],
    ['that is empty is one call', [page('', 0)], { ids: '', state: 'complete', total: 0, sent: [''] }],
    ['that is empty without a total is one call', [page('')], { ids: '', state: 'complete', total: 0, sent: [''] }],
    ['whose total is too small is one call', [page('ab', 1)], { ids: 'ab', state: 'complete', total: 2, sent: [''] }],
    [
      'with an item that cannot be read is partial, and no page has it',
      [page('a!', 2)],
      { ids: 'a', state: 'partial', total: 2, sent: [''] },
    ],
    [
      'is whole when the ids reach the total',
      [page('ab', 5), page('cd', 5), page('e', 5)],
      { ids: 'abcde', state: 'complete', total: 5, sent: ['', P2, P3] },
    ],
    [
      'is whole when a page comes back empty, whatever the total counts',
      [page('ab', 9), page('c', 9), page('', 9)],
      { ids: 'abc', state: 'complete', total: 9, sent: ['', P2, P3] },
    ],
    [
      'is whole without a total when a page comes back empty',
      [page('ab'), page('c'), page('')],
      { ids: 'abc', state: 'complete', total: 3, sent: ['', P2, P3] },
    ],
    [
      'is not whole for a last page that is short',
      [page('ab'), page('c'), page('c')],
      { ids: 'abc', state: 'unproven', total: 3, sent: ['', P2, P3] },
    ],
    [
      'whose first page is empty beside a total is believed when the second one is',
      [page('', 3), page('', 3)],
      { ids: '', state: 'complete', total: 3, sent: ['', '&page=2'] },
    ],
    [
      'whose total Go left at 0 has none',
      [page('ab', 0), page('', 0)],
      { ids: 'ab', state: 'complete', total: 2, sent: ['', P2] },
    ],
    [
      'may have pages that overlap',
      [page('ab', 4), page('bc', 4), page('d', 4)],
      { ids: 'abcd', state: 'complete', total: 4, sent: ['', P2, P3] },
    ],
    [
      'is held against the greatest total that any page said',
      [page('ab', 4), page('cd', 5), page('', 4)],
      { ids: 'abcd', state: 'complete', total: 5, sent: ['', P2, P3] },
    ],
    [
      'is unproven where pages are ignored and there is no total',
      [page('ab'), page('ab')],
      { ids: 'ab', state: 'unproven', total: 2, sent: ['', P2] },
    ],
    [
      'is partial where pages are ignored and the total is not reached',
      [page('ab', 3), page('ab', 3)],
      { ids: 'ab', state: 'partial', total: 3, sent: ['', P2] },
    ],
    [
      'is partial with a page that nobody can read',
      [page('ab', 5), page('!!', 5), page('')],
      { ids: 'ab', state: 'partial', total: 5, sent: ['', P2] },
    ],
    [
      'is partial with an item that cannot be read, though a page comes back empty',
      [page('ab', 5), page('c!', 5), page('', 5)],
      { ids: 'abc', state: 'partial', total: 5, sent: ['', P2, P3] },
    ],
    [
      'is partial, and not merely unproven, with an item that cannot be read',
      [page('a!'), page('a!')],
      { ids: 'a', state: 'partial', total: 1, sent: ['', P2] },
    ],
  ])('%s', async (_case, answers, expected) => {
    expect(await listed(answers)).toEqual({
      ...expected,
      complete: expected.state === 'complete',
      pages: expected.sent.length,
    });
  });

  it.each([400, 422])('has no pages where they are answered %i: only the total counts', async (status) => {
    const refused = json(status, { message: 'unknown parameter' });
    expect(await listed([page('ab'), refused])).toMatchObject({ ids: 'ab', state: 'unproven', sent: ['', P2] });
    expect(await listed([page('ab', 3), refused])).toMatchObject({ ids: 'ab', state: 'partial', sent: ['', P2] });
    expect(await listed([page('a!'), refused])).toMatchObject({ state: 'partial' });
  });

  it.each<[string, Answer, number]>([
    ['500', json(500, {}), 3],
    ['503', json(503, {}), 3],
    ['429', json(429, {}), 1],
    ['401', json(401, {}), 1],
    ['403', json(403, {}), 1],
    ['404', json(404, {}), 1],
    ['409', json(409, {}), 1],
    ['a page of HTML', () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } }), 1],
    ['no list', json(200, { data: {} }), 1],
    ['a broken connection', async () => await Promise.reject(new TypeError('lost')), 3],
  ])('is shown in part where a later page is answered %s', async (_case, answer, times) => {
    const later = Array.from({ length: times }, () => answer);
    for (const total of [undefined, 9]) {
      const list = await listed([page('ab', total), page('cd', total), ...later]);
      expect(list).toMatchObject({ ids: 'abcd', state: 'partial', complete: false, pages: 3 });
      expect(list.sent).toHaveLength(2 + times);
    }
  });

  it('shares one deadline among its pages, and is shown in part when that has passed', async () => {
    const deadline = new AbortController();
    const never: Answer = async () => {
      deadline.abort();
      return await new Promise<Response>(() => {});
    };
    const { pipeops, sent } = scripted([page('ab', 9), never]);
    expect(await pipeops.list(WORKSPACE, callWith(deadline.signal))).toMatchObject({
      value: { data: { state: 'partial', tokens: [{ id: 'a' }, { id: 'b' }] } },
    });
    expect(sent).toHaveLength(2);
  });

  it('asks the quota for each page', async () => {
    const nearlyOver = { 'X-RateLimit-Limit': '100', 'X-RateLimit-Remaining': '1', 'X-RateLimit-Reset': RESET };
    const first: Answer = async (init) => {
      const answer = await page('ab', 9)(init);
      return new Response(answer.body, { headers: { 'Content-Type': 'application/json', ...nearlyOver } });
    };
    expect(await listed([first, page('cd', 9)])).toMatchObject({ ids: 'ab', state: 'partial', sent: [''] });
  });

  it('fails where its first page does', async () => {
    const { pipeops } = scripted([json(422, {})]);
    expect(await pipeops.list(WORKSPACE, patientCall())).toMatchObject({ error: { kind: 'upstream_rejected' } });
  });

  it(`ends after ${LIST_PAGES_MAX_COUNT} pages, and is partial then`, async () => {
    const letters = 'abcdefghijklmnopqrstuvwxyz'.split('');
    const list = await listed(letters.map((letter) => page(letter)));
    expect(list).toMatchObject({ state: 'partial', pages: LIST_PAGES_MAX_COUNT });
    expect(list.ids).toHaveLength(LIST_PAGES_MAX_COUNT);
  });
});
