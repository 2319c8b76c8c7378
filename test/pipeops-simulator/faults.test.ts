import { describe, expect, it } from 'vitest';
import type { Fault, FaultForm } from './faults-wire.ts';
import { startTestSimulator } from './harness.ts';

const { control, visit } = await startTestSimulator({ limits: false });

type Visit = ReturnType<typeof visit>;

/** A visit whose next request meets this fault. */
async function failing(fault: Fault): Promise<Visit> {
  const visitor = visit();
  await control.fault({ ...fault, match: { credential: visitor.credential } });
  return visitor;
}

/** What became of the one create of a visit. */
const traces = async ({ requests, tokens }: Visit) => ({
  minted: (await tokens()).length,
  received: (await requests()).map(({ committed, status, token_id }) => ({
    committed,
    status,
    known: token_id !== null,
  })),
});
const UNTOUCHED = { committed: false, known: false };
const COMMITTED = { committed: true, known: true };

/** A machine under load is slow; what is waited for here comes. */
const PATIENCE = { timeout: 20_000 };

/** Sends a create and gives up on it once PipeOps has it; gives what came of it for the client. */
async function giveUp(visitor: Visit): Promise<'answered' | 'given up'> {
  const client = new AbortController();
  const answer = visitor.create({}, { signal: client.signal }).then(
    () => 'answered' as const,
    () => 'given up' as const,
  );
  await expect.poll(visitor.requests, PATIENCE).toHaveLength(1);
  client.abort();
  return await answer;
}

describe('an answer in PipeOps’ place', () => {
  const REPLACEMENTS: readonly [string, Fault, number][] = [
    ['a status', { status: 503 }, 503],
    ['a body', { body: { data: 1 } }, 200],
    ['a page', { html: true }, 200],
    ['a redirect', { redirect: 'https://elsewhere.example/' }, 302],
  ];

  it.each(REPLACEMENTS)('%s: nothing happens, then all is well again', async (_, fault, status) => {
    const visitor = await failing(fault);
    expect((await visitor.create()).status).toBe(status);
    expect(await traces(visitor)).toEqual({ minted: 0, received: [{ ...UNTOUCHED, status }] });
    expect((await visitor.create()).status).toBe(201);
  });

  it.each(REPLACEMENTS)('%s: with commit, all has happened', async (_, fault, status) => {
    const visitor = await failing({ ...fault, commit: true });
    expect((await visitor.create()).status).toBe(status);
    expect(await traces(visitor)).toEqual({ minted: 1, received: [{ ...COMMITTED, status }] });
  });

  it('is PipeOps’ error envelope for a status alone', async () => {
    const { send } = await failing({ status: 500, headers: { 'Retry-After': '17' } });
    const answer = await send('GET');
    expect(answer.body).toEqual({ success: false, status: 'error', message: expect.any(String) });
    expect(answer.headers.get('Retry-After')).toBe('17');
  });

  it('sends text as it is', async () => {
    const answer = await (await failing({ status: 502, body: 'Bad Gateway' })).send('GET');
    expect([answer.status, answer.text]).toEqual([502, 'Bad Gateway']);
    expect(answer.headers.get('Content-Type')).toMatch(/^text\/plain/);
  });

  it('sends anything else as JSON, whatever its headers say', async () => {
    const headers = { 'content-type': 'text/html' };
    const answer = await (await failing({ status: 418, body: { a: [1] }, headers })).send('GET');
    expect([answer.status, answer.body]).toEqual([418, { a: [1] }]);
    expect(answer.headers.get('Content-Type')).toBe('text/html');
  });

  it('is a page that calls itself HTML, with another status too', async () => {
    const answer = await (await failing({ html: true, status: 502 })).send('GET');
    expect(answer.status).toBe(502);
    expect(answer.headers.get('Content-Type')).toMatch(/^text\/html/);
    expect(answer.text).toMatch(/^<!doctype html>/);
  });

  it('is a redirect to where it says, by another status too', async () => {
    const answer = await (await failing({ redirect: 'https://elsewhere.example/x', status: 307 })).send('GET');
    expect(answer.status).toBe(307);
    expect(answer.headers.get('Location')).toBe('https://elsewhere.example/x');
  });

  it('may be a status that has no body', async () => {
    expect(await (await failing({ status: 204, body: '' })).send('GET')).toMatchObject({ status: 204, text: '' });
  });

  it('does not look at the credential', async () => {
    const visitor = visit();
    await control.fault({ status: 500, match: { workspace_uuid: visitor.workspace } });
    expect((await visitor.send('GET', { credential: null })).status).toBe(500);
  });
});

