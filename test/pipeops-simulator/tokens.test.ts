import { describe, expect, it } from 'vitest';
import type { Behaviour } from './faults-wire.ts';
import { startTestSimulator } from './harness.ts';

const clock = { ms: Date.parse('2026-03-01T12:00:00.250Z') };
const { control, visit } = await startTestSimulator({ now: () => clock.ms });

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const NOT_FOUND = { status: 404, body: { success: false, status: 'error', message: expect.any(String) } };

describe('the time of last use', () => {
  const usedAt = async ({ send }: Pick<ReturnType<typeof visit>, 'send'>, id: string) => [
    (await send('GET')).body.data.tokens.find((token: { id: string }) => token.id === id).last_used_at,
    (await send('GET', { path: `/${id}` })).body.data.token.last_used_at,
  ];
  const DAY_1 = '2026-02-01T00:00:00Z';
  const DAY_2 = '2026-02-02T00:00:00Z';

  it('is null until a token is used, and then what it was told or the time of the clock', async () => {
    const visitor = visit();
    const { id } = await visitor.mint();
    expect(await usedAt(visitor, id)).toEqual([null, null]);
    expect(await control.useToken(id, DAY_2)).toMatchObject({ id, last_used_at: DAY_2 });
    expect(await usedAt(visitor, id)).toEqual([DAY_2, DAY_2]);
    await control.useToken(id, DAY_1);
    expect(await usedAt(visitor, id)).toEqual([DAY_1, DAY_1]);
    await control.useToken(id, null);
    expect(await usedAt(visitor, id)).toEqual([null, null]);
    await control.useToken(id);
    expect(await usedAt(visitor, id)).toEqual(['2026-03-01T12:00:00.25Z', '2026-03-01T12:00:00.25Z']);
    // It is no change of the token, and no commit.
    expect(await visitor.tokens()).toMatchObject([
      { updated_at: '2026-03-01T12:00:00.25Z', commits: [{ operation: 'create' }] },
    ]);
    await expect(control.useToken('tok-0')).rejects.toThrow('404');
  });

  it.each<[string, Behaviour['usage'], string | null]>([
    ['switched off', 'off', null],
    ['frozen', 'frozen', DAY_1],
    ['going back', { back_ms: 24 * 3_600_000 }, DAY_1],
  ])('may be %s', async (_, usage, shown) => {
    const visitor = visit();
    const { id } = await visitor.mint();
    await control.useToken(id, DAY_1);
    await control.behave(visitor.workspace, usage === undefined ? {} : { usage });
    await control.useToken(id, DAY_2);
    expect(await usedAt(visitor, id)).toEqual([shown, shown]);
    await control.behave(visitor.workspace, null);
    expect(await usedAt(visitor, id)).toEqual([DAY_2, DAY_2]);
  });
});

