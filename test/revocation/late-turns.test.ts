import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { ISSUER, TOKENS, type Answer } from '../support/harness.ts';
import { clearOrders, ordersOf } from './harness.ts';
import { createScene, type Scene } from './scene.ts';

// What turns out late, or at the very moment at which something else is done.

let scene: Scene;
let subject: string;
beforeEach(async () => {
  await clearOrders();
  scene = await createScene();
  subject = `leaver-${crypto.randomUUID()}`;
});

/** The same Worker in another isolate: what happens while the first one waits for PipeOps. */
const elsewhere = async (): Promise<Scene> =>
  await createScene({ like: scene, runtime: { now: scene.now, fetch: scene.pipeops.fetch } });
const owner = async (): Promise<string> => await scene.jwt('owner', { sub: subject });
const leaver = (): object => ({ issuer: ISSUER, subject });
const create = async (more: object = {}): Promise<Answer> =>
  await scene.send('POST', TOKENS, { jwt: await owner(), body: { name: 'deploy', scopes: ['api:read'] }, ...more });
const mint = async (): Promise<{ id: string; token: string }> => (await create()).body.data;
const remove = async (id: string): Promise<Answer> =>
  await scene.send('DELETE', `${TOKENS}/${id}`, { jwt: await owner() });
const states = async (): Promise<string[]> => (await ordersOf(scene)).map(({ state }) => state);
const noneAttempted = async (): Promise<void> =>
  expect((await scene.rows()).filter(({ status }) => status === 'attempted')).toEqual([]);

it('an offboarding that comes while PipeOps answers a caller’s DELETE with 404 leaves nothing alive', async () => {
  const { id } = await mint();
  scene.elapse(120);
  const other = await elsewhere();
  let once = true;
  scene.pipeops.behave({
    hidesFromRevokes: true,
    beforeAnswer: async (method) => {
      if (method !== 'DELETE' || !once) return;
      once = false;
      await other.offboard(leaver());
    },
  });
  expect((await remove(id)).status).toBe(409);
  scene.pipeops.beHonest();
  await scene.minutes(100);
  expect(scene.pipeops.isAlive(id)).toBe(false);
  expect(new Set(await states())).toEqual(new Set(['confirmed']));
  await noneAttempted();
});

it.each([['revoke'], ['suspend']])(
  'an offboarding (%s) that comes inside a create leaves nothing alive',
  async (mode) => {
    const other = await elsewhere();
    scene.pipeops.behave({
      hidesFromRevokes: true,
      beforeAnswer: async (method) => {
        if (method === 'POST') await other.offboard({ ...leaver(), mode });
      },
    });
    expect((await create()).status).toBe(403);
    scene.pipeops.beHonest();
    await scene.minutes(100);
    expect(scene.pipeops.alive()).toEqual([]);
    await noneAttempted();
  },
);

describe('a worker that is killed', () => {
  it('between a DELETE of an order and its writing sends it again, and believes the rule', async () => {
    const { id, token } = await mint();
    scene.elapse(120);
    let dies = true;
    scene.pipeops.behave({
      beforeAnswer: async (method) => {
        if (method === 'DELETE' && dies) {
          dies = false;
          throw new Error('killed');
        }
      },
    });
    await scene.leak(token);
    await scene.minutes(10);
    expect(scene.pipeops.isAlive(id)).toBe(false);
    expect(await states()).toEqual(['confirmed']);
    await noneAttempted();
  });

  it('between a caller’s DELETE and its row leaves a row that reconciliation settles, and a later reappearance is ordered anew', async () => {
    const { id } = await mint();
    scene.elapse(120);
    scene.pipeops.behave({
      ignoresRevokes: true,
      hidden: new Set([id]),
      intercept: (method, url) =>
        method === 'DELETE'
          ? new Response('', { status: 500 })
          : method === 'GET' && url.pathname.endsWith(id)
            ? Response.json({ success: false }, { status: 404 })
            : null,
    });
    expect((await remove(id)).status).toBe(504);
    await scene.minutes(10);
    await noneAttempted();
    scene.pipeops.beHonest();
    scene.elapse(120);
    await scene.send('GET', TOKENS, { jwt: await scene.jwt('admin') });
    await scene.minutes(30);
    expect(scene.pipeops.isAlive(id)).toBe(false);
  });
});

