import { describe, expect, it } from 'vitest';
import { startTestSimulator } from './harness.ts';
import { createRequestLog } from './request-log.ts';

const { control, url, visit } = await startTestSimulator();

describe('the report of received requests', () => {
  it('holds all there is to know of each, in order', async () => {
    const { create, send, workspace, credential, requests } = visit();
    const { id } = (await create({ name: 'ci' }, { eventId: 'event-1' })).body.data;
    await send('DELETE', { path: `/${id}`, eventId: 'event-2' });
    expect(await requests()).toEqual([
      {
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        method: 'POST',
        path: '/api/v1/service-account-tokens',
        query: { workspace_uuid: workspace },
        headers: expect.objectContaining({ authorization: `Bearer ${credential}`, 'x-request-id': 'event-1' }),
        body: { name: 'ci', workspace_uuid: workspace, scopes: ['api:read'] },
        event_id: 'event-1',
        committed: true,
        status: 201,
        workspace_uuid: workspace,
        token_id: id,
        client_id: null,
      },
      expect.objectContaining({
        method: 'DELETE',
        path: `/api/v1/service-account-tokens/${id}`,
        body: null,
        event_id: 'event-2',
        committed: true,
        status: 200,
        token_id: id,
      }),
    ]);
  });

  it.each([
    ['a read', 'GET', '', undefined],
    ['a refused credential', 'POST', '', { credential: 'sat_0123456789abcdef' }],
    ['an invalid create', 'POST', '', { body: {} }],
    ['an update of nothing', 'PATCH', '/tok-0', { body: {} }],
    ['a revoke of nothing', 'DELETE', '/tok-0', undefined],
  ])('does not call %s committed', async (_, method, path, sent) => {
    const { send, requests } = visit();
    const { status } = await send(method, { path, ...sent });
    expect(await requests()).toMatchObject([{ committed: false, status }]);
  });

  it('holds a body that is not JSON as its text', async () => {
    const { send, requests } = visit();
    await send('POST', { body: '{"half":' });
    expect(await requests()).toMatchObject([{ body: '{"half":', status: 400 }]);
  });

  it('is filtered by workspace, event, method and credential', async () => {
    const { create, send, workspace, credential } = visit();
    const other = visit();
    await create({}, { eventId: 'event-a' });
    await send('GET', { eventId: 'event-b' });
    await other.send('GET', { workspace, eventId: 'event-c' });
    const events = async (filter: object) =>
      (await control.requests({ workspace_uuid: workspace, ...filter })).map(({ event_id }) => event_id);
    expect(await events({})).toEqual(['event-a', 'event-b', 'event-c']);
    expect(await events({ event_id: 'event-b' })).toEqual(['event-b']);
    expect(await events({ method: 'GET' })).toEqual(['event-b', 'event-c']);
    expect(await events({ credential })).toEqual(['event-a', 'event-b']);
    expect(await events({ credential: other.credential, method: 'POST' })).toEqual([]);
  });

  it('is cleared for one workspace without touching another', async () => {
    const [mine, other] = [visit(), visit()];
    await mine.send('GET');
    await other.send('GET');
    await control.clearRequests({ workspace_uuid: mine.workspace });
    expect(await mine.requests()).toEqual([]);
    expect(await other.requests()).toHaveLength(1);
  });

  it('does not hold the control endpoint’s own', async () => {
    await control.tokens();
    expect((await control.requests()).filter(({ path }) => path.startsWith('/__control'))).toEqual([]);
  });

  it('drops the oldest beyond its room', () => {
    const log = createRequestLog(3, 1);
    const base = { at: '', method: 'GET', path: '/', query: {}, headers: {}, body: null, committed: false };
    for (const event_id of ['1', '2', '3', '4', '5', '6']) {
      log.add({ ...base, event_id, status: null, workspace_uuid: null, token_id: null, client_id: null });
      expect(log.list({}).length).toBeLessThanOrEqual(3);
    }
    expect(log.list({}).map(({ event_id }) => event_id)).toEqual(['4', '5', '6']);
  });
});