describe('create', () => {
  it('answers flat, with the secret as a string', async () => {
    const { create, workspace } = visit();
    const { status, body } = await create({ expires_at: '2026-04-01T14:00:00+02:00' });
    expect([status, body]).toEqual([
      201,
      {
        success: true,
        message: expect.any(String),
        data: {
          id: expect.stringMatching(UUID),
          uuid: body.data.id,
          name: 'deploy',
          token: expect.stringMatching(/^sat_[0-9A-Za-z]{32,}$/),
          token_prefix: body.data.token.slice(0, 11),
          workspace_id: workspace,
          scopes: ['api:read'],
          expires_at: '2026-04-01T12:00:00Z',
          created_at: '2026-03-01T12:00:00.25Z',
          is_active: true,
        },
      },
    ]);
  });

  it('mints a second token when it is repeated', async () => {
    const { mint, tokens } = visit();
    const [first, second] = [await mint(), await mint()];
    expect(second.id).not.toBe(first.id);
    expect(second.token).not.toBe(first.token);
    expect(await tokens()).toHaveLength(2);
  });

  it('reads the description from metadata', async () => {
    const { mint, tokens } = visit();
    await mint({ metadata: { description: 'for the shop' } });
    expect(await tokens()).toMatchObject([{ description: 'for the shop' }]);
  });

  it('does not read the fields of the other body forms', async () => {
    const { mint, tokens } = visit();
    await mint({ scopes: null, permissions: ['api:full'], description: 'unread', expires_in: '30d' });
    expect(await tokens()).toMatchObject([{ scopes: [], description: null, expires_at: null }]);
  });

  it.each([
    ['sandbox', ['api:read', 'api:write']],
    ['mcp', ['api:read']],
    ['sdk', ['api:read', 'api:write']],
    ['platform', ['api:full']],
  ])('expands the preset %s where no scopes are given', async (preset, scopes) => {
    const { mint, tokens } = visit();
    await mint({ scopes: [], preset });
    await mint({ scopes: ['projects:read'], preset });
    expect((await tokens()).map((token) => token.scopes)).toEqual([scopes, ['projects:read']]);
  });

  it.each([
    ['no name', { name: undefined }, 'name'],
    ['an empty name', { name: '' }, 'name'],
    ['a name that is not text', { name: 7 }, 'name'],
    ['scopes that are no list', { scopes: 'api:read' }, 'scopes'],
    ['a scope of no scope’s shape', { scopes: ['api read'] }, 'scopes'],
    ['an unknown preset', { preset: 'nonesuch' }, 'preset'],
    ['no workspace in the body', { workspace_uuid: undefined }, 'workspace_uuid'],
    ['an expiry that is not RFC 3339', { expires_at: '30d' }, 'expires_at'],
    ['an expiry on no calendar', { expires_at: '2027-02-30T00:00:00Z' }, 'expires_at'],
    ['an expiry in the past', { expires_at: '2026-03-01T12:00:00Z' }, 'expires_at'],
    ['an expiry at this very moment', { expires_at: new Date(clock.ms).toISOString() }, 'expires_at'],
    ['metadata that is no object', { metadata: 'text' }, 'metadata'],
  ])('rejects %s', async (_, fields, field) => {
    const { create, tokens } = visit();
    const { status, body } = await create(fields);
    expect([status, body]).toEqual([
      422,
      { success: false, status: 'error', message: expect.any(String), errors: { [field]: [expect.any(String)] } },
    ]);
    expect(await tokens()).toEqual([]);
  });

  it.each(['', null])('takes an expiry of %j for none', async (expiry) => {
    const { mint, tokens } = visit();
    await mint({ expires_at: expiry });
    expect(await tokens()).toMatchObject([{ expires_at: null, is_expired: false }]);
  });

  it('rejects a body for another workspace than the query’s', async () => {
    const { create, tokens } = visit();
    expect((await create({ workspace_uuid: crypto.randomUUID() })).status).toBe(400);
    expect(await tokens()).toEqual([]);
  });

  it.each(['', '{', '[]', 'null', '"text"'])('rejects the body %j', async (body) => {
    expect((await visit().send('POST', { body })).status).toBe(400);
  });
});

describe('list', () => {
  it('holds every token of the workspace and its total, without secrets', async () => {
    const { send, mint, workspace } = visit();
    const { id, token } = await mint();
    await mint({ name: 'second' });
    const answer = await send('GET');
    expect(answer.body.data.total).toBe(2);
    expect(answer.body.data.tokens.map((listed: { name: string }) => listed.name)).toEqual(['deploy', 'second']);
    expect(answer.body.data.tokens[0]).toEqual({
      id,
      uuid: id,
      name: 'deploy',
      scopes: ['api:read'],
      token_prefix: token.slice(0, 11),
      workspace_id: workspace,
      is_revoked: false,
      is_expired: false,
      is_active: true,
      expires_at: null,
      created_at: '2026-03-01T12:00:00.25Z',
      updated_at: '2026-03-01T12:00:00.25Z',
      last_used_at: null,
    });
    expect(answer.text).not.toContain(token);
  });

  it('is empty for a workspace without tokens', async () => {
    expect((await visit().send('GET')).body).toEqual({
      success: true,
      message: expect.any(String),
      data: { tokens: [], total: 0 },
    });
  });

  it('marks what has expired', async () => {
    const { send, mint } = visit();
    await mint({ expires_at: '2026-03-01T12:30:00Z' });
    const isExpired = async (): Promise<boolean> => (await send('GET')).body.data.tokens[0].is_expired;
    expect(await isExpired()).toBe(false);
    clock.ms += 60 * 60 * 1000;
    expect(await isExpired()).toBe(true);
  });

  it('goes on showing what was revoked, marked', async () => {
    const { send, mint } = visit();
    const { id } = await mint();
    await send('DELETE', { path: `/${id}` });
    expect((await send('GET')).body.data).toMatchObject({ total: 1, tokens: [{ id, is_revoked: true }] });
  });
});

