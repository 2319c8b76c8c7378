import { beforeAll, describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';

// Which ids a caller can act on, and what finding that out asks of PipeOps.

const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const PERMISSIONS = ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'];
const every = { permissions: PERMISSIONS, scopes: ['*'], workspaces: ['*'] };
const roles = {
  owner: { ...every, tokens: 'own' },
  elsewhere: { ...every, tokens: 'any', workspaces: [ELSEWHERE] },
};
const OPERATIONS = [
  ['GET', undefined],
  ['PATCH', { name: 'renamed' }],
  ['DELETE', undefined],
] as const;

describe.each(OPERATIONS)('%s', (method, body) => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await createHarness({ roles });
  });
  const send = async (id: string, role: string | readonly string[], sentBy = harness) =>
    await sentBy.send(method, `${TOKENS}/${id}`, {
      jwt: await sentBy.jwtFor('someone', { role }),
      ...(body !== undefined && { body }),
    });

  it.each([
    ['only its own tokens', 'owner'],
    ['any token of other workspaces only', ['owner', 'elsewhere']],
  ])('asks PipeOps nothing about an unknown id for a caller that reaches %s', async (_case, role) => {
    const fresh = await createHarness({ roles });
    const answer = await send('no-such-token', role, fresh);
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    expect(await fresh.upstream()).toEqual([]);
  });

  it('reaches a token of the workspace that somebody made elsewhere', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    expect((await send(id, 'admin')).status).toBe(200);
  });

  it('takes absence from a whole list for absence', async () => {
    const answer = await send('no-such-token', 'admin');
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    expect((await harness.upstream()).filter((sent) => sent.token_id === 'no-such-token')).toEqual([]);
  });

  it('asks for the token itself where the list is not whole', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    await harness.control.fault({ partial: 0, match: { credential: harness.credential } });
    expect((await send(id, 'admin')).status).toBe(200);
  });

  it('does not believe PipeOps that a token of another workspace is one of this', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    const match = { credential: harness.credential };
    const token = { uuid: id, name: 'another’s', workspace_id: ELSEWHERE };
    const named = { ...match, path_contains: id };
    await harness.control.fault({ body: { success: true, data: { token } }, match: named }, { partial: 0, match });
    const answer = await send(id, 'admin');
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    expect(await harness.upstreamTokens()).toContainEqual(
      expect.objectContaining({ id, name: 'by hand', is_revoked: false }),
    );
  });

  it('answers what PipeOps does not tell as a failure of PipeOps, never as absence', async () => {
    await harness.control.fault({ status: 503, times: 3, match: { credential: harness.credential } });
    const answer = await send('no-such-token', 'admin');
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect(answer.body.code).not.toBe('not_found');
  });
});

it('a list shows what each single role shows, and no more', async () => {
  const harness = await createHarness({ roles });
  const mine = await harness.mint('mine', await harness.jwtFor('someone', { role: 'owner' }));
  await harness.mint('the administrator’s');
  await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
  const listFor = async (role: string | readonly string[]) => {
    const answer = await harness.send('GET', TOKENS, { jwt: await harness.jwtFor('someone', { role }) });
    return answer.body.data.tokens.map(({ id }: { id: string }) => id);
  };
  expect(await listFor('owner')).toEqual([mine.id]);
  expect(await listFor(['owner', 'elsewhere'])).toEqual([mine.id]);
  expect(await listFor('admin')).toHaveLength(3);
});