describe('the true tokens', () => {
  it('come with their secrets and with who changed them', async () => {
    const { create, send, workspace, tokens } = visit();
    const { id, token } = (await create({}, { eventId: 'event-1' })).body.data;
    await send('PATCH', { path: `/${id}`, body: { name: 'renamed' }, eventId: 'event-2' });
    await send('DELETE', { path: `/${id}`, eventId: 'event-3' });
    const at = expect.any(String);
    expect(await tokens()).toMatchObject([
      {
        id,
        workspace_uuid: workspace,
        name: 'renamed',
        secret: token,
        token_prefix: token.slice(0, 11),
        is_revoked: true,
        commits: [
          { at, operation: 'create', event_id: 'event-1' },
          { at, operation: 'update', event_id: 'event-2' },
          { at, operation: 'revoke', event_id: 'event-3' },
        ],
      },
    ]);
  });

  it('are those of one workspace, or all', async () => {
    const [mine, other] = [visit(), visit()];
    const [first, second] = [await mine.mint(), await other.mint()];
    expect((await mine.tokens()).map(({ id }) => id)).toEqual([first.id]);
    expect((await control.tokens()).map(({ id }) => id)).toEqual(expect.arrayContaining([first.id, second.id]));
  });

  it('may be made by somebody else, with an id and an expiry of their own', async () => {
    const { send, workspace } = visit();
    const id = `tok-${crypto.randomUUID()}`;
    const expires_at = '2020-01-01T00:00:00Z';
    const made = await control.insertToken({
      workspace_uuid: workspace,
      name: 'by hand',
      scopes: ['x:y'],
      expires_at,
      id,
    });
    expect(made).toMatchObject({ id, name: 'by hand', is_expired: true, commits: [{ event_id: null }] });
    const { token } = (await send('GET', { path: `/${id}` })).body.data;
    expect(token).toMatchObject({ id, scopes: ['x:y'], is_expired: true, expires_at });
    await expect(control.insertToken({ workspace_uuid: workspace, name: 'again', id })).rejects.toThrow('409');
  });

  it('may be revoked by hand, once', async () => {
    const { send, mint } = visit();
    const { id } = await mint();
    await control.revokeByHand(id);
    expect((await send('DELETE', { path: `/${id}` })).status).toBe(404);
    await expect(control.revokeByHand(id)).rejects.toThrow('404');
  });
});

describe('faults', () => {
  it('are cleared for one workspace without touching another', async () => {
    const [mine, other] = [visit(), visit()];
    for (const { workspace } of [mine, other])
      await control.fault({ status: 500, match: { workspace_uuid: workspace } });
    await control.clearFaults({ workspace_uuid: mine.workspace });
    expect((await mine.send('GET')).status).toBe(200);
    expect((await other.send('GET')).status).toBe(500);
  });

  it('may be added several at once', async () => {
    const { workspace, send } = visit();
    const match = { workspace_uuid: workspace };
    await control.fault({ status: 500, match }, { status: 503, match });
    expect([(await send('GET')).status, (await send('GET')).status]).toEqual([500, 503]);
  });

  it.each([
    ['an unknown key', { statsu: 500 }],
    ['an unknown key of the match', { match: { workspace: 'w' }, status: 500 }],
    ['no times', { times: 0, status: 500 }],
    ['an unknown form', { form: 'xml' }],
    ['a status that is none', { status: 99 }],
    ['a drop before the commit that commits', { drop: 'before_commit', commit: true }],
    ['half an answer of a connection dropped before', { drop: 'before_commit', truncate_body: true }],
  ])('are refused with %s', async (_, fault) => {
    const body = JSON.stringify({ faults: [fault] });
    const answer = await fetch(`${url}/__control/faults`, { method: 'POST', body });
    expect(answer.status).toBe(400);
    expect((await visit().send('GET')).status).toBe(200);
  });
});

it.each([
  ['GET', '/nonesuch'],
  ['PUT', '/faults'],
  ['DELETE', '/tokens/unknown'],
])('%s %s is no control', async (method, path) => {
  expect((await fetch(`${url}/__control${path}`, { method })).status).toBe(404);
});

it('says what it does not understand', async () => {
  const answer = await fetch(`${url}/__control/sessions/ended`, { method: 'POST', body: 'x' });
  expect([answer.status, await answer.text()]).toEqual([400, 'not JSON']);
});
