import { env } from 'cloudflare:workers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { READ_GROUP_LISTS_MAX_COUNT } from '../../src/config/limits.ts';
import type { ListBehaviour } from '../pipeops-simulator/faults-wire.ts';
import { measuredD1 } from '../support/measured-d1.ts';
import { TOKENS, type Harness } from '../support/harness.ts';
import { createCompany, jwtNow, list, namesIn, readsAt } from './isolates.ts';

// Whatever a caller reads, and whatever a workspace was used for: what D1 reads, writes and gives back is bounded, and nothing is
// taken or asked before the caller may have it.

/** Far more than what may be read. */
const DEAD = 3_000;
const UNSEEN = 30_000;
const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const roles = {
  own: { permissions: ['tokens:create', 'tokens:read'], tokens: 'own', workspaces: ['*'], scopes: ['*'] },
  elsewhere: { permissions: ['tokens:read'], tokens: 'any', workspaces: [ELSEWHERE] },
  creator: { permissions: ['tokens:create'], tokens: 'own', workspaces: ['*'], scopes: ['*'] },
};

const measured = measuredD1();
let company: Awaited<ReturnType<typeof createCompany>>;
let isolate: Harness;
beforeEach(async () => {
  company = await createCompany({ db: measured.db, roles });
  isolate = company.first;
});

// What goes through every row after the last test need not go through these.
afterEach(async () => void (await env.DB.prepare(`delete from tokens where token_id like 'dead-%'`).run()));

/** @param end how their end is known; null: they have expired, and nobody has looked since. */
async function insertDead(count: number, end: string | null, workspace = isolate.workspace): Promise<void> {
  await env.DB.prepare(
    `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, expires_at, revoked_at, ended_by)
     with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
     select ?2, 'dead-' || i, 'https://issuer.example', 'somebody', 1000 + i, 2000 + i, iif(?3 is null, null, 3000), ?3 from n`,
  )
    .bind(count, workspace, end)
    .run();
}

const leaseOf = async (workspace = isolate.workspace) =>
  await env.DB.prepare('select generation, lease_until, listed_at from workspaces where workspace_uuid = ?')
    .bind(workspace)
    .first();
const get = async (by: Harness, id: string, role = 'admin', sub = `${role}-1`) =>
  await by.send('GET', `${TOKENS}/${id}`, { jwt: await jwtNow(by, role, { sub }) });

describe.each([
  ['that are known to be gone', 'absent'],
  ['whose revoke was acknowledged', 'acknowledged'],
])('thousands of tokens %s', (_what, end) => {
  it('cost a list, and a get, nothing: from PipeOps, from memory and from D1', async () => {
    const { id } = await isolate.mint('one');
    await insertDead(DEAD, end);
    const other = await company.another();
    const reads = [
      ['from PipeOps', async () => await list(isolate)],
      ['from memory', async () => await list(isolate)],
      ['from D1', async () => await list(other)],
      ['a get', async () => await get(isolate, id)],
      ['a get in a new isolate', async () => await get(await company.another(), id)],
      ['a get of a dead one', async () => await get(isolate, 'dead-7')],
    ] as const;
    for (const [what, read] of reads) {
      const cost = await measured.of(read);
      expect(cost.rowsRead, what).toBeLessThan(200);
      expect(cost.bytes, what).toBeLessThan(20_000);
    }
  });

  it('cost a create, an update and a revoke nothing', async () => {
    await insertDead(DEAD, end);
    const cost = await measured.of(async () => {
      const { id } = await isolate.mint('one');
      await isolate.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'two' } });
      await isolate.send('DELETE', `${TOKENS}/${id}`);
    });
    expect(cost.rowsRead).toBeLessThan(300);
  });
});

describe('thirty thousand tokens that have expired unseen', () => {
  it('are looked at a few at a time by those who ask PipeOps, and by nobody else', async () => {
    await isolate.mint('one');
    await insertDead(UNSEEN, null);
    const asked = await measured.of(async () => await list(isolate));
    expect(asked.rowsRead).toBeLessThan(20_000);
    expect(asked.bytes).toBeLessThan(1_000_000);
    const held = await measured.of(async () => await list(isolate));
    expect(held.rowsRead).toBeLessThan(200);
    const stored = await measured.of(async () => await list(await company.another()));
    expect(stored.rowsRead).toBeLessThan(200);
  });

  it('are gone after enough lists, as many at a time as one list writes down', async () => {
    await isolate.mint('one');
    await insertDead(1_500, null);
    const left = async () =>
      await env.DB.prepare(
        'select count(*) as n from tokens where workspace_uuid = ? and ended_by is null and token_id like ?',
      )
        .bind(isolate.workspace, 'dead-%')
        .first<number>('n');
    for (let round = 0; round < 6; round += 1) {
      await list(isolate);
      company.age(61);
    }
    expect(await left()).toBe(0);
  });

  it('do not hide that a list lacks most of those that should be there', async () => {
    const ids = await Promise.all([1, 2, 3, 4].map(async (n) => (await isolate.mint(`live ${n}`)).id));
    await insertDead(3_000, null);
    company.age(61);
    await isolate.control.behave(isolate.workspace, { list: { hide: ids } });
    await list(isolate);
    const { results } = await env.DB.prepare(
      'select unseen_at from tokens where workspace_uuid = ? and token_id not like ?',
    )
      .bind(isolate.workspace, 'dead-%')
      .all();
    expect(results.map(({ unseen_at }) => unseen_at)).toEqual([null, null, null, null]);
  });
});

