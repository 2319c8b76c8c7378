import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { TOKENS, type Harness } from '../support/harness.ts';
import { createCompany, jwtNow, list, namesIn, readsAt } from './isolates.ts';

// Lists are asked for as often as the hour has calls for all workspaces in use, by however many isolates.

let company: Awaited<ReturnType<typeof createCompany>>;
let isolate: Harness;
beforeEach(async () => {
  company = await createCompany();
  isolate = company.first;
});

/** Workspaces whose lists were asked for so long ago, and turned out to be of that state. */
async function inUse(count: number, ageMs = 1_000, state: string | null = 'complete'): Promise<void> {
  await env.DB.batch(
    Array.from({ length: count }, () =>
      env.DB.prepare(
        `insert into workspaces (workspace_uuid, generation, lease_until, listed_at, list_state) values (?, 0, 0, ?, ?)`,
      ).bind(crypto.randomUUID(), isolate.runtime.now() - ageMs, state),
    ),
  );
}
const fromOf = async (by: Harness): Promise<string | null> => (await list(by)).headers.get('Cache-Status');
const calls = async (): Promise<number> => (await readsAt(isolate)).length;
/** Another caller each time, so that none of them is at its own end. */
const listAs = async (by: Harness, sub: string, workspace = by.workspace) =>
  await by.send('GET', `${TOKENS}?workspace_uuid=${workspace}`, { jwt: await jwtNow(by, 'admin', { sub }) });

describe('with twenty workspaces in use', () => {
  beforeEach(async () => {
    await isolate.mint('one');
    await inUse(19);
    await list(isolate);
    // From now on it knows of them.
    company.age(16);
    await list(isolate);
  });

  it('a list is good for what the hour has: 97 s', async () => {
    const before = await calls();
    company.age(60);
    expect(await fromOf(isolate)).toMatch(/^countersign; hit; ttl=/);
    expect(await calls()).toBe(before);
    company.age(60);
    expect(await fromOf(isolate)).toBe('countersign; fwd=miss');
    expect(await calls()).toBe(before + 1);
  });

  it('an isolate that knows nothing of them takes what is in D1, and asks for nothing', async () => {
    const before = await calls();
    company.age(60);
    const answer = await list(await company.another());
    expect(answer.headers.get('Cache-Status')).toMatch(/^countersign; hit; ttl=\d+; detail=d1$/);
    expect(Number(answer.headers.get('Age'))).toBeGreaterThan(55);
    expect(await calls()).toBe(before);
  });

  it('a change is seen at once all the same, by everybody', async () => {
    const other = await company.another();
    await list(other);
    await isolate.mint('two');
    for (const by of [other, isolate, await company.another()]) expect(namesIn(await list(by))).toEqual(['one', 'two']);
  });

  it('no-cache gets a new one', async () => {
    company.age(10);
    expect((await list(isolate, { 'Cache-Control': 'no-cache' })).headers.get('Cache-Status')).toBe(
      'countersign; fwd=request',
    );
  });
});

describe('in use', () => {
  it.each([
    ['are those whose lists were asked for within the hour', 59 * 60_000, 'complete', 'hit'],
    ['is none whose list was not', 61 * 60_000, 'complete', 'fwd=miss'],
    ['are those of which a part is shown', 1_000, 'partial', 'hit'],
    ['are those that PipeOps does not count', 1_000, 'unproven', 'hit'],
    ['is none that PipeOps does not know, however often it is asked for', 1_000, 'unavailable', 'fwd=miss'],
    ['is none of which nothing is known yet', 1_000, null, 'fwd=miss'],
  ])('%s', async (_case, ageMs, state, from) => {
    await inUse(40, ageMs, state);
    await list(isolate);
    company.age(20);
    expect(await fromOf(await company.another())).toContain(from);
  });
});