describe('get', () => {
  it('holds the token under data.token, without its secret', async () => {
    const { send, mint } = visit();
    const { id, token } = await mint({ metadata: { description: 'for the shop' } });
    const answer = await send('GET', { path: `/${id}` });
    expect(answer.status).toBe(200);
    expect(answer.body.data).toEqual({ token: expect.objectContaining({ id, uuid: id, description: 'for the shop' }) });
    expect(answer.text).not.toContain(token);
  });
});

describe('update', () => {
  it.each([
    ['name', { name: 'renamed' }, { name: 'renamed' }],
    ['description', { description: 'now told' }, { description: 'now told' }],
    ['permissions', { permissions: ['api:write'] }, { scopes: ['api:write'] }],
    ['scopes', { scopes: ['api:write'] }, { scopes: ['api:write'] }],
    ['both, of which scopes count', { scopes: ['api:write'], permissions: ['api:full'] }, { scopes: ['api:write'] }],
    ['suspension', { is_active: false }, { is_active: false, is_revoked: false }],
    ['unknown fields, which are ignored', { expires_at: '2030-01-01T00:00:00Z' }, { expires_at: null }],
    ['scopes of null, which say nothing', { scopes: null }, { scopes: ['api:read'] }],
  ])('takes %s', async (_, body, after) => {
    const { send, mint, tokens } = visit();
    const { id, token } = await mint();
    const answer = await send('PATCH', { path: `/${id}`, body });
    expect(answer).toMatchObject({ status: 200, body: { success: true, data: { token: { id, ...after } } } });
    expect(answer.text).not.toContain(token);
    expect(await tokens()).toMatchObject([{ id, name: 'deploy', scopes: ['api:read'], ...after }]);
  });

  it('resumes what was suspended', async () => {
    const { send, mint, tokens } = visit();
    const path = `/${(await mint()).id}`;
    await send('PATCH', { path, body: { is_active: false } });
    await send('PATCH', { path, body: { is_active: true } });
    expect(await tokens()).toMatchObject([{ is_active: true }]);
  });

  it('tells when', async () => {
    const { send, mint } = visit();
    const { id } = await mint();
    clock.ms += 5_000;
    const { token } = (await send('PATCH', { path: `/${id}`, body: { name: 'later' } })).body.data;
    expect(Date.parse(token.updated_at) - Date.parse(token.created_at)).toBe(5_000);
  });

  it.each([
    [{ name: '' }, 'name'],
    [{ is_active: 'no' }, 'is_active'],
    [{ scopes: ['?'] }, 'scopes'],
    [{ permissions: 'api:read' }, 'permissions'],
  ])('rejects %j', async (body, field) => {
    const { send, mint, tokens } = visit();
    const { id } = await mint();
    const answer = await send('PATCH', { path: `/${id}`, body });
    expect(answer).toMatchObject({ status: 422, body: { errors: { [field]: [expect.any(String)] } } });
    expect(await tokens()).toMatchObject([{ name: 'deploy', is_active: true, scopes: ['api:read'] }]);
  });

  it('rejects what is not JSON', async () => {
    const { send, mint } = visit();
    expect((await send('PATCH', { path: `/${(await mint()).id}`, body: '{"name":' })).status).toBe(400);
  });
});

describe('revoke', () => {
  it('is 200 without data, and from then on the token is 404', async () => {
    const { send, mint } = visit();
    const path = `/${(await mint()).id}`;
    const answer = await send('DELETE', { path });
    expect([answer.status, answer.body]).toEqual([200, { success: true, message: expect.any(String) }]);
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      expect(await send(method, { path, ...(method === 'PATCH' && { body: { name: 'x' } }) })).toMatchObject(NOT_FOUND);
    }
  });
});

it.each(['GET', 'PATCH', 'DELETE'])('%s: a token of another workspace is 404, like an unknown one', async (method) => {
  const [owner, stranger] = [visit(), visit()];
  const { id } = await owner.mint();
  const body = { ...(method === 'PATCH' && { body: { name: 'taken' } }) };
  const elsewhere = await stranger.send(method, { path: `/${id}`, ...body });
  const unknown = await stranger.send(method, { path: `/${crypto.randomUUID()}`, ...body });
  expect(elsewhere).toMatchObject(NOT_FOUND);
  expect(elsewhere.text).toBe(unknown.text);
  expect(await owner.tokens()).toMatchObject([{ name: 'deploy', is_revoked: false }]);
});
