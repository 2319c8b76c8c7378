import { beforeEach, describe, expect, it } from 'vitest';
import { TOKENS, type Harness } from '../support/harness.ts';
import { createCompany, lastLine, list, namesIn, readsAt } from './isolates.ts';

// Reads are answered from a list that is held, for as long as no token of the workspace has changed.

let company: Awaited<ReturnType<typeof createCompany>>;
let isolate: Harness;
beforeEach(async () => {
  company = await createCompany();
  isolate = company.first;
});

const lastRow = async () => (await isolate.rows()).at(-1);

describe('a list', () => {
  it('is asked for once, and then answered from memory in one trip to D1', async () => {
    await isolate.mint('one');
    const miss = await list(isolate);
    expect(miss.headers.get('Cache-Status')).toBe('countersign; fwd=miss');
    expect(lastLine(isolate)).toMatchObject({ d1_trips: 2, upstream_calls: 1 });
    expect(await lastRow()).toMatchObject({ upstream_status: 200, count: 1 });

    company.age(3);
    const hit = await list(isolate);
    expect(hit.headers.get('Cache-Status')).toMatch(/^countersign; hit; ttl=1[12]$/);
    expect(hit.headers.get('Age')).toBe('3');
    expect(hit.headers.get('Cache-Control')).toBe('no-store');
    expect(lastLine(isolate)).toMatchObject({ d1_trips: 1, upstream_calls: 0 });
    expect(hit.body).toEqual(miss.body);
    expect(await lastRow()).toMatchObject({
      action: 'service_account_token.list',
      status: 'success',
      upstream_status: null,
    });
    expect(await readsAt(isolate)).toHaveLength(1);
  });

  it('is had by another isolate from D1, in two trips and without a call', async () => {
    await isolate.mint('one');
    await list(isolate);
    const other = await company.another();
    const answer = await list(other);
    expect(answer.headers.get('Cache-Status')).toMatch(/^countersign; hit; ttl=1\d; detail=d1$/);
    expect(lastLine(other)).toMatchObject({ d1_trips: 2, upstream_calls: 0 });
    expect(namesIn(answer)).toEqual(['one']);
    expect((await list(other)).headers.get('Cache-Status')).toMatch(/^countersign; hit; ttl=1\d$/);
  });

  it('is good for fifteen seconds', async () => {
    await list(isolate);
    company.age(15.5);
    expect((await list(isolate)).headers.get('Cache-Status')).toBe('countersign; fwd=miss');
    expect(await readsAt(isolate)).toHaveLength(2);
  });

  it('shows each caller no more than its roles show, and its own at once', async () => {
    const roles = {
      owner: { permissions: ['tokens:create', 'tokens:read'], tokens: 'own', workspaces: ['*'], scopes: ['*'] },
    };
    company = await createCompany({ roles });
    const alice = await company.first.jwtFor('owner', { sub: 'alice' });
    await company.first.mint('of the administrator');
    await company.first.mint('mine', alice);
    for (const from of ['fwd=miss', 'hit']) {
      const answer = await company.first.send('GET', TOKENS, { jwt: alice });
      expect(answer.headers.get('Cache-Status')).toContain(from);
      expect(namesIn(answer)).toEqual(['mine']);
    }
    expect(namesIn(await list(company.first))).toEqual(['mine', 'of the administrator']);
  });

  it('is the same bytes for all who see the same of it, and nobody gets those of another', async () => {
    const roles = {
      owner: { permissions: ['tokens:create', 'tokens:read'], tokens: 'own', workspaces: ['*'], scopes: ['*'] },
    };
    company = await createCompany({ roles });
    const { first } = company;
    const jwts = {
      alice: await first.jwtFor('owner', { sub: 'alice' }),
      bob: await first.jwtFor('owner', { sub: 'bob' }),
      admin: await first.jwtFor('admin'),
      auditor: await first.jwtFor('admin', { sub: 'auditor' }),
    };
    await first.mint('of alice', jwts.alice);
    await first.mint('of bob', jwts.bob);
    const seen = {
      alice: ['of alice'],
      bob: ['of bob'],
      admin: ['of alice', 'of bob'],
      auditor: ['of alice', 'of bob'],
    };
    for (const _ of ['made', 'kept']) {
      for (const [name, jwt] of Object.entries(jwts)) {
        expect(namesIn(await first.send('GET', TOKENS, { jwt }))).toEqual(seen[name as keyof typeof seen]);
      }
    }
    await first.mint('of alice too', jwts.alice);
    expect(namesIn(await first.send('GET', TOKENS, { jwt: jwts.alice }))).toEqual(['of alice', 'of alice too']);
    expect(namesIn(await first.send('GET', TOKENS, { jwt: jwts.bob }))).toEqual(['of bob']);
  });

  it.each([
    ['1 s after the last one', 1, 'hit'],
    ['3 s after it', 3, 'fwd=request'],
  ])('that is wanted anew %s is what no-cache gets', async (_case, seconds, from) => {
    await list(isolate);
    company.age(seconds);
    expect((await list(isolate, { 'Cache-Control': 'no-cache' })).headers.get('Cache-Status')).toContain(from);
  });

  it('is asked for each time where snapshots are off', async () => {
    const off = await company.another({ env: { SNAPSHOT_MAX_AGE_SECONDS: '0' } });
    await list(off);
    await list(off);
    expect(await readsAt(off)).toHaveLength(2);
  });
});