describe('where the calls of reads are used up', () => {
  /** Of an hour, reads get eight in ten. */
  const few = { PIPEOPS_CALLS_PER_HOUR: '20' };
  /** PipeOps does not say how many there are. */
  const withoutHeaders = async (url: string, init: RequestInit): Promise<Response> => {
    const { status, body, headers } = await fetch(url, init);
    const kept = [...headers].filter(([name]) => !name.startsWith('x-ratelimit'));
    return new Response(body, { status, headers: kept });
  };
  const READS = 16;
  beforeEach(async () => {
    company = await createCompany({ env: few, runtime: { fetch: withoutHeaders } });
    isolate = company.first;
    await isolate.mint('one');
    for (let call = 0; call < READS - 1; call += 1) {
      await isolate.send('GET', TOKENS, {
        jwt: await jwtNow(isolate, 'admin', { sub: `reader-${call}` }),
        headers: { 'Cache-Control': 'no-cache' },
      });
      company.age(10);
    }
  });

  it('a list of up to an hour answers, and says that it is stale: in every isolate', async () => {
    const before = await calls();
    company.age(55 * 60);
    // The pace of so few calls is more than an hour, but for no-cache.
    const jwt = await jwtNow(isolate, 'admin', { sub: 'fresh' });
    await env.DB.prepare(`insert or replace into upstream_calls values ('hour', ?, 1000)`)
      .bind(Math.floor(isolate.runtime.now() / 300_000))
      .run();
    for (const by of [isolate, await company.another()]) {
      const answer = await by.send('GET', TOKENS, { jwt, headers: { 'Cache-Control': 'no-cache' } });
      expect([answer.status, answer.headers.get('Cache-Status')]).toEqual([
        200,
        expect.stringContaining('detail=stale'),
      ]);
      expect(namesIn(answer)).toEqual(['one']);
    }
    expect(await calls()).toBe(before);
  });

  it('a list that shows a change is asked for out of what is kept for changes', async () => {
    await isolate.mint('two');
    expect(namesIn(await listAs(isolate, 'somebody'))).toEqual(['one', 'two']);
  });

  it('what was never listed has to wait, is told for how long, and nobody waits for it', async () => {
    const unknown = crypto.randomUUID();
    const pauses: number[] = [];
    const reader = await company.another({ runtime: { sleep: async (ms) => void pauses.push(ms) } });
    for (const sub of ['a', 'b', 'c']) {
      const answer = await listAs(reader, sub, unknown);
      expect([429, 503]).toContain(answer.status);
      expect(answer.body.code).toBe('upstream_rate_limited');
      expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0);
    }
    expect(pauses).toEqual([]);
    const { results } = await env.DB.prepare('select lease_until from workspaces where workspace_uuid = ?')
      .bind(unknown)
      .all();
    expect(results).toEqual([{ lease_until: 0 }]);
  });

  it('a token is revoked all the same', async () => {
    const { id } = await isolate.mint('leaked');
    expect((await isolate.send('DELETE', `${TOKENS}/${id}`)).status).toBe(200);
  });
});

describe('an isolate that waits in vain for the list of another', () => {
  it('answers with one that is older than the pace, rather than ask as well', async () => {
    await isolate.mint('one');
    await list(isolate);
    company.age(30);
    await env.DB.prepare(
      `update workspaces set lease_until = ?, lease_holder = 'dead', lease_generation = generation where workspace_uuid = ?`,
    )
      .bind(isolate.runtime.now() + 12_000, isolate.workspace)
      .run();
    const before = await calls();
    const reader = isolate;
    expect(await fromOf(reader)).toContain('detail=stale');
    expect(await calls()).toBe(before);
  });
});

it('a call that was reserved for a list is counted once, and one that was not sent is given back', async () => {
  const used = async () =>
    await env.DB.prepare(`select coalesce(sum(calls), 0) as n from upstream_calls where span = 'hour'`).first<number>(
      'n',
    );
  await isolate.mint('one');
  const before = (await used()) ?? 0;
  await list(isolate);
  expect(await used()).toBe(before + 1);
  await isolate.send('GET', `${TOKENS}/unknown`);
  await list(await company.another());
  expect(await used()).toBe(before + 1);
});
