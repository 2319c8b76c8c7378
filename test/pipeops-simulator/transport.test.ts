import { describe, expect, it } from 'vitest';
import { session, startTestSimulator } from './harness.ts';

const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const { control, url, visit } = await startTestSimulator({ now: () => NOW_MS });
const unlimited = await startTestSimulator({ limits: false });
const nowSeconds = NOW_MS / 1000;

const envelope = { success: false, status: 'error', message: expect.any(String) };

const OPERATIONS = [
  ['POST', ''],
  ['GET', ''],
  ['GET', '/tok-1'],
  ['PATCH', '/tok-1'],
  ['DELETE', '/tok-1'],
] as const;

describe.each(OPERATIONS)('%s %s', (method, path) => {
  it.each([
    ['no credential', null, 401],
    ['a service token', 'sat_0123456789abcdefghijklmnopqrstuvwxyz', 403],
    ['what is not a JWT', 'not-a-jwt', 401],
    ['three parts that are not a JWT', 'a.b.c', 401],
    ['a session that has expired', session({ exp: nowSeconds }), 401],
  ])('refuses %s', async (_, credential, status) => {
    const { send } = visit();
    const answer = await send(method, { path, credential, ...(method !== 'GET' && { body: { name: 'x' } }) });
    expect([answer.status, answer.body]).toEqual([status, envelope]);
  });

  it('answers 419 once the session has ended, although the JWT has not', async () => {
    const { send, credential } = visit();
    await control.endSession(credential);
    expect(await send(method, { path })).toMatchObject({ status: 419, body: envelope });
  });

  it('requires workspace_uuid in the query', async () => {
    const { send, workspace } = visit();
    const body = { name: 'deploy', workspace_uuid: workspace, scopes: [] };
    const answer = await send(method, { path, workspace: null, ...(method !== 'GET' && { body }) });
    expect(answer).toMatchObject({ status: 400, body: envelope });
  });
});

it('accepts a session without an end, and one second before its end', async () => {
  const { send } = visit();
  expect((await send('GET', { credential: session() })).status).toBe(200);
  expect((await send('GET', { credential: session({ exp: nowSeconds + 1 }) })).status).toBe(200);
});

it('tells a service token what it may not do', async () => {
  const { send } = visit();
  expect((await send('GET', { credential: 'sat_0123456789abcdef' })).body.message).toContain('Service tokens cannot');
});

describe('rate limits', () => {
  it('count down, and end in 429 with Retry-After', async () => {
    const { send } = visit();
    const first = await send('GET');
    expect(Object.fromEntries(first.headers)).toMatchObject({
      'x-ratelimit-limit': '100',
      'x-ratelimit-remaining': '99',
      'x-ratelimit-reset': String(nowSeconds + 60),
    });
    for (let sent = 1; sent < 100; sent += 1) await send('GET');
    const refused = await send('GET');
    expect(refused).toMatchObject({ status: 429, body: envelope });
    expect(refused.headers.get('Retry-After')).toBe('60');
    expect(refused.headers.get('X-RateLimit-Remaining')).toBe('0');
  });

  it('do nothing for what is refused', async () => {
    const { send, create, tokens } = visit();
    for (let sent = 0; sent < 100; sent += 1) await send('GET');
    expect((await create()).status).toBe(429);
    expect(await tokens()).toEqual([]);
  });

  it('are not used up by the control endpoint or by refused credentials', async () => {
    const { send, requests } = visit();
    await requests();
    await send('GET', { credential: session({ exp: 1 }) });
    expect((await send('GET')).headers.get('X-RateLimit-Remaining')).toBe('99');
  });

  it('can be turned off', async () => {
    const { send } = unlimited.visit();
    for (let sent = 0; sent < 100; sent += 1) await send('GET');
    const answer = await send('GET');
    expect(answer.status).toBe(200);
    expect(answer.headers.has('X-RateLimit-Limit')).toBe(false);
  });
});

describe('routes', () => {
  it.each([
    ['GET', '/tok-1/rotate', 404],
    ['GET', '/', 404],
    ['GET', '/%zz', 404],
    ['PUT', '', 405],
    ['PUT', '/tok-1', 404],
  ])('%s %s is none', async (method, path, status) => {
    expect(await visit().send(method, { path })).toMatchObject({ status, body: envelope });
  });

  it('do not know the rest of PipeOps', async () => {
    const headers = { Authorization: `Bearer ${session()}` };
    expect((await fetch(`${url}/api/v1/projects`, { headers })).status).toBe(404);
  });

  it('list the workspaces that hold a token, for the SDK to take the first', async () => {
    const { workspace, mint, credential } = visit();
    await mint();
    const answer = await fetch(`${url}/workspace`, { headers: { Authorization: `Bearer ${credential}` } });
    const body: { data: { workspaces: unknown[] } } = JSON.parse(await answer.text());
    expect(body.data.workspaces).toContainEqual({ id: workspace, uuid: workspace, name: workspace });
  });
});