describe('a mutation is seen by the very next read of anyone', () => {
  const mutations = [
    ['create', async (by: Harness) => void (await by.mint('two'))],
    [
      'rename',
      async (by: Harness, id: string) => void (await by.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'two' } })),
    ],
    ['revoke', async (by: Harness, id: string) => void (await by.send('DELETE', `${TOKENS}/${id}`))],
  ] as const;

  it.each(mutations)('%s', async (_name, mutate) => {
    const other = await company.another();
    const { id } = await isolate.mint('one');
    const before = await list(isolate);
    await list(other);
    await mutate(other, id);
    for (const reader of [isolate, other, await company.another()]) {
      expect((await list(reader)).body.data).not.toEqual(before.body.data);
    }
  });

  it.each(mutations)('%s, though its answer was lost', async (_name, mutate) => {
    const other = await company.another();
    const { id } = await isolate.mint('one');
    const before = await list(isolate);
    await isolate.control.fault({ status: 500, commit: true, times: 5, match: { workspace_uuid: isolate.workspace } });
    await mutate(other, id).catch(() => {});
    await isolate.control.clearFaults({ workspace_uuid: isolate.workspace });
    expect((await list(isolate)).body.data).not.toEqual(before.body.data);
  });

  it('also while a list is being asked for: that one is not served', async () => {
    await isolate.mint('one');
    const other = await company.another();
    let isFirst = true;
    const reader = await company.another({
      runtime: {
        fetch: async (url, init) => {
          const response = await isolate.runtime.fetch(url, init);
          if (init.method === 'GET' && isFirst) {
            isFirst = false;
            await other.mint('two');
          }
          return response;
        },
      },
    });
    expect(namesIn(await list(reader))).toEqual(['one', 'two']);
    expect(namesIn(await list(reader))).toEqual(['one', 'two']);
  });

  it('where tokens keep changing, what was over when the read began is in what it is served', async () => {
    const other = await company.another();
    let minted = 0;
    const reader = await company.another({
      runtime: {
        fetch: async (url, init) => {
          const response = await isolate.runtime.fetch(url, init);
          if (init.method === 'GET') await other.mint(`during ${(minted += 1)}`);
          return response;
        },
      },
    });
    await isolate.mint('before');
    const answer = await list(reader);
    expect(answer.status).toBe(200);
    expect(namesIn(answer)).toContain('before');
    expect(minted).toBe(3);
  });

  it('and is served no list that was begun before the read, by a clock that was put back meanwhile', async () => {
    const other = await company.another();
    let skewMs = 0;
    let lists = 0;
    const reader = await company.another({
      runtime: {
        now: () => isolate.runtime.now() + skewMs,
        fetch: async (url, init) => {
          if (init.method !== 'GET') return await isolate.runtime.fetch(url, init);
          lists += 1;
          // The second and the third list are begun before the read was, by this clock.
          skewMs = lists < 3 ? -5_000 : 0;
          const response = await isolate.runtime.fetch(url, init);
          await other.mint(`during ${lists}`);
          return response;
        },
      },
    });
    await isolate.mint('before');
    expect(namesIn(await list(reader))).toEqual(['before', 'during 1', 'during 2', 'during 3']);
    expect(lists).toBe(4);
  });

  it.each(mutations)('%s, and what another isolate left before it keeps nobody waiting', async (_name, mutate) => {
    const { id } = await isolate.mint('one');
    await list(isolate);
    await mutate(isolate, id);
    const pauses: number[] = [];
    const other = await company.another({ runtime: { sleep: async (ms) => void pauses.push(ms) } });
    expect((await list(other)).status).toBe(200);
    expect(pauses).toEqual([]);
  });

  it('and by a refusal nothing is lost: the list is still good', async () => {
    const { id } = await isolate.mint('one');
    await list(isolate);
    const roles = { reader: { permissions: ['tokens:read', 'tokens:revoke'], tokens: 'own', workspaces: ['*'] } };
    const other = await company.another({ roles });
    expect((await other.send('DELETE', `${TOKENS}/${id}`, { jwt: await other.jwtFor('reader') })).status).toBe(404);
    expect((await list(isolate)).headers.get('Cache-Status')).toContain('hit');
  });
});

