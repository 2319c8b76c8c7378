import { describe, expect, it } from 'vitest';
import type { Behaviour, ListBehaviour } from './faults-wire.ts';
import { startTestSimulator, type Answered } from './harness.ts';

const { control, visit } = await startTestSimulator();
let nowMs = Date.parse('2026-11-24T12:00:00Z');
const clocked = await startTestSimulator({ now: () => nowMs });

type Visit = ReturnType<typeof visit>;

const behaving = async (behaviour: Behaviour): Promise<Visit> => {
  const visitor = visit();
  await control.behave(visitor.workspace, behaviour);
  return visitor;
};

/** A workspace with tokens of these names, of which `gone` are revoked; then it behaves so. */
async function holding(names: readonly string[], behaviour: Behaviour, gone: readonly string[] = []): Promise<Visit> {
  const visitor = visit();
  for (const name of names) await visitor.mint({ name });
  for (const token of await visitor.tokens()) if (gone.includes(token.name)) await control.revokeByHand(token.id);
  await control.behave(visitor.workspace, behaviour);
  return visitor;
}

const pageOf = async ({ send, workspace }: Visit, query: string): Promise<Answered> =>
  await send('GET', { path: `?workspace_uuid=${workspace}&${query}`, workspace: null });

const namesIn = ({ body }: Answered): readonly string[] => body.data.tokens.map(({ name }: { name: string }) => name);
const shownBy = (answer: Answered) => ({ names: namesIn(answer).join(''), total: answer.body.data.total });

describe('a behaviour', () => {
  it('stays until it is told otherwise, in its workspace alone', async () => {
    const visitor = await holding(['a'], { list: { empty: true } });
    const other = await holding(['b'], {});
    const list = async (of: Visit) => shownBy(await of.send('GET')).names;
    expect([await list(visitor), await list(visitor), await list(other)]).toEqual(['', '', 'b']);
    await control.behave(visitor.workspace, null);
    expect(await list(visitor)).toBe('a');
  });

  it.each<[string, object]>([
    ['a misspelt name', { lists: {} }],
    ['a misspelt name inside', { list: { lags: 5 } }],
    ['a field that no answer has', { answers: { create: { says: { scope: [] } } } }],
    ['pages without a size', { list: { pages: 'ignored' } }],
  ])('is refused for %s', async (_, behaviour) => {
    await expect(control.behave(crypto.randomUUID(), behaviour)).rejects.toThrow('400');
  });
});

describe('a workspace that is not found', () => {
  it.each(['GET', 'POST', 'PATCH', 'DELETE'])(
    '%s of a token or all: a JSON 404, and nothing is done',
    async (method) => {
      const visitor = await holding(['a'], { not_found: true });
      const [token] = await visitor.tokens();
      const path = method === 'POST' ? '' : `/${token?.id ?? ''}`;
      const answer = await visitor.send(method, { path, body: method === 'GET' ? undefined : { name: 'b' } });
      expect([answer.status, answer.body]).toEqual([404, expect.objectContaining({ status: 'error' })]);
      expect((await visitor.send('GET')).status).toBe(404);
      expect(await visitor.tokens()).toEqual([token]);
    },
  );
});

