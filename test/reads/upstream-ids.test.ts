import { env } from 'cloudflare:workers';
import { beforeEach, expect, it } from 'vitest';
import { READ_OVERTAKE_MS } from '../../src/config/limits.ts';
import { TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { createCompany, jwtNow, list } from './isolates.ts';

// PipeOps' own log leads to the row of whoever caused a call: its `X-Request-Id` is the id of that row.

let company: Awaited<ReturnType<typeof createCompany>>;
let isolate: Harness;
beforeEach(async () => {
  company = await createCompany();
  isolate = company.first;
  beginMinute();
});

/** Reads within a minute of the clock may share a row, so that a test begins with one. */
function beginMinute(): void {
  company.age(61 - ((isolate.runtime.now() / 1000) % 60));
}

const MINTED = 'POST';
/** The ids that PipeOps was told by reads, in order. */
const idsAtPipeOps = async () =>
  (await isolate.upstream()).filter(({ method }) => method !== MINTED).map(({ event_id }) => event_id);
const idOf = ({ headers }: Answer) => headers.get('X-Audit-Event-Id');
const rowOf = async (id: string | null | undefined) =>
  await env.DB.prepare('select action, status, upstream_status, count from audit_events where id = ?').bind(id).first();
const get = async (by: Harness, id: string) => await by.send('GET', `${TOKENS}/${id}`, { jwt: await jwtNow(by) });

it('of a list', async () => {
  await isolate.mint('one');
  const answer = await list(isolate);
  expect(await idsAtPipeOps()).toEqual([idOf(answer)]);
  expect(await rowOf(idOf(answer))).toMatchObject({
    action: 'service_account_token.list',
    status: 'success',
    upstream_status: 200,
  });
});

it('of a list of several pages: each page', async () => {
  for (const name of ['a', 'b', 'c']) await isolate.mint(name);
  await isolate.control.behave(isolate.workspace, { list: { page_size: 2 } });
  const answer = await list(isolate);
  const ids = await idsAtPipeOps();
  expect(ids.length).toBeGreaterThan(1);
  expect(new Set(ids)).toEqual(new Set([idOf(answer)]));
});

it('of a get, and of the same get that PipeOps is asked for by itself', async () => {
  const { id } = await isolate.mint('one');
  await isolate.control.fault({ partial: 0, match: { workspace_uuid: isolate.workspace, method: 'GET' } });
  const listed = await list(isolate);
  const got = await get(isolate, id);
  expect([...new Set(await idsAtPipeOps())]).toEqual([idOf(listed), idOf(got)]);
  expect(await rowOf(idOf(got))).toMatchObject({ action: 'service_account_token.get', status: 'success' });
});

it.each([
  ['refuses', { status: 403 }, 'failure'],
  ['fails', { status: 503 }, 'failure'],
])('of a read that PipeOps %s', async (_case, fault, status) => {
  await isolate.control.fault({ times: 50, ...fault, match: { workspace_uuid: isolate.workspace } });
  const answer = await list(isolate);
  const ids = new Set(await idsAtPipeOps());
  expect(ids).toEqual(new Set([idOf(answer)]));
  expect(await rowOf(idOf(answer))).toMatchObject({ status });
});

it('of a 404, each time of its own row', async () => {
  await isolate.control.behave(isolate.workspace, { list: { page_size: 1, pages: 'ignored' } });
  for (const name of ['a', 'b']) await isolate.mint(name);
  const answers = [await get(isolate, 'unknown'), await get(isolate, 'unknown')];
  expect(answers.map(({ status }) => status)).toEqual([404, 404]);
  const ids = await idsAtPipeOps();
  for (const answer of answers) expect(ids).toContain(idOf(answer));
  expect(idOf(answers[0] as Answer)).not.toBe(idOf(answers[1] as Answer));
});

it('of the read that caused the call, where it serves several: their rows are their own', async () => {
  await isolate.mint('one');
  const jwts = await Promise.all(
    Array.from({ length: 12 }, async (_item, index) => await jwtNow(isolate, 'admin', { sub: `reader-${index % 3}` })),
  );
  const answers = await Promise.all(jwts.map(async (jwt) => await isolate.send('GET', TOKENS, { jwt })));
  const [id, ...others] = await idsAtPipeOps();
  expect(others).toEqual([]);
  expect(answers.map(idOf)).toContain(id);
  expect(await rowOf(id)).toMatchObject({ status: 'success', upstream_status: 200, count: 4 });
  expect(new Set(answers.map(idOf)).size).toBe(3);
});

it('of the row that a read is counted in, where an alike one of its minute is there', async () => {
  const off = await company.another({ env: { SNAPSHOT_MAX_AGE_SECONDS: '0' } });
  await isolate.mint('one');
  const answers = [await list(off), await list(off), await list(off)];
  const [id] = answers.map(idOf);
  expect(answers.map(idOf)).toEqual([id, id, id]);
  expect(await idsAtPipeOps()).toEqual([id, id, id]);
  expect(await rowOf(id)).toMatchObject({ count: 3 });
  company.age(60);
  const later = await list(off);
  expect(idOf(later)).not.toBe(id);
  expect((await idsAtPipeOps()).at(-1)).toBe(idOf(later));
});

it('of one of the alike reads that ask at once, where lists are not shared: their row has the id of one of them', async () => {
  const off = await company.another({ env: { SNAPSHOT_MAX_AGE_SECONDS: '0' } });
  await isolate.mint('one');
  const answers = await Promise.all([list(off), list(off), list(off)]);
  const [id, ...others] = new Set(answers.map(idOf));
  expect(others).toEqual([]);
  const told = await idsAtPipeOps();
  expect(told).toHaveLength(3);
  expect(told).toContain(id);
  expect(await rowOf(id)).toMatchObject({ count: 3 });
});

it('of a read that turns out otherwise than the alike one before it, though others with its outcome go to D1 beside it', async () => {
  const waiting: (() => void)[] = [];
  const atD1: (() => void)[] = [];
  let isHolding = false;
  let gathered = 0;
  const db = new Proxy(env.DB, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
      return async (statements: D1PreparedStatement[]) => {
        if (isHolding) await new Promise<void>((resolve) => atD1.push(resolve));
        return await target.batch(statements);
      };
    },
  });
  const off = await company.another({
    db,
    env: { SNAPSHOT_MAX_AGE_SECONDS: '0' },
    runtime: {
      // Nobody's patience behind a group ends.
      after: (ms, call) => {
        if (ms !== READ_OVERTAKE_MS) return isolate.runtime.after(ms, call);
        gathered += 1;
        return () => {};
      },
      fetch: async (url, init) => {
        await new Promise<void>((resolve) => waiting.push(resolve));
        return await isolate.runtime.fetch(url, init);
      },
    },
  });
  const asked = async (count: number) => await expect.poll(() => waiting.length, { interval: 5 }).toBe(count);
  const other = off.send('GET', TOKENS, { jwt: await jwtNow(off, 'admin', { sub: 'other' }) });
  await asked(1);
  const succeeding = list(off);
  await asked(2);
  const failing = [list(off)];
  await asked(3);
  waiting[1]?.();
  await expect.poll(() => off.lines.some(({ event }) => event === 'request'), { interval: 5 }).toBe(true);
  // These know the row of the one that succeeded, and tell PipeOps that.
  failing.push(list(off), list(off));
  await asked(5);
  await isolate.control.fault({ times: 50, status: 403, match: { workspace_uuid: isolate.workspace } });
  // The others gather behind the row of this one.
  isHolding = true;
  waiting[0]?.();
  await expect.poll(() => atD1.length, { interval: 5 }).toBe(1);
  gathered = 0;
  for (const goOn of waiting) goOn();
  await expect.poll(() => gathered, { interval: 5 }).toBe(failing.length);
  isHolding = false;
  atD1[0]?.();
  await other;
  const [, , id] = await idsAtPipeOps();
  expect((await Promise.all(failing)).map(idOf)).toEqual([id, id, id]);
  expect(idOf(await succeeding)).not.toBe(id);
});