describe('a get', () => {
  it('is answered from the list', async () => {
    const { id } = await isolate.mint('one');
    await list(isolate);
    const answer = await isolate.send('GET', `${TOKENS}/${id}`);
    expect(answer.headers.get('Cache-Status')).toContain('hit');
    expect(answer.body.data.token).toMatchObject({ id, name: 'one' });
    expect(lastLine(isolate)).toMatchObject({ d1_trips: 1, upstream_calls: 0 });
    expect(await lastRow()).toMatchObject({ action: 'service_account_token.get', token_id: id, status: 'success' });
  });

  it('where no list is held asks for that, not for the token alone: the next one needs no call', async () => {
    const { id } = await isolate.mint('one');
    for (const from of ['fwd=miss', 'hit']) {
      const answer = await isolate.send('GET', `${TOKENS}/${id}`);
      expect(answer.headers.get('Cache-Status')).toContain(from);
    }
    expect(await readsAt(isolate)).toEqual([TOKENS]);
  });

  it('of an id that a complete list lacks is 404 without a call', async () => {
    await list(isolate);
    const answer = await isolate.send('GET', `${TOKENS}/unknown`);
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    expect(lastLine(isolate)).toMatchObject({ d1_trips: 1, upstream_calls: 0 });
    expect(await lastRow()).toMatchObject({ status: 'failure', token_id: 'unknown', read_key: null });
  });

  it('of an id that a partial list lacks is asked for by itself', async () => {
    const { id } = await isolate.mint('one');
    await isolate.control.fault({ partial: 0, match: { workspace_uuid: isolate.workspace, method: 'GET' } });
    await list(isolate);
    const answer = await isolate.send('GET', `${TOKENS}/${id}`);
    expect(answer.status).toBe(200);
    expect((await readsAt(isolate)).at(-1)).toBe(`${TOKENS}/${id}`);
  });

  it.each([
    ['where another isolate left a list that shows it, in two trips and without a call', true, 2, 0],
    ['where PipeOps has to be asked', false, 3, 1],
  ])('of a token that is newer than the list here is the token: %s', async (_case, isStored, trips, calls) => {
    const roles = {
      owner: { permissions: ['tokens:create', 'tokens:read'], tokens: 'own', workspaces: ['*'], scopes: ['*'] },
    };
    company = await createCompany({ roles });
    const { first } = company;
    const other = await company.another();
    for (const [role, sub] of [
      ['owner', 'alice'],
      ['admin', 'admin-1'],
    ] as const) {
      const jwt = await first.jwtFor(role, { sub });
      await first.send('GET', TOKENS, { jwt });
      await first.send('GET', TOKENS, { jwt });
      const { id } = await other.mint(`of ${sub}`, await first.jwtFor('owner', { sub }));
      if (isStored) await list(other);
      const answer = await first.send('GET', `${TOKENS}/${id}`, { jwt });
      expect([answer.status, answer.body.data?.token?.name]).toEqual([200, `of ${sub}`]);
      expect(lastLine(first)).toMatchObject({ d1_trips: trips, upstream_calls: calls });
    }
  });

  it('of a token that was revoked is 404', async () => {
    const { id } = await isolate.mint('one');
    await isolate.send('DELETE', `${TOKENS}/${id}`);
    await list(isolate);
    expect((await isolate.send('GET', `${TOKENS}/${id}`)).status).toBe(404);
  });
});

describe('while PipeOps is down or wants nothing of us', () => {
  const down = async (fault: object) =>
    await isolate.control.fault({ times: 50, ...fault, match: { workspace_uuid: isolate.workspace } });

  it.each([
    ['it fails', { status: 503 }],
    ['it says wait', { status: 429, headers: { 'Retry-After': '1' } }],
    ['it cannot be reached', { drop: 'before_commit' }],
  ])('a list of up to an hour stands in, and says so: %s', async (_case, fault) => {
    await isolate.mint('one');
    await list(isolate);
    const other = await company.another();
    await down(fault);
    company.age(120);
    for (const reader of [isolate, other]) {
      const answer = await list(reader);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('Cache-Status')).toMatch(/^countersign; hit; ttl=-10\d; detail=stale$/);
      expect(namesIn(answer)).toEqual(['one']);
    }
    company.age(60 * 60);
    expect([429, 502, 503, 504]).toContain((await list(isolate)).status);
    expect(await lastRow()).toMatchObject({ status: 'failure' });
  });

  it('nothing stands in for a list after a token has changed', async () => {
    const { id } = await isolate.mint('one');
    await list(isolate);
    await isolate.send('DELETE', `${TOKENS}/${id}`);
    await down({ status: 503 });
    expect((await list(isolate)).status).toBe(502);
  });

  it.each([
    ['our credential', { status: 401 }, 'upstream_credential_rejected'],
    ['us in this workspace', { status: 403 }, 'upstream_forbidden'],
  ])('is another thing than refusing %s: that is the answer', async (_case, fault, code) => {
    await list(isolate);
    await down(fault);
    company.age(20);
    expect((await list(isolate)).body.code).toBe(code);
  });
});
