import { beforeEach, describe, expect, it } from 'vitest';
import { ISSUER, TOKENS, type Answer } from '../support/harness.ts';
import { clearOrders, ordersOf } from './harness.ts';
import { createScene, type Scene } from './scene.ts';

// Where several wishes, or several reasons for doubt, meet at one token.

let scene: Scene;
let subject: string;
let id: string;
let secret: string;
beforeEach(async () => {
  await clearOrders();
  scene = await createScene();
  subject = `leaver-${crypto.randomUUID()}`;
  const answer = await scene.send('POST', TOKENS, {
    jwt: await owner(),
    body: { name: 'deploy', scopes: ['api:read'] },
  });
  ({ id, token: secret } = answer.body.data);
  scene.elapse(120);
});

const owner = async (): Promise<string> => await scene.jwt('owner', { sub: subject });
const remove = async (): Promise<Answer> => await scene.send('DELETE', `${TOKENS}/${id}`, { jwt: await owner() });
const leaver = (): object => ({ issuer: ISSUER, subject });
const list = async (): Promise<Answer> => await scene.send('GET', TOKENS, { jwt: await scene.jwt('admin') });
const states = async (): Promise<string[]> => (await ordersOf(scene)).map(({ state }) => state);
const expectDeadAndSaidSo = async (): Promise<void> => {
  expect(scene.pipeops.isAlive(id)).toBe(false);
  for (const state of await states()) expect(['confirmed', 'retried', 'lifted']).toContain(state);
  expect((await scene.rows()).filter(({ status }) => status === 'attempted')).toEqual([]);
};

describe('a DELETE that PipeOps answers with 404 though the token lives', () => {
  beforeEach(async () => {
    scene.pipeops.behave({ hidesFromRevokes: true });
    await remove();
  });

  it('ends with the leak report that comes beside it', async () => {
    await scene.leak(secret);
    expect(await states()).toEqual(['open', 'open']);
    scene.pipeops.beHonest();
    await scene.minutes(100);
    await expectDeadAndSaidSo();
  });

  it('goes on when its owner is offboarded, and when it is let in again', async () => {
    await scene.offboard(leaver());
    await scene.reinstate(leaver());
    scene.pipeops.beHonest();
    await scene.minutes(100);
    await expectDeadAndSaidSo();
  });

  it('makes one order however often it is repeated, and each repetition has its row', async () => {
    const answers = [await remove(), await remove()];
    expect(answers.map(({ status }) => status)).toEqual([409, 409]);
    expect(await ordersOf(scene)).toHaveLength(1);
    for (const answer of answers) {
      const eventId = answer.headers.get('X-Audit-Event-Id');
      expect((await scene.rows()).find((row) => row.id === eventId)).toMatchObject({
        error_code: 'revocation_pending',
      });
    }
  });
});

describe('an answer to a DELETE that acknowledges nothing', () => {
  it.each<[string, () => Response]>([
    ['says that it failed', () => Response.json({ success: false, message: 'no' })],
    ['is a page', () => new Response('<html></html>', { headers: { 'Content-Type': 'text/html' } })],
    ['is 410', () => Response.json({ message: 'gone' }, { status: 410 })],
    ['is 403', () => Response.json({ message: 'no' }, { status: 403 })],
    ['is 404 in no JSON', () => new Response('not found', { status: 404 })],
  ])('(it %s) leaves a leaked token ordered, and it dies when PipeOps obeys', async (_name, answer) => {
    scene.pipeops.behave({ intercept: (method) => (method === 'DELETE' ? answer() : null) });
    await scene.leak(secret);
    await scene.minutes(4);
    expect(await states()).toEqual(['open']);
    scene.pipeops.beHonest();
    await scene.minutes(100);
    await expectDeadAndSaidSo();
  });
});

it('a token that was suspended by an offboarding is revoked by a leak, and no suspension is said to be contradicted', async () => {
  await scene.offboard({ ...leaver(), mode: 'suspend' });
  await scene.leak(secret);
  await scene.minutes(100);
  await expectDeadAndSaidSo();
  expect((await scene.rows()).map(({ error_code }) => error_code)).not.toContain('revocation_contradicted');
});

it('a revoke is not confirmed by a workspace that is gone, and is once it is back', async () => {
  scene.pipeops.behave({ intercept: (method) => (method === 'GET' ? Response.json({}, { status: 404 }) : null) });
  await scene.leak(secret);
  await scene.minutes(5);
  expect(await states()).toEqual(['acknowledged']);
  scene.pipeops.beHonest();
  await scene.minutes(100);
  await expectDeadAndSaidSo();
});