describe('a list', () => {
  it.each<[string, ListBehaviour, { names: string; total: number | undefined }]>([
    ['is whole by default, revoked tokens included', {}, { names: 'abcde', total: 5 }],
    ['is empty', { empty: true }, { names: '', total: 0 }],
    ['lacks revoked tokens', { lacks_revoked: true }, { names: 'acde', total: 4 }],
    ['lacks them and counts them', { lacks_revoked: true, total: 'with_revoked' }, { names: 'acde', total: 5 }],
    ['has no total', { total: 'none' }, { names: 'abcde', total: undefined }],
    ['has a total that is too small', { total: 2 }, { names: 'abcde', total: 2 }],
    ['is cut without a word', { cut: 2 }, { names: 'ab', total: 2 }],
    ['has pages', { page_size: 2 }, { names: 'ab', total: 5 }],
    ['has pages of what is cut', { page_size: 2, cut: 3 }, { names: 'ab', total: 3 }],
    ['lacks young tokens', { young_ms: 3_600_000 }, { names: '', total: 0 }],
  ])('%s', async (_, list, shown) => {
    const visitor = await holding(['a', 'b', 'c', 'd', 'e'], { list }, ['b']);
    expect(shownBy(await visitor.send('GET'))).toEqual(shown);
  });

  it('lacks the tokens that it is told to hide', async () => {
    const visitor = await holding(['a', 'b'], {});
    const [a] = await visitor.tokens();
    await control.behave(visitor.workspace, { list: { hide: [a?.id ?? ''] } });
    expect(shownBy(await visitor.send('GET'))).toEqual({ names: 'b', total: 1 });
    expect((await visitor.send('GET', { path: `/${a?.id}` })).status).toBe(200);
  });

  it('of a frozen replica shows what was, whatever is', async () => {
    const visitor = await holding(['a', 'b'], { list: { frozen: true } });
    const [a] = await visitor.tokens();
    await visitor.send('DELETE', { path: `/${a?.id}` });
    await visitor.mint({ name: 'c' });
    const answer = await visitor.send('GET');
    expect(namesIn(answer)).toEqual(['a', 'b']);
    expect(answer.body.data.tokens[0].is_revoked).toBe(false);
  });

  it.each([
    [0, 'z'],
    [999, 'z'],
    [1_000, 'z'],
    [1_001, 'a'],
    [2_000, 'a'],
    [2_001, ''],
  ])('of %i ms ago shows a token as it was then', async (lagMs, names) => {
    const visitor = clocked.visit();
    const { id } = await visitor.mint({ name: 'a' });
    nowMs += 1_000;
    await visitor.send('PATCH', { path: `/${id}`, body: { name: 'z' } });
    nowMs += 1_000;
    await clocked.control.behave(visitor.workspace, { list: { lag_ms: lagMs } });
    expect(shownBy(await visitor.send('GET'))).toEqual({ names, total: names.length });
  });

  it.each<[string, ListBehaviour, Readonly<Record<string, string | number>>]>([
    ['honoured', { page_size: 2 }, { '': 'ab', 'page=1': 'ab', 'page=2': 'cd', 'page=3': 'e', 'page=4': '' }],
    [
      'of the size that is asked for, if it is smaller',
      { page_size: 3 },
      { 'page=2&limit=2': 'cd', 'page=2&limit=9': 'de' },
    ],
    ['clamped', { page_size: 2, pages: 'clamped' }, { 'page=3': 'e', 'page=4': 'e' }],
    ['ignored', { page_size: 2, pages: 'ignored' }, { 'page=2&limit=2': 'ab' }],
    ['refused', { page_size: 2, pages: 422 }, { '': 'ab', 'page=2': 422 }],
    ['a bad request', { page_size: 2, pages: 400 }, { 'page=2': 400 }],
    ['not there', {}, { 'page=2&limit=2': 'abcde' }],
  ])('whose pages are %s', async (_, list, answers) => {
    const visitor = await holding(['a', 'b', 'c', 'd', 'e'], { list });
    for (const [query, shown] of Object.entries(answers)) {
      const answer = await pageOf(visitor, query);
      expect([query, answer.status === 200 ? namesIn(answer).join('') : answer.status]).toEqual([query, shown]);
    }
  });
});

describe('a GET of one token', () => {
  it('answers 404 for what its view lacks, and the list has it', async () => {
    const visitor = await behaving({ get: { young_ms: 3_600_000 } });
    const { id } = await visitor.mint({ name: 'a' });
    expect((await visitor.send('GET', { path: `/${id}` })).status).toBe(404);
    expect(namesIn(await visitor.send('GET'))).toEqual(['a']);
    await control.behave(visitor.workspace, { get: { young_ms: 0 } });
    expect((await visitor.send('GET', { path: `/${id}` })).status).toBe(200);
  });

  it('of a frozen replica shows a revoked token alive', async () => {
    const visitor = await holding(['a'], { get: { frozen: true } });
    const [a] = await visitor.tokens();
    await visitor.send('DELETE', { path: `/${a?.id}` });
    expect((await visitor.send('GET', { path: `/${a?.id}` })).status).toBe(200);
  });
});

