import { beforeAll, describe, expect, it } from 'vitest';
import { failingBatches } from '../support/failing-batches.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';

// A mutation that policy refuses: nothing reaches PipeOps, and the trail knows before the caller does.

const PERMISSIONS = ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'];
const roles = {
  narrow: { permissions: PERMISSIONS, tokens: 'any', workspaces: ['*'], scopes: ['api:read'], maxTtl: '1h' },
  reader: { permissions: ['tokens:read'], tokens: 'any', workspaces: ['*'] },
};
const BEYOND = { name: 'deploy', scopes: ['api:write'] };

describe('a refused create', () => {
  it('does not reach PipeOps, and its row says why', async () => {
    const harness = await createHarness({ roles });
    const answer = await harness.send('POST', TOKENS, { jwt: await harness.jwtFor('narrow'), body: BEYOND });
    expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
    expect(await harness.upstream()).toEqual([]);
    expect(await harness.rows()).toMatchObject([
      { id: answer.body.event_id, status: 'failure', error_code: 'forbidden', outcome: '{"reason":"scopes"}' },
    ]);
  });

  it('is not told where it cannot be recorded', async () => {
    // The first batch is the attempt; the others are the tries to settle it.
    const { db } = failingBatches((batch) => batch > 1);
    const harness = await createHarness({ roles, db, runtime: { sleep: async () => {} } });
    const answer = await harness.send('POST', TOKENS, { jwt: await harness.jwtFor('narrow'), body: BEYOND });
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    expect(await harness.upstream()).toEqual([]);
    expect(await harness.rows()).toMatchObject([{ status: 'attempted' }]);
  });
});

describe('a refusal names its reason, where that follows from the role alone', () => {
  const message = (why: string) =>
    `None of your roles allows the whole of this request: ${why}. GET /api/v1/whoami shows what they allow.`;
  let harness: Harness;
  let inReach: string;
  beforeAll(async () => {
    harness = await createHarness({ roles, policy: { presets: { sdk: ['api:read'] } } });
    inReach = (await harness.mint('in-reach')).id;
  });

  it.each([
    ['a scope', BEYOND, 'scopes', 'role "narrow" allows at most api:read'],
    [
      'a lifetime',
      { name: 'x', scopes: ['api:read'], expires_in: '2d' },
      'lifetime',
      'role "narrow" allows at most 1 hour',
    ],
    ['a preset', { name: 'x', preset: 'mcp' }, 'preset_unknown', 'role "narrow" knows the presets sdk'],
  ])('%s', async (_case, body, reason, why) => {
    const answer = await harness.send('POST', TOKENS, { jwt: await harness.jwtFor('narrow'), body });
    expect([answer.status, answer.body.message]).toEqual([403, message(why)]);
    expect((await harness.rows()).at(-1)).toMatchObject({
      id: answer.body.event_id,
      outcome: JSON.stringify({ reason }),
    });
  });

  it('scopes of an update', async () => {
    const jwt = await harness.jwtFor('narrow');
    const answer = await harness.send('PATCH', `${TOKENS}/${inReach}`, { jwt, body: { scopes: ['api:write'] } });
    expect([answer.status, answer.body.message]).toEqual([403, message('role "narrow" allows at most api:read')]);
  });

  it('a permission', async () => {
    const answer = await harness.send('POST', TOKENS, { jwt: await harness.jwtFor('reader'), body: BEYOND });
    expect([answer.status, answer.body.message]).toEqual([
      403,
      'None of your roles has the permission tokens:create. GET /api/v1/whoami shows what they allow.',
    ]);
  });

  it('but not what the token is that a resume depends on', async () => {
    const { id } = await harness.control.insertToken({
      workspace_uuid: harness.workspace,
      name: 'by hand',
      scopes: ['api:write'],
    });
    const jwt = await harness.jwtFor('narrow');
    const answer = await harness.send('PATCH', `${TOKENS}/${id}`, { jwt, body: { is_active: true } });
    expect([answer.status, answer.body.message]).toEqual([
      403,
      'None of your roles allows the whole of this request (tokens:update). GET /api/v1/whoami shows what they allow.',
    ]);
  });
});

describe('an update is judged on the token that it results in', () => {
  let harness: Harness;
  let broad: string;
  beforeAll(async () => {
    harness = await createHarness({ roles });
    const inserted = { workspace_uuid: harness.workspace, name: 'by hand', scopes: ['api:write'] };
    broad = (await harness.control.insertToken(inserted)).id;
  });

  it.each([
    ['renaming it needs no more than reach', { name: 'renamed' }, 200],
    ['suspending it likewise', { is_active: false }, 200],
    ['resuming it is judged like minting it', { is_active: true }, 403],
    ['resuming it under another name too', { name: 'again', is_active: true }, 403],
    ['scopes beyond the ceiling are refused', { scopes: ['api:read', 'api:write'] }, 403],
    ['a token that lives too long gets no scopes either', { scopes: ['api:read'] }, 403],
  ])('%s', async (_case, body, status) => {
    const jwt = await harness.jwtFor('narrow');
    const before = (await harness.upstream()).filter(({ method }) => method === 'PATCH').length;
    const answer = await harness.send('PATCH', `${TOKENS}/${broad}`, { jwt, body });
    expect(answer.status).toBe(status);
    const sent = (await harness.upstream()).filter(({ method }) => method === 'PATCH').length - before;
    expect(sent).toBe(status === 200 ? 1 : 0);
  });
});

describe('a caller without the permission', () => {
  it.each([
    ['an id', 'tok-1', 'tok-1'],
    ['no id', encodeURIComponent('../x'), null],
    ['a secret in its place', 'sat_0123456789abcdef', null],
  ])('is recorded with %s of its path, and its body is not read', async (_case, id, kept) => {
    const harness = await createHarness({ roles });
    const query = `workspace_uuid=${harness.workspace}`;
    const jwt = await harness.jwtFor('reader');
    const answer = await harness.send('PATCH', `${TOKENS}/${id}?${query}`, { jwt, rawBody: '{' });
    expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
    expect(await harness.rows()).toMatchObject([
      { action: 'service_account_token.update', status: 'failure', token_id: kept, outcome: '{"reason":"permission"}' },
    ]);
    expect(await harness.upstream()).toEqual([]);
  });
});

it('a denial is not told where it cannot be recorded', async () => {
  const { db } = failingBatches(() => true);
  const harness = await createHarness({ roles, db });
  const answer = await harness.send('POST', TOKENS, { jwt: await harness.jwtFor('reader'), body: BEYOND });
  expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
});

it('a mutation outlives its caller: all of it is handed to waitUntil', async () => {
  const kept: Promise<unknown>[] = [];
  const harness = await createHarness({ runtime: { background: (work) => void kept.push(work) } });
  const { id } = await harness.mint();
  expect(await Promise.all(kept)).toContainEqual(expect.objectContaining({ value: expect.objectContaining({ id }) }));
});