it('two crons at once send one DELETE', async () => {
  scene.pipeops.behave({ intercept: (method) => (method === 'DELETE' ? new Response('', { status: 500 }) : null) });
  await scene.leak(secret);
  scene.pipeops.beHonest();
  scene.pipeops.sent.length = 0;
  scene.elapse(120);
  await Promise.all([scene.worker.scheduled(), scene.worker.scheduled()]);
  await scene.cron();
  expect(scene.pipeops.sent.filter(({ method }) => method === 'DELETE')).toHaveLength(1);
});

describe('token.revoke for an id that the inventory lacks', () => {
  const order = async (tokenId: string) =>
    await scene.sendEvent('scanner', 'token.revoke', { token_id: tokenId, workspace_uuid: scene.workspace });

  it('is sent once a list that lagged shows it', async () => {
    const made = scene.pipeops.insert(scene.workspace, 'by hand');
    scene.pipeops.behave({ hidden: new Set([made.id]) });
    await order(made.id);
    await scene.minutes(1);
    expect(await states()).toEqual(['open']);
    scene.pipeops.beHonest();
    await scene.minutes(100);
    expect(scene.pipeops.isAlive(made.id)).toBe(false);
    expect(await states()).toEqual(['confirmed']);
  });

  it('that nobody ever made ends as not found, by two looks', async () => {
    await order('made-up');
    expect(await states()).toEqual(['open']);
    await scene.minutes(5);
    expect(await ordersOf(scene)).toMatchObject([{ state: 'confirmed', result: 'not_found' }]);
    expect((await scene.rows()).at(-1)).toBeDefined();
    expect(scene.pipeops.sent.filter(({ method }) => method === 'DELETE')).toEqual([]);
  });
});

it('a leaver’s token that has expired by our clock, and that PipeOps lists alive, is revoked', async () => {
  const token = scene.pipeops.tokens.get(id);
  if (token !== undefined) token.expiresAt = null;
  await scene.expire(id);
  await scene.offboard(leaver());
  await scene.minutes(5);
  expect(scene.pipeops.isAlive(id)).toBe(false);
});

it('a list that is a part for ever keeps no leaver’s token alive', async () => {
  for (const name of ['b', 'c', 'd']) {
    await scene.send('POST', TOKENS, { jwt: await owner(), body: { name, scopes: ['api:read'] } });
  }
  scene.pipeops.behave({ pageSize: 1, pages: 'ignored' });
  await scene.offboard(leaver());
  await scene.minutes(10);
  expect(scene.pipeops.alive()).toEqual([]);
  expect(new Set(await states())).toEqual(new Set(['confirmed']));
});

it('a clock that is put back an hour between two looks makes nothing gone', async () => {
  scene.pipeops.behave({ hidden: new Set([id]) });
  scene.elapse(3_600);
  await list();
  scene.elapse(-3_600);
  await list();
  expect(await scene.inventory()).toMatchObject([{ revoked_at: null }]);
  await scene.offboard(leaver());
  expect(scene.pipeops.isAlive(id)).toBe(false);
});

it('a rename of a token whose revocation waits does not stand as if nothing were ordered', async () => {
  scene.pipeops.behave({ intercept: (method) => (method === 'DELETE' ? new Response('', { status: 500 }) : null) });
  await scene.leak(secret);
  const renamed = await scene.send('PATCH', `${TOKENS}/${id}`, { jwt: await owner(), body: { name: 'renamed' } });
  expect(renamed.status).toBe(409);
  scene.pipeops.beHonest();
  await scene.minutes(100);
  await expectDeadAndSaidSo();
});

it('a repeated create never gives out the secret of one that was withheld', async () => {
  const create = async () =>
    await scene.send('POST', TOKENS, {
      jwt: await owner(),
      body: { name: 'keyed', scopes: ['api:read'] },
      headers: { 'Idempotency-Key': 'one-key' },
    });
  scene.pipeops.behave({ mints: { scopes: ['api:full'] } });
  expect((await create()).status).toBe(502);
  scene.pipeops.beHonest();
  const again = await create();
  expect(again.status).toBe(201);
  expect(scene.pipeops.tokens.get(again.body.data.id)?.scopes).toEqual(['api:read']);
  expect(new Set(scene.pipeops.alive())).toEqual(new Set([id, again.body.data.id]));
});
