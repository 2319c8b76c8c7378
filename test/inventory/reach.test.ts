import { beforeEach, describe, expect, it } from 'vitest';
import type { Call, UpstreamToken } from '../../src/pipeops/types.ts';
import { err, ok } from '../../src/kit/result.ts';
import { findUpstream } from '../../src/inventory/reach.ts';
import { failingBatches } from '../support/failing-batches.ts';
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
  beforeEach(async () => {
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

  it('asks for the one token where the list is not whole', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    await harness.control.fault({ partial: 0, match: { credential: harness.credential } });
    expect((await send(id, 'admin')).status).toBe(200);
  });

  it('does not believe PipeOps that a token of another workspace belongs to this one', async () => {
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

describe('an id that the inventory and the list lack', () => {
  const ref = { workspaceUuid: ELSEWHERE, tokenId: 'tok-1' };
  const call = {} as Call;
  const token = { id: 'tok-1', name: 'by hand', workspaceId: ELSEWHERE } as UpstreamToken;
  const notFound = { kind: 'upstream_not_found', status: 404 } as const;
  const found = { token: { ...ref, owner: null, suspendedBy: [] }, marker: null };

  it.each([
    ['of one whole page', { complete: true, pages: 1 }, ok({ status: 200, data: token }), 0, ok(null)],
    ['of several pages', { complete: true, pages: 2 }, ok({ status: 200, data: token }), 1, ok(found)],
    ['of several pages', { complete: true, pages: 2 }, err(notFound), 1, ok(null)],
    ['that is a part', { complete: false, pages: 1 }, ok({ status: 200, data: token }), 1, ok(found)],
    [
      'that is a part',
      { complete: false, pages: 1 },
      err({ kind: 'upstream_timeout' } as const),
      1,
      err({ kind: 'upstream_timeout' }),
    ],
  ] as const)('%s (%o) is asked for by one GET where that proves nothing', async (_case, list, got, gets, result) => {
    let asked = 0;
    const get = async () => {
      asked += 1;
      return await Promise.resolve(got);
    };
    const listed = ok({
      status: 200,
      data: { ...list, state: list.complete ? 'complete' : 'partial', tokens: [], total: 0 } as const,
    });
    expect(await findUpstream({ get }, ref, listed, call)).toEqual(result);
    expect(asked).toBe(gets);
  });
});

describe('renaming a token that the inventory lacks', () => {
  const MARKER = '-csgn-abcdefghijklmnop';
  const rename = async (harness: Harness, id: string) => {
    expect((await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' } })).status).toBe(200);
    return (await harness.upstreamTokens()).find((token) => token.id === id)?.name;
  };

  it('takes away what only looks like a marker', async () => {
    const harness = await createHarness();
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: `x${MARKER}` });
    expect(await rename(harness, id)).toBe('renamed');
    // Trip 1 has reserved the list; the change itself is reserved by a trip of its own.
    expect(harness.lines.at(-1)).toMatchObject({ d1_trips: 4 });
  });

  it('keeps the marker of a create of this workspace whose row is open', async () => {
    const harness = await createHarness();
    await harness.control.fault({ drop: 'after_commit', match: { workspace_uuid: harness.workspace } });
    await harness.send('POST', TOKENS, { body: { name: 'lost', scopes: ['api:read'] } });
    const [lost] = await harness.upstreamTokens();
    expect(await rename(harness, lost?.id ?? '')).toBe(lost?.name.replace('lost', 'renamed'));
  });

  it('takes the marker of another workspace’s create for somebody’s name', async () => {
    const elsewhere = await createHarness();
    await elsewhere.mint();
    const marker = (await elsewhere.rows())[0]?.marker ?? '';
    const harness = await createHarness();
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: `x${marker}` });
    expect(await rename(harness, id)).toBe('renamed');
  });

  it('keeps the marker where D1 does not answer', async () => {
    const prepared = await createHarness();
    const { id } = await prepared.control.insertToken({ workspace_uuid: prepared.workspace, name: `x${MARKER}` });
    const { db } = failingBatches((batch) => batch === 2);
    expect(await rename(await createHarness({ like: prepared, db }), id)).toBe(`renamed${MARKER}`);
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