describe('a create', () => {
  it('mints something else than was asked, and says so', async () => {
    const mints = { scopes: ['api:full'], expires_at: '2020-01-01T00:00:00Z' };
    const visitor = await behaving({ mints });
    expect((await visitor.create()).body.data).toMatchObject(mints);
    expect((await visitor.tokens())[0]).toMatchObject(mints);
  });

  it('mints without the expiry that was asked for', async () => {
    const visitor = await behaving({ mints: { expires_at: null } });
    await visitor.mint({ expires_at: new Date(Date.now() + 60_000).toISOString() });
    expect((await visitor.tokens())[0]?.expires_at).toBeNull();
  });

  it('only says something else', async () => {
    const workspaceId = crypto.randomUUID();
    const says = { scopes: ['api:full'], expires_at: '', workspace_id: workspaceId };
    const visitor = await behaving({ answers: { create: { says } } });
    expect((await visitor.create()).body.data).toMatchObject(says);
    expect((await visitor.tokens())[0]).toMatchObject({ scopes: ['api:read'], workspace_uuid: visitor.workspace });
  });

  it('leaves fields out, in every form', async () => {
    const visitor = await behaving({ answers: { create: { lacks: ['scopes', 'expires_at', 'workspace_id'] } } });
    await control.fault({ match: { credential: visitor.credential }, form: ['permissions', 'token_object'] });
    const { token } = (await visitor.create()).body.data;
    expect(Object.keys(token)).toEqual(['id', 'uuid', 'name', 'token', 'token_prefix', 'created_at', 'is_active']);
    expect((await visitor.create()).body.data).not.toHaveProperty('scopes');
  });

  it('cuts a long name, as an update does', async () => {
    const visitor = await behaving({ names_max_chars: 4 });
    const { id } = await visitor.mint({ name: 'deploy' });
    expect(namesIn(await visitor.send('GET'))).toEqual(['depl']);
    await visitor.send('PATCH', { path: `/${id}`, body: { name: 'release' } });
    expect(namesIn(await visitor.send('GET'))).toEqual(['rele']);
  });
});

describe('a change', () => {
  it('PATCH is ignored, and the answer says so', async () => {
    const visitor = await holding(['a'], { update: 'ignored' });
    const [a] = await visitor.tokens();
    const answer = await visitor.send('PATCH', { path: `/${a?.id}`, body: { is_active: false } });
    expect([answer.status, answer.body.data.token.is_active]).toEqual([200, true]);
    expect(await visitor.tokens()).toEqual([a]);
  });

  it('DELETE is acknowledged, and nothing is done', async () => {
    const visitor = await holding(['a'], { revoke: 'ignored' });
    const [a] = await visitor.tokens();
    expect((await visitor.send('DELETE', { path: `/${a?.id}` })).status).toBe(200);
    expect(await visitor.tokens()).toEqual([a]);
    expect((await visitor.requests()).at(-1)?.committed).toBe(false);
  });

  it.each(['update', 'get', 'list'] as const)('the answer of %s says what it is told to', async (operation) => {
    const visitor = await holding(['a'], {
      answers: { [operation]: { says: { is_active: null }, lacks: ['scopes'] } },
    });
    const [a] = await visitor.tokens();
    const path = `/${a?.id}`;
    const answers = {
      update: (await visitor.send('PATCH', { path, body: { name: 'b' } })).body.data.token,
      get: (await visitor.send('GET', { path })).body.data.token,
      list: (await visitor.send('GET')).body.data.tokens[0],
    };
    for (const [name, token] of Object.entries(answers)) {
      const isTold = name === operation;
      expect([name, token.is_active, 'scopes' in token]).toEqual([name, isTold ? null : true, !isTold]);
    }
  });

  it('is carried out when it is told to be, long after its 504', async () => {
    const visitor = await holding(['a'], { late: { methods: ['PATCH'], answer: 504 } });
    const [a] = await visitor.tokens();
    const patch = async (name: string) => await visitor.send('PATCH', { path: `/${a?.id}`, body: { name } });
    expect([(await patch('b')).status, (await patch('c')).status]).toEqual([504, 504]);
    expect(namesIn(await visitor.send('GET'))).toEqual(['a']);
    expect(await control.carryOut(visitor.workspace)).toBe(2);
    expect(namesIn(await visitor.send('GET'))).toEqual(['c']);
    expect(await control.carryOut(visitor.workspace)).toBe(0);
    expect((await visitor.requests()).filter(({ committed, status }) => committed && status === 504)).toHaveLength(2);
  });

  it('is carried out by itself after a while, and answered never', async () => {
    const visitor = await holding(['a'], { late: { methods: ['DELETE'], answer: 'never', ms: 5 } });
    const [a] = await visitor.tokens();
    const client = new AbortController();
    const answer = visitor.send('DELETE', { path: `/${a?.id}`, signal: client.signal }).catch(() => 'given up');
    await expect.poll(async () => (await visitor.tokens())[0]?.is_revoked, { timeout: 20_000 }).toBe(true);
    client.abort();
    expect(await answer).toBe('given up');
  });
});

describe('rate limits', () => {
  it('apply without a word', async () => {
    const visitor = await behaving({ no_rate_headers: true });
    const names = (answer: Answered) => [...answer.headers.keys()].filter((name) => name.startsWith('x-ratelimit'));
    expect(names(await visitor.send('GET'))).toEqual([]);
    for (let sent = 1; sent < 100; sent += 1) await visitor.send('GET');
    const refused = await visitor.send('GET');
    expect([refused.status, names(refused).length]).toEqual([429, 3]);
  });
});
