import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { ISSUER, TOKENS, type Answer } from '../support/harness.ts';
import { clearOrders, ordersOf } from './harness.ts';
import { createScene, type Scene } from './scene.ts';

// Answers that say less than they seem to, and wishes that outlive what was known when they were made.

let scene: Scene;
let subject: string;
beforeEach(async () => {
  await clearOrders();
  scene = await createScene();
  subject = `leaver-${crypto.randomUUID()}`;
});

const owner = async (): Promise<string> => await scene.jwt('owner', { sub: subject });
const create = async (more: object = {}): Promise<Answer> =>
  await scene.send('POST', TOKENS, { jwt: await owner(), body: { name: 'deploy', scopes: ['api:read'] }, ...more });
const mint = async (): Promise<{ id: string; token: string }> => (await create()).body.data;
const order = async (tokenId: string): Promise<Answer> =>
  await scene.sendEvent('scanner', 'token.revoke', { token_id: tokenId, workspace_uuid: scene.workspace });
const isPart = { pageSize: 1, pages: 'ignored' } as const;

it('a DELETE that meets 404 ends no token that a GET shows, where the list is only a part', async () => {
  await mint();
  const { id, token } = await mint();
  scene.elapse(120);
  scene.pipeops.behave({ ...isPart, hidesFromRevokes: true });
  await scene.leak(token);
  for (let minutes = 0; minutes < 4; minutes += 1) {
    scene.elapse(70);
    await scene.cron();
    expect(await ordersOf(scene)).toMatchObject([{ state: 'open', contradicted_at: null }]);
  }
  scene.pipeops.beHonest();
  await scene.minutes(100);
  expect(scene.pipeops.isAlive(id)).toBe(false);
  expect(await ordersOf(scene)).toMatchObject([{ state: 'confirmed' }]);
});

describe('an ordered id that only a GET shows', () => {
  it.each<[string, unknown]>([
    ['without a workspace', null],
    ['with another kind of id for its workspace', '42'],
  ])('(%s) is not taken for one that nobody made', async (_name, workspaceId) => {
    scene.pipeops.insert(scene.workspace, 'first');
    const made = scene.pipeops.insert(scene.workspace, 'second');
    scene.pipeops.behave({
      ...isPart,
      intercept: (method, url) =>
        method === 'GET' && url.pathname.endsWith(made.id)
          ? Response.json({
              success: true,
              data: {
                token: { id: made.id, name: made.name, scopes: [], workspace_id: workspaceId, is_revoked: false },
              },
            })
          : null,
    });
    await order(made.id);
    for (let minutes = 0; minutes < 4; minutes += 1) {
      scene.elapse(70);
      await scene.cron();
      expect(await ordersOf(scene)).toMatchObject([{ state: 'open' }]);
    }
    scene.pipeops.beHonest();
    await scene.minutes(100);
    expect(scene.pipeops.isAlive(made.id)).toBe(false);
  });
});

it('a withheld token that is found in neither of its workspaces at first is revoked in the one where it is', async () => {
  scene.pipeops.behave({
    createAnswer: { workspace_id: '11111111-2222-4333-8444-555555555555' },
    hidesFromRevokes: true,
  });
  expect((await create()).status).toBe(502);
  scene.pipeops.beHonest();
  await scene.minutes(10);
  expect(scene.pipeops.alive()).toEqual([]);
});

it('a revoke that came after its order had failed has a row that says that it was done', async () => {
  const made = scene.pipeops.insert(scene.workspace, 'by hand');
  scene.pipeops.behave({ hidden: new Set([made.id]) });
  await order(made.id);
  await scene.minutes(4);
  expect(await ordersOf(scene)).toMatchObject([{ state: 'confirmed', result: 'not_found' }]);
  scene.pipeops.beHonest();
  await scene.minutes(100);
  expect(scene.pipeops.isAlive(made.id)).toBe(false);
  const revokes = (await scene.rows()).filter(
    (row) => row.token_id === made.id && row.action === 'service_account_token.revoke',
  );
  expect(revokes.filter(({ status }) => status === 'success')).toHaveLength(1);
});

it('a key is free again once the withheld token of its create is revoked by its order', async () => {
  const keyed = { headers: { 'Idempotency-Key': 'one-key' } };
  scene.pipeops.behave({ mints: { scopes: ['api:full'] }, hidesFromRevokes: true });
  expect((await create(keyed)).status).toBe(502);
  scene.pipeops.beHonest();
  await scene.minutes(10);
  expect(scene.pipeops.alive()).toEqual([]);
  expect((await create(keyed)).status).toBe(201);
});

it('a look that shows a token outweighs an absence that a clock noted for an hour from now', async () => {
  const { id } = await mint();
  scene.elapse(3_720);
  const list = async () => await scene.send('GET', TOKENS, { jwt: await scene.jwt('admin') });
  scene.pipeops.behave({ hidden: new Set([id]) });
  await list();
  scene.elapse(-3_600);
  scene.pipeops.beHonest();
  await list();
  expect(await scene.inventory()).toMatchObject([{ unseen_at: null }]);
});

it('what a leaver mints who was let in again is not taken by what is left of the offboarding', async () => {
  const { id } = await mint();
  // More than one batch makes, of tokens that have expired.
  await env.DB.prepare(
    `insert into tokens (workspace_uuid, token_id, create_event_id, created_at, expires_at, owner_issuer, owner_subject)
     select workspace_uuid, 'old-' || n.value, create_event_id, 1, 2, owner_issuer, owner_subject
     from tokens, json_each(?) as n where token_id = ?`,
  )
    .bind(JSON.stringify(Array.from({ length: 600 }, (_, index) => index)), id)
    .run();
  scene.pipeops.behave({ intercept: (method) => (method === 'DELETE' ? new Response('', { status: 429 }) : null) });
  await scene.offboard({ issuer: ISSUER, subject });
  await scene.reinstate({ issuer: ISSUER, subject });
  expect(await ordersOf(scene)).toHaveLength(500);
  scene.pipeops.beHonest();
  scene.elapse(400);
  const after = await mint();
  await scene.minutes(3);
  expect(await ordersOf(scene)).toHaveLength(601);
  expect(scene.pipeops.alive()).toEqual([after.id]);
});
