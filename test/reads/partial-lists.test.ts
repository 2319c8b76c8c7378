import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ListBehaviour } from '../pipeops-simulator/faults-wire.ts';
import { TOKENS, type Harness } from '../support/harness.ts';
import { createCompany, list, namesIn, readsAt } from './isolates.ts';

// What callers and operators are told of lists that are not whole, or not in one page.

let company: Awaited<ReturnType<typeof createCompany>>;
let isolate: Harness;
beforeEach(async () => {
  company = await createCompany();
  isolate = company.first;
});

const behave = async (behaviour: ListBehaviour): Promise<void> =>
  await isolate.control.behave(isolate.workspace, { list: behaviour });
const mint = async (...names: readonly string[]): Promise<readonly string[]> => {
  const ids: string[] = [];
  for (const name of names) ids.push((await isolate.mint(name)).id);
  return ids;
};
const stateInD1 = async () =>
  await env.DB.prepare('select list_state, list_state_at from workspaces where workspace_uuid = ?')
    .bind(isolate.workspace)
    .first<{ list_state: string | null; list_state_at: number | null }>();
/** The isolate holds its lists for fifteen seconds. */
const listAnew = async (): Promise<void> => {
  company.age(20);
  await list(isolate);
};

describe('the answer to a list', () => {
  it.each<[string, ListBehaviour, readonly string[], boolean, number]>([
    ['is whole in one call', {}, ['a', 'b', 'c'], false, 1],
    ['is whole in pages', { page_size: 2 }, ['a', 'b', 'c'], false, 2],
    ['is partial where pages are ignored', { page_size: 2, pages: 'ignored' }, ['a', 'b'], true, 2],
    ['is partial where nothing proves it', { page_size: 2, pages: 'ignored', total: 'none' }, ['a', 'b'], true, 2],
  ])('%s, from PipeOps, from memory and from D1 alike', async (_case, behaviour, names, isPartial, calls) => {
    await mint('a', 'b', 'c');
    await behave(behaviour);
    const other = await company.another();
    const answers = [await list(isolate), await list(isolate), await list(other)];
    expect(answers.map(namesIn)).toEqual([names, names, names]);
    expect(answers.map(({ body }) => body.partial)).toEqual(answers.map(() => (isPartial ? true : undefined)));
    expect(await readsAt(isolate)).toHaveLength(calls);
  });

  it('is partial for a caller too who sees but its own tokens', async () => {
    const roles = {
      owner: { permissions: ['tokens:create', 'tokens:read'], tokens: 'own', workspaces: ['*'], scopes: ['*'] },
    };
    const confined = await company.another({ roles });
    const jwt = await confined.jwtFor('owner');
    await confined.mint('mine', jwt);
    await mint('another');
    await behave({ page_size: 1, pages: 'ignored' });
    const answer = await confined.send('GET', TOKENS, { jwt });
    expect([namesIn(answer), answer.body.partial, answer.body.data.total]).toEqual([['mine'], true, 1]);
  });
});

describe('a get of an id that the list lacks', () => {
  it.each<[string, ListBehaviour]>([
    ['partial', { page_size: 1, pages: 'ignored' }],
    ['unproven', { page_size: 1, pages: 'ignored', total: 'none' }],
    ['complete, in several pages', { page_size: 1 }],
  ])('asks PipeOps for it by itself where the list is %s', async (_case, behaviour) => {
    const [, id = ''] = await mint('a', 'b', 'c');
    await behave({ ...behaviour, hide: [id] });
    await list(isolate);
    expect((await isolate.send('GET', `${TOKENS}/${id}`)).status).toBe(200);
    expect((await readsAt(isolate)).at(-1)).toBe(`${TOKENS}/${id}`);
    const unknown = await isolate.send('GET', `${TOKENS}/unknown`);
    expect([unknown.status, unknown.body.code]).toEqual([404, 'not_found']);
    expect((await readsAt(isolate)).at(-1)).toBe(`${TOKENS}/unknown`);
  });

  it('asks nothing where the list is complete in one page', async () => {
    await mint('a');
    await list(isolate);
    expect((await isolate.send('GET', `${TOKENS}/unknown`)).status).toBe(404);
    expect(await readsAt(isolate)).toHaveLength(1);
  });
});

describe.each(['PATCH', 'DELETE'])('%s of an id that a list of several pages lacks', (method) => {
  it('asks PipeOps for it by itself', async () => {
    await mint('a');
    const { id } = await isolate.control.insertToken({ workspace_uuid: isolate.workspace, name: 'by hand' });
    await behave({ page_size: 1, hide: [id] });
    await mint('b');
    const answer = await isolate.send(method, `${TOKENS}/${id}`, {
      ...(method === 'PATCH' && { body: { name: 'c' } }),
    });
    expect(answer.status).toBe(200);
    expect((await readsAt(isolate)).at(-1)).toBe(`${TOKENS}/${id}`);
  });
});