describe('headers alone', () => {
  it('go with the true answer', async () => {
    const visitor = await failing({ headers: { 'Set-Cookie': 'a=b' } });
    const answer = await visitor.create();
    expect(answer.status).toBe(201);
    expect(answer.headers.get('Set-Cookie')).toBe('a=b');
  });
});

describe('a dropped connection', () => {
  it.each([
    ['before_commit', { minted: 0, received: [{ ...UNTOUCHED, status: null }] }],
    ['after_commit', { minted: 1, received: [{ ...COMMITTED, status: null }] }],
  ] as const)('%s', async (drop, expected) => {
    const visitor = await failing({ drop });
    await expect(visitor.create()).rejects.toThrow('fetch failed');
    expect(await traces(visitor)).toEqual(expected);
    expect((await visitor.send('GET')).status).toBe(200);
  });

  it.each(['before_commit', 'after_commit'] as const)('%s is a reset, not an end', async (drop) => {
    const visitor = await failing({ drop });
    const error: unknown = await visitor.create().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ cause: { code: 'ECONNRESET' } });
  });

  it('may break in the middle of the body', async () => {
    const visitor = await failing({ drop: 'after_commit', truncate_body: true });
    await expect(visitor.create()).rejects.toThrow('terminated');
    expect(await traces(visitor)).toEqual({ minted: 1, received: [{ ...COMMITTED, status: 201 }] });
  });
});