describe('a workspace that is gone after the acknowledgement', () => {
  it('for more than three days keeps a revoke from being said to be confirmed, and the token is ordered once it is back', async () => {
    const { id, token } = await mint();
    scene.pipeops.behave({
      ignoresRevokes: true,
      intercept: (method) => (method === 'GET' ? Response.json({}, { status: 404 }) : null),
    });
    await scene.leak(token);
    scene.pipeops.behave({ isWorkspaceGone: true });
    for (let hours = 0; hours < 80; hours += 8) {
      scene.elapse(8 * 3_600);
      await scene.cron();
    }
    expect(await states()).toEqual(['failed']);
    scene.pipeops.beHonest();
    await scene.send('GET', TOKENS, { jwt: await scene.jwt('admin') });
    await scene.minutes(100);
    expect(scene.pipeops.isAlive(id)).toBe(false);
    expect(await states()).toEqual(['confirmed']);
  });
});

it('orders that were given up are carried out by a retry, and each has a row that says so', async () => {
  const { id, token } = await mint();
  scene.elapse(120);
  scene.pipeops.behave({ isWorkspaceGone: true });
  const answer = await scene.leak(token);
  for (let hours = 0; hours < 80; hours += 8) {
    scene.elapse(8 * 3_600);
    await scene.cron();
  }
  expect(await states()).toEqual(['failed']);
  scene.pipeops.beHonest();
  const retried = await scene.send('POST', `/api/v1/webhooks/deliveries/${answer.body.data.delivery_id}/retry`, {
    jwt: await scene.jwt('admin'),
  });
  expect(retried.status, retried.text).toBeLessThan(300);
  await scene.minutes(5);
  expect(scene.pipeops.isAlive(id)).toBe(false);
  expect((await states()).toSorted()).toEqual(['confirmed', 'retried']);
});

describe('a suspended token', () => {
  it('that comes alive at PipeOps by itself is suspended again, until a resume lifts it', async () => {
    const { id } = await mint();
    await scene.offboard({ ...leaver(), mode: 'suspend' });
    expect(scene.pipeops.tokens.get(id)?.isActive).toBe(false);
    const token = scene.pipeops.tokens.get(id);
    if (token !== undefined) token.isActive = true;
    await scene.minutes(10);
    expect(scene.pipeops.tokens.get(id)?.isActive).toBe(false);
    await scene.reinstate(leaver());
    const resumed = await scene.send('PATCH', `${TOKENS}/${id}`, {
      jwt: await scene.jwt('admin'),
      body: { is_active: true },
    });
    expect(resumed.status, resumed.text).toBe(200);
    await scene.minutes(180);
    expect(scene.pipeops.tokens.get(id)).toMatchObject({ isActive: true, revokedAtMs: null });
  });

  it('whose resume is in flight while a leak comes is revoked', async () => {
    const { id, token } = await mint();
    await scene.send('PATCH', `${TOKENS}/${id}`, { jwt: await owner(), body: { is_active: false } });
    const other = await elsewhere();
    scene.pipeops.behave({
      hidesFromRevokes: true,
      beforeAnswer: async (method) => {
        if (method === 'PATCH') await other.leak(token);
      },
    });
    const resumed = await scene.send('PATCH', `${TOKENS}/${id}`, { jwt: await owner(), body: { is_active: true } });
    expect(resumed.status).toBe(409);
    scene.pipeops.beHonest();
    await scene.minutes(100);
    expect(scene.pipeops.isAlive(id)).toBe(false);
    expect(new Set(await states())).toEqual(new Set(['confirmed']));
    await noneAttempted();
  });
});

it.each([['listed'], [null]])('a leak of a token whose end is not proven (%s) is sent', async (endedBy) => {
  const { id, token } = await mint();
  await env.DB.prepare('update tokens set revoked_at = 1, ended_by = ? where token_id = ?').bind(endedBy, id).run();
  await scene.leak(token);
  expect(scene.pipeops.isAlive(id)).toBe(false);
});

it.each([
  ['3 of 5 tokens proves nothing', 3, 0],
  ['2 of 5 tokens proves that these are gone', 2, 2],
])('a list that lacks %s', async (_name, lacking, gone) => {
  const ids: string[] = [];
  for (let made = 0; made < 5; made += 1) ids.push((await mint()).id);
  scene.pipeops.behave({ hidden: new Set(ids.slice(0, lacking)) });
  for (let lists = 0; lists < 3; lists += 1) {
    scene.elapse(90);
    await scene.send('GET', TOKENS, { jwt: await scene.jwt('admin') });
  }
  expect((await scene.inventory()).filter(({ ended_by: end }) => end === 'absent')).toHaveLength(gone);
});