describe('nothing is taken, written or asked', () => {
  it.each([
    ['a get of an id that never was, by one who sees its own alone', 'own', async () => crypto.randomUUID()],
    ['a get of a token of another, by one who sees its own alone', 'own', async () => (await isolate.mint('one')).id],
    ['a get in a workspace that no role of the caller reads', 'elsewhere', async () => (await isolate.mint('one')).id],
    ['the same of an id that never was', 'elsewhere', async () => crypto.randomUUID()],
  ])('for %s', async (_case, role, idOf) => {
    const id = await idOf();
    const before = await leaseOf();
    const reader = await company.another();
    expect((await get(reader, id, role)).status).toBe(404);
    expect(await leaseOf()).toEqual(before);
    expect(await readsAt(isolate)).toEqual([]);
  });

  it('for its own token, where a role of the caller creates and none reads', async () => {
    const jwt = await jwtNow(isolate, 'creator', { sub: 'maker', role: ['creator', 'elsewhere'] });
    const { id } = await isolate.mint('its own', jwt);
    const before = await leaseOf();
    expect((await isolate.send('GET', `${TOKENS}/${id}`, { jwt })).status).toBe(404);
    expect(await leaseOf()).toEqual(before);
    expect(await readsAt(isolate)).toEqual([]);
    expect((await isolate.rows()).at(-1)).toMatchObject({ outcome: '{"reason":"not_readable"}', token_id: id });
  });

  it('for a list of a workspace that no role of the caller reads', async () => {
    const before = await leaseOf();
    const jwt = await jwtNow(isolate, 'elsewhere');
    expect((await isolate.send('GET', TOKENS, { jwt })).status).toBe(403);
    expect(await leaseOf()).toEqual(before);
    expect(await readsAt(isolate)).toEqual([]);
  });

  it.each(['', '/some-id'])('for a caller who was offboarded: GET …%s', async (path) => {
    await env.DB.prepare(`insert into subject_blocks (issuer, subject, delivery_id, created_at) values (?, ?, 'd', 1)`)
      .bind('https://issuer.example', 'leaver')
      .run();
    const jwt = await jwtNow(isolate, 'admin', { sub: 'leaver' });
    const answer = await isolate.send('GET', `${TOKENS}${path}`, { jwt });
    expect([answer.status, answer.body.code]).toEqual([403, 'subject_blocked']);
    expect(await leaseOf()).toBeNull();
    expect(await readsAt(isolate)).toEqual([]);
    expect((await isolate.rows()).map(({ error_code }) => error_code)).toEqual(['subject_blocked']);
  });

  it('so that a refused get keeps nobody waiting: the next list asks at once', async () => {
    await isolate.mint('one');
    const reader = await company.another();
    await get(reader, 'made-up', 'own');
    let pauses = 0;
    const admin = await company.another({
      runtime: {
        sleep: async () => {
          pauses += 1;
          await Promise.resolve();
        },
      },
    });
    expect(namesIn(await list(admin))).toEqual(['one']);
    expect(pauses).toBe(0);
  });

  it('and an owner’s get of its own takes the lease, and asks', async () => {
    const { id } = await isolate.mint('mine', await jwtNow(isolate, 'own'));
    const reader = await company.another();
    expect((await get(reader, id, 'own')).status).toBe(200);
    expect(await readsAt(isolate)).toEqual([TOKENS]);
  });
});