describe('half a JSON', () => {
  it('is a whole answer to HTTP, begins like the true one, and has had its effect', async () => {
    const visitor = await failing({ truncate_body: true });
    const answer = await visitor.create();
    expect([answer.status, answer.body]).toEqual([201, null]);
    expect(answer.text).toMatch(/^\{"success":true,/);
    expect(answer.headers.get('Content-Type')).toMatch(/^application\/json/);
    expect(await traces(visitor)).toEqual({ minted: 1, received: [{ ...COMMITTED, status: 201 }] });
  });
});

describe('no answer', () => {
  it.each([
    ['nothing happens', {}, { minted: 0, received: [{ ...UNTOUCHED, status: null }] }],
    ['with commit, all has happened', { commit: true }, { minted: 1, received: [{ ...COMMITTED, status: null }] }],
  ])('for ever: %s', async (_, commit, expected) => {
    const visitor = await failing({ delay_ms: -1, ...commit });
    expect(await giveUp(visitor)).toBe('given up');
    expect(await traces(visitor)).toEqual(expected);
  });

  it('may begin and never end', async () => {
    const visitor = await failing({ delay_ms: -1, truncate_body: true });
    expect(await giveUp(visitor)).toBe('given up');
    expect(await traces(visitor)).toEqual({ minted: 1, received: [{ ...COMMITTED, status: 201 }] });
  });

  it.each([
    ['nothing has happened', {}, 0],
    ['with commit, all has happened', { commit: true }, 1],
  ])('for a while: until then, %s', async (_, commit, minted) => {
    const visitor = await failing({ delay_ms: 60 * 60 * 1000, ...commit });
    expect(await giveUp(visitor)).toBe('given up');
    expect((await traces(visitor)).minted).toBe(minted);
  });

  it.each([{}, { commit: true }])('for a while: then the true answer, once (%j)', async (commit) => {
    const visitor = await failing({ delay_ms: 20, ...commit });
    expect((await visitor.create()).status).toBe(201);
    expect(await traces(visitor)).toEqual({ minted: 1, received: [{ ...COMMITTED, status: 201 }] });
  });

  it('for a while: what happens late happens although the client is gone', async () => {
    const visitor = await failing({ delay_ms: 100 });
    await giveUp(visitor);
    await expect.poll(visitor.tokens, PATIENCE).toHaveLength(1);
  });

  it('for a while, then what was injected', async () => {
    const visitor = await failing({ delay_ms: 20, status: 503 });
    expect((await visitor.create()).status).toBe(503);
    expect((await traces(visitor)).minted).toBe(0);
  });
});

/** Asks for one of the other forms; gives the answer's `data` too. */
async function ask(form: FaultForm | readonly FaultForm[], method: string, withBody = {}) {
  const visitor = visit();
  const { id } = await visitor.mint({ metadata: { description: 'told' } });
  await control.fault({ form, match: { credential: visitor.credential } });
  const isCollection = method === 'LIST' || method === 'POST';
  const sent = { path: isCollection ? '' : `/${id}`, ...withBody };
  const answer =
    method === 'POST' ? await visitor.create() : await visitor.send(method === 'LIST' ? 'GET' : method, sent);
  return { id, answer, data: answer.body?.data };
}

const idKeys = (token: object): readonly string[] =>
  Object.keys(token).filter((key) => ['id', 'uuid', 'token_uuid'].includes(key));

describe('the other answer forms', () => {
  it('token_object: data.token is an object that holds token', async () => {
    const { data } = await ask('token_object', 'POST');
    expect(Object.keys(data)).toEqual(['token']);
    expect(data.token).toMatchObject({ name: 'deploy', token: expect.stringMatching(/^sat_/) });
  });

  it.each([
    ['uuid_only', ['uuid']],
    ['id_only', ['id']],
    ['token_uuid', ['token_uuid']],
  ] as const)('%s: on every operation', async (form, keys) => {
    expect(idKeys((await ask(form, 'POST')).data)).toEqual(keys);
    expect(idKeys((await ask(form, 'LIST')).data.tokens[0])).toEqual(keys);
    expect(idKeys((await ask(form, 'GET')).data.token)).toEqual(keys);
    expect(idKeys((await ask(form, 'PATCH', { body: { name: 'x' } })).data.token)).toEqual(keys);
  });

  it('permissions: in place of scopes', async () => {
    for (const token of [(await ask('permissions', 'POST')).data, (await ask('permissions', 'GET')).data.token]) {
      expect(token).toMatchObject({ permissions: ['api:read'] });
      expect(token).not.toHaveProperty('scopes');
    }
  });

  it('pagination_total: in place of total', async () => {
    const { data } = await ask('pagination_total', 'LIST');
    expect(data).toEqual({ tokens: [expect.anything()], pagination: { total: 1 } });
  });

  it('flat_get: data is the token itself, on update too', async () => {
    const got = await ask('flat_get', 'GET');
    expect(got.data).toMatchObject({ id: got.id, name: 'deploy' });
    expect((await ask('flat_get', 'PATCH', { body: { name: 'x' } })).data).toMatchObject({ name: 'x' });
  });

  it('no_content: 204 on revoke, without a body', async () => {
    const { answer } = await ask('no_content', 'DELETE');
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(answer.headers.has('Content-Length')).toBe(false);
  });

  it('space_times: another form, and "" for none', async () => {
    const { token } = (await ask('space_times', 'GET')).data;
    expect(token.created_at).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    expect([token.expires_at, token.last_used_at]).toEqual(['', '']);
  });

  it('may be several at once', async () => {
    const { data, id } = await ask(['flat_get', 'id_only'], 'GET');
    expect(data).toMatchObject({ id });
    expect(data).not.toHaveProperty('uuid');
  });
});

it('a partial list has no further pages, until the workspace is listed again', async () => {
  const visitor = await failing({ partial: 0 });
  const page = async () =>
    await visitor.send('GET', { path: `?workspace_uuid=${visitor.workspace}&page=2`, workspace: null });
  expect([(await visitor.send('GET')).status, (await page()).status, (await page()).status]).toEqual([200, 400, 400]);
  expect([(await visitor.send('GET')).status, (await page()).status]).toEqual([200, 200]);
});

it('a partial list shows its first tokens and the true total', async () => {
  const visitor = visit();
  for (const name of ['a', 'b', 'c']) await visitor.mint({ name });
  await control.fault({ partial: 2, match: { credential: visitor.credential } });
  expect((await visitor.send('GET')).body.data).toMatchObject({ total: 3, tokens: [{ name: 'a' }, { name: 'b' }] });
  expect((await visitor.send('GET')).body.data.tokens).toHaveLength(3);
});