describe('what a workspace’s list is good for', () => {
  it('is kept where it changes, with the time since when it is so', async () => {
    await mint('a', 'b');
    expect((await stateInD1())?.list_state).toBeNull();
    const kept = [];
    for (const behaviour of [{}, {}, { page_size: 1, pages: 'ignored' }, {}] as const) {
      await behave(behaviour);
      await listAnew();
      kept.push(await stateInD1());
    }
    expect(kept.map((row) => row?.list_state)).toEqual(['complete', 'complete', 'partial', 'complete']);
    const times = kept.map((row) => row?.list_state_at ?? 0);
    expect(times[1]).toBe(times[0]);
    expect(times[2]).toBeGreaterThan(times[1] ?? 0);
    expect(times[3]).toBeGreaterThan(times[2] ?? 0);
  });

  it('is kept where snapshots are off', async () => {
    const off = await company.another({ env: { SNAPSHOT_MAX_AGE_SECONDS: '0' } });
    await behave({ page_size: 1, pages: 'ignored', total: 'none' });
    await mint('a');
    await list(off);
    expect((await stateInD1())?.list_state).toBe('unproven');
  });

  it('is that there is none where the workspace is 404', async () => {
    await mint('a');
    await listAnew();
    await isolate.control.behave(isolate.workspace, { not_found: true });
    company.age(60);
    expect((await list(isolate)).status).toBe(502);
    expect((await stateInD1())?.list_state).toBe('unavailable');
  });

  it.each([403, 500])('is not told by an answer that says nothing of it: %i', async (status) => {
    await mint('a');
    await listAnew();
    const before = await stateInD1();
    await isolate.control.fault({ status, times: 9, match: { workspace_uuid: isolate.workspace } });
    await listAnew();
    expect(await stateInD1()).toEqual(before);
  });
});

describe('GET /api/v1/status', () => {
  const lists = async () => {
    const iat = Math.floor(isolate.runtime.now() / 1_000);
    const jwt = await isolate.jwtFor('admin', { iat, exp: iat + 300 });
    return (await isolate.send('GET', '/api/v1/status', { jwt })).body.data.lists;
  };
  beforeEach(async () => {
    await env.DB.prepare('update workspaces set list_state = null, list_state_at = null').run();
  });
  const NONE = { workspaces: 0, open_creates: 0, since: null, workspace_uuids: [], what_to_do: null };

  it('says nothing where no list was asked for', async () => {
    expect(await lists()).toEqual({
      complete: { workspaces: 0, open_creates: 0 },
      partial: NONE,
      unproven: NONE,
      unavailable: NONE,
    });
  });

  it('says what waits for a complete list, since when, where, and what can be done', async () => {
    await mint('a', 'b');
    await isolate.control.fault({
      drop: 'after_commit',
      match: { workspace_uuid: isolate.workspace, method: 'POST' },
    });
    await isolate.send('POST', TOKENS, { body: { name: 'lost', scopes: ['api:read'] } });
    const other = await company.another();
    await behave({ page_size: 2, pages: 'ignored' });
    await list(other);
    const since = new Date((await stateInD1())?.list_state_at ?? 0).toISOString();
    expect(await lists()).toEqual({
      complete: { workspaces: 0, open_creates: 0 },
      partial: {
        workspaces: 1,
        open_creates: 1,
        since,
        workspace_uuids: [isolate.workspace],
        what_to_do: expect.stringContaining('waits for a complete list'),
      },
      unproven: NONE,
      unavailable: NONE,
    });
    await behave({});
    await listAnew();
    expect(await lists()).toMatchObject({ complete: { workspaces: 1, open_creates: 1 }, partial: NONE });
  });

  it('names those that wait longest, and counts all', async () => {
    const rows = Array.from({ length: 12 }, (_, index) =>
      env.DB.prepare(
        `insert into workspaces (workspace_uuid, generation, lease_until, list_state, list_state_at)
          values (?, 0, 0, 'unavailable', ?)`,
      ).bind(`status-${crypto.randomUUID()}`, 1_000 + index),
    );
    await env.DB.batch(rows);
    const { unavailable } = await lists();
    expect(unavailable).toMatchObject({ workspaces: 12, since: '1970-01-01T00:00:01.000Z' });
    expect(unavailable.workspace_uuids).toHaveLength(10);
  });
});