describe('the same is done for an id that never was and a token of another', () => {
  const beside: ListBehaviour = { page_size: 1, pages: 'ignored' };
  it.each<readonly [string, () => Promise<unknown>]>([
    ['where no list is held', async () => await Promise.resolve()],
    ['where a whole list is held', async () => await list(isolate)],
    [
      'where a part of a list is held',
      async () => {
        await isolate.control.behave(isolate.workspace, { list: beside });
        await list(isolate);
      },
    ],
    [
      'where a list is held that is not current',
      async () => {
        await list(isolate);
        await (await company.another()).mint('later');
      },
    ],
  ])('%s', async (_case, prepare) => {
    const ids = await Promise.all(['a', 'b'].map(async (name) => (await isolate.mint(name)).id));
    await prepare();
    const costs = [];
    for (const id of [...ids, crypto.randomUUID()]) {
      const { batches, statements } = await measured.of(async () => {
        // Another one each time: whoever was denied often pays a trip more.
        const answer = await get(isolate, id, 'own', crypto.randomUUID());
        expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
      });
      costs.push({ batches, statements });
    }
    expect(new Set(costs.slice(1).map((cost) => JSON.stringify(cost))).size).toBe(1);
    expect(costs[0]?.batches).toBe(costs[2]?.batches);
  });
});

describe('a long list', () => {
  const COUNT = 10_000;
  const LONG = 45_000;
  /** A PipeOps that shows so many tokens. */
  const showing = (count: number) => ({
    fetch: async (_url: string, init: RequestInit) => {
      if (init.method !== 'GET') return new Response(null, { status: 500 });
      const tokens = Array.from({ length: count }, (_item, index) => `{"id":"t-${index}","name":"n","scopes":[]}`);
      return await Promise.resolve(
        new Response(`{"success":true,"message":"","data":{"tokens":[${tokens.join(',')}],"total":${count}}}`, {
          headers: { 'Content-Type': 'application/json' },
        }),
      );
    },
  });

  it('of ten thousand tokens is served whole, and from memory after that', async () => {
    const reader = await company.another({ runtime: showing(COUNT) });
    const answer = await list(reader);
    expect([answer.status, answer.body.data.total, answer.body.partial]).toEqual([200, COUNT, undefined]);
    const again = await measured.of(async () => {
      expect((await list(reader)).headers.get('Cache-Status')).toContain('hit');
    });
    expect(again.bytes).toBeLessThan(5_000);
  });

  it('that is longer than all that is read of one is shown in part', async () => {
    const reader = await company.another({ runtime: showing(LONG) });
    const answer = await list(reader);
    expect([answer.status, answer.body.partial]).toEqual([200, true]);
    expect(answer.body.data.tokens.length).toBeLessThan(LONG);
  });

  it('fails for nobody else who reads at the same moment', async () => {
    await isolate.mint('one');
    const reader = await company.another({
      runtime: {
        fetch: async (url, init) =>
          url.includes(ELSEWHERE) ? await showing(LONG).fetch(url, init) : await isolate.runtime.fetch(url, init),
      },
    });
    const jwt = await jwtNow(reader);
    const [long, ...others] = await Promise.all(
      [`?workspace_uuid=${ELSEWHERE}`, '', '', ''].map(
        async (query) => await reader.send('GET', `${TOKENS}${query}`, { jwt }),
      ),
    );
    expect(long?.status).toBe(200);
    expect(others.map(namesIn)).toEqual([['one'], ['one'], ['one']]);
  });

  it('comes from D1 with a few others at a time, however many workspaces are read at once', async () => {
    const workspaces = Array.from({ length: 20 }, () => crypto.randomUUID());
    const body = JSON.stringify({ total: 1, complete: true, tokens: [storedToken('x'.repeat(50_000))] });
    await env.DB.batch(
      workspaces.flatMap((workspace) => [
        env.DB.prepare('insert into snapshots (workspace_uuid, generation, begun_at, body) values (?, 0, ?, ?)').bind(
          workspace,
          isolate.runtime.now(),
          body,
        ),
      ]),
    );
    const jwt = await jwtNow(isolate);
    const cost = await measured.of(async () => {
      const answers = await Promise.all(
        workspaces.map(
          async (workspace) => await isolate.send('GET', `${TOKENS}?workspace_uuid=${workspace}`, { jwt }),
        ),
      );
      expect(answers.map(({ status }) => status)).toEqual(workspaces.map(() => 200));
    });
    expect(cost.largest).toBeLessThan(READ_GROUP_LISTS_MAX_COUNT * 60_000);
    expect(cost.batches).toBeLessThan(30);
  });
});

const storedToken = (name: string) => ({
  id: 't',
  name,
  description: null,
  scopes: [],
  tokenPrefix: null,
  workspaceId: null,
  isRevoked: false,
  isExpired: false,
  isActive: null,
  expiresAt: null,
  createdAt: null,
  updatedAt: null,
  lastUsedAt: null,
});
