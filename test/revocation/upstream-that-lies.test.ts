import { beforeEach, describe, expect, it } from 'vitest';
import type { Answer } from '../support/harness.ts';
import { ISSUER, TOKENS } from '../support/harness.ts';
import { clearOrders, ordersOf } from './harness.ts';
import type { Behaviour } from './pipeops.ts';
import { createScene, type Scene } from './scene.ts';

// A token that should die is dead, and the trail says so only when it is: before a PipeOps that lags, errs or does not obey.

let scene: Scene;
let subject: string;
beforeEach(async () => {
  await clearOrders();
  scene = await createScene();
  subject = `leaver-${crypto.randomUUID()}`;
});

const path = (id: string): string => `${TOKENS}/${id}`;
const leaver = async (): Promise<string> => await scene.jwt('owner', { sub: subject });
const mint = async (jwt: string, body: object = {}): Promise<{ id: string; token: string }> => {
  const answer = await scene.send('POST', TOKENS, { jwt, body: { name: 'deploy', scopes: ['api:read'], ...body } });
  expect(answer.status, answer.text).toBe(201);
  return answer.body.data;
};
const list = async (): Promise<Answer> => await scene.send('GET', TOKENS, { jwt: await scene.jwt('admin') });
const offboard = async (more: object = {}): Promise<Answer> => {
  const answer = await scene.offboard({ issuer: ISSUER, subject, ...more });
  expect(answer.status, answer.text).toBe(202);
  return answer;
};
const states = async (): Promise<string[]> => (await ordersOf(scene)).map(({ state }) => state);
const codesOf = async (tokenId: string): Promise<(string | null)[]> =>
  (await scene.rows()).filter((row) => row.token_id === tokenId).map((row) => row.error_code);
const degraded = async (): Promise<string[]> => {
  scene.elapse(6);
  return (await scene.send('GET', '/readyz', { jwt: null })).body.data.degraded;
};
/** Nothing waits any more, and nothing is said to be over that is not. */
const expectAllOver = async (): Promise<void> => {
  for (const order of await ordersOf(scene)) {
    expect(['confirmed', 'retried', 'lifted']).toContain(order.state);
    if (order.state === 'confirmed' && order.mode === 'revoke')
      expect(scene.pipeops.isAlive(order.token_id)).toBe(false);
  }
  expect((await scene.rows()).filter(({ status }) => status === 'attempted')).toEqual([]);
};

describe('one list that lacks live tokens', () => {
  const lies: readonly [string, Partial<Behaviour>][] = [
    ['is empty', { hidden: 'all' }],
    ['comes from a replica that is behind', { listLagMs: 3_600_000 }],
  ];

  it.each(lies)('and that %s ends none of them: a leaver’s tokens are all revoked', async (_name, lie) => {
    const jwt = await leaver();
    const minted = [];
    for (let count = 0; count < 5; count += 1) minted.push(await mint(jwt, { name: `deploy-${count}` }));
    scene.elapse(120);
    scene.pipeops.behave(lie);
    await list();
    scene.pipeops.beHonest();
    await offboard();
    expect(scene.pipeops.alive()).toEqual([]);
    expect(await ordersOf(scene)).toHaveLength(5);
    for (const { id } of minted) expect(await codesOf(id)).not.toContain('gone_upstream');
  });

  it.each(lies)('and that %s keeps no ordered revocation from being sent', async (_name, lie) => {
    const { id } = await mint(await leaver());
    scene.elapse(120);
    scene.pipeops.behave(lie);
    await list();
    const answer = await scene.sendEvent('scanner', 'token.revoke', { token_id: id });
    expect(answer.status).toBe(202);
    expect(scene.pipeops.isAlive(id)).toBe(false);
    expect(await ordersOf(scene)).toMatchObject([{ result: 'revoked' }]);
  });

  it('is an observation: two of them a minute apart agree, and a later look that shows the token undoes it', async () => {
    const { id } = await mint(await leaver());
    scene.elapse(61);
    scene.pipeops.behave({ hidden: new Set([id]) });
    await list();
    expect(await scene.inventory()).toMatchObject([{ revoked_at: null, unseen_at: expect.any(Number) }]);
    scene.elapse(30);
    await list();
    expect(await codesOf(id)).not.toContain('gone_upstream');
    scene.elapse(31);
    await list();
    expect(await codesOf(id)).toContain('gone_upstream');
    expect(await scene.inventory()).toMatchObject([{ ended_by: 'absent' }]);

    scene.pipeops.beHonest();
    scene.elapse(61);
    await list();
    expect(await codesOf(id)).toContain('reappeared_upstream');
    expect(await scene.inventory()).toMatchObject([{ revoked_at: null, ended_by: null, unseen_at: null }]);
  });

  it('proves nothing where it lacks more than half of the tokens that should be there: their ids are asked for', async () => {
    const jwt = await leaver();
    const ids = [];
    for (let count = 0; count < 4; count += 1) ids.push((await mint(jwt)).id);
    scene.pipeops.behave({ hidden: 'all' });
    for (let lists = 0; lists < 3; lists += 1) {
      scene.elapse(90);
      await list();
    }
    for (const id of ids) expect(await codesOf(id)).not.toContain('gone_upstream');
  });

  it('orders a token anew that was taken for gone, where its owner was offboarded meanwhile', async () => {
    const { id } = await mint(await leaver());
    scene.pipeops.behave({ hidden: new Set([id]), hidesFromRevokes: true });
    for (let lists = 0; lists < 2; lists += 1) {
      scene.elapse(90);
      await list();
    }
    expect(await codesOf(id)).toContain('gone_upstream');
    await offboard();
    scene.pipeops.beHonest();
    scene.elapse(90);
    await list();
    await scene.minutes(3);
    expect(scene.pipeops.isAlive(id)).toBe(false);
    await expectAllOver();
  });
});

describe('a 404 in answer to a revoke', () => {
  it('is no end of the token where its workspace is gone: both orders and callers’ wishes wait, and are carried out', async () => {
    const jwt = await leaver();
    const [own, ordered] = [await mint(jwt), await mint(jwt)];
    scene.elapse(120);
    scene.pipeops.behave({ isWorkspaceGone: true });
    const deleted = await scene.send('DELETE', path(own.id), { jwt: await leaver() });
    expect([deleted.status, deleted.body.code]).toEqual([409, 'revocation_pending']);
    const eventId = deleted.headers.get('X-Audit-Event-Id');
    expect((await scene.rows()).find(({ id }) => id === eventId)).toMatchObject({ status: 'attempted' });
    await scene.leak(ordered.token);
    await scene.minutes(5);
    expect(await states()).toEqual(['open', 'open']);
    expect((await ordersOf(scene)).map(({ error_code }) => error_code)).toContain('workspace_unavailable');

    scene.pipeops.beHonest();
    await scene.minutes(70);
    expect(scene.pipeops.alive()).toEqual([]);
    await expectAllOver();
    expect((await scene.rows()).find(({ id }) => id === eventId)).toMatchObject({ status: 'success' });
  });

  it('ends as a failure after three days of a workspace that is gone, never as done', async () => {
    const { token, id } = await mint(await leaver());
    scene.elapse(120);
    scene.pipeops.behave({ isWorkspaceGone: true });
    await scene.leak(token);
    for (let hours = 0; hours < 80; hours += 8) {
      scene.elapse(8 * 3_600);
      await scene.cron();
    }
    expect(await ordersOf(scene)).toMatchObject([{ state: 'failed', error_code: 'workspace_unavailable' }]);
    expect(await codesOf(id)).toContain('workspace_unavailable');
    expect(await degraded()).toContain('revocation_orders');
  });

  it('is believed once the rule of absence agrees, and not before', async () => {
    const { id } = await mint(await leaver());
    scene.elapse(120);
    scene.pipeops.tokens.delete(id);
    const deleted = await scene.send('DELETE', path(id), { jwt: await leaver() });
    expect([deleted.status, deleted.body.code]).toEqual([409, 'revocation_pending']);
    await scene.minutes(4);
    await expectAllOver();
    expect(await ordersOf(scene)).toMatchObject([{ state: 'confirmed', result: 'already_gone' }]);
    scene.pipeops.sent.length = 0;
    const again = await scene.send('DELETE', path(id), { jwt: await leaver() });
    expect(again.status).toBe(200);
    expect(scene.pipeops.sent).toEqual([]);
  });

  it('is sent again where a look shows the token', async () => {
    const { id } = await mint(await leaver());
    scene.elapse(120);
    scene.pipeops.behave({ hidesFromRevokes: true });
    expect((await scene.send('DELETE', path(id), { jwt: await leaver() })).status).toBe(409);
    await scene.minutes(3);
    expect(await states()).toEqual(['open']);
    scene.pipeops.beHonest();
    await scene.minutes(70);
    expect(scene.pipeops.isAlive(id)).toBe(false);
    await expectAllOver();
  });
});

describe('a revoke that PipeOps acknowledged', () => {
  it('of a caller is 200, needs no call the next time, and is confirmed by the cron’s next list', async () => {
    const { id } = await mint(await leaver());
    scene.pipeops.sent.length = 0;
    expect((await scene.send('DELETE', path(id), { jwt: await leaver() })).status).toBe(200);
    expect(scene.pipeops.sent.map(({ method }) => method)).toEqual(['DELETE']);
    expect((await scene.send('DELETE', path(id), { jwt: await leaver() })).status).toBe(200);
    expect(scene.pipeops.sent.map(({ method }) => method)).toEqual(['DELETE']);
    expect(await states()).toEqual(['acknowledged']);
    await scene.minutes(1);
    expect(await states()).toEqual(['confirmed']);
  });

  it('and did not do is ordered again, is told once a day, and degrades readiness until a look agrees', async () => {
    const { id, token } = await mint(await leaver());
    scene.pipeops.behave({ ignoresRevokes: true });
    await scene.leak(token);
    expect(await states()).toEqual(['acknowledged']);
    await scene.minutes(10);
    expect((await codesOf(id)).filter((code) => code === 'revocation_contradicted')).toHaveLength(1);
    expect(await degraded()).toContain('revocation_contradicted');
    scene.pipeops.beHonest();
    await scene.minutes(130);
    expect(scene.pipeops.isAlive(id)).toBe(false);
    expect(await degraded()).not.toContain('revocation_contradicted');
    await expectAllOver();
  });

  it('is found out though lists hid the token when it was confirmed', async () => {
    const { id, token } = await mint(await leaver());
    scene.pipeops.behave({ ignoresRevokes: true, hidden: new Set([id]) });
    await scene.leak(token);
    await scene.minutes(60);
    scene.pipeops.beHonest();
    await scene.minutes(120);
    expect(scene.pipeops.isAlive(id)).toBe(false);
    expect(await codesOf(id)).toContain('revocation_contradicted');
    await expectAllOver();
  });
});

describe('a create whose answer contradicts its grant', () => {
  const FOREIGN = '11111111-2222-4333-8444-555555555555';
  it.each<[string, object, Partial<Behaviour>]>([
    ['by a wider scope', {}, { mints: { scopes: ['api:read', 'api:full'] } }],
    ['by a wider scope in its answer alone', {}, { createAnswer: { scopes: ['API:FULL'] } }],
    ['by no expiry', { expires_in: '1d' }, { mints: { expires_at: null } }],
    ['by a later expiry', { expires_in: '1d' }, { mints: { expires_at: '2100-01-01T00:00:00Z' } }],
    ['by another workspace', {}, { createAnswer: { workspace_id: FOREIGN } }],
  ])('%s is withheld and revoked, and the trail says what came', async (_name, asked, lie) => {
    scene.pipeops.behave(lie);
    const answer = await scene.send('POST', TOKENS, {
      jwt: await leaver(),
      body: { name: 'deploy', scopes: ['api:read'], ...asked },
    });
    expect([answer.status, answer.body.code]).toEqual([502, 'upstream_disobeyed']);
    expect(answer.text).not.toContain('sat_');
    expect(scene.pipeops.alive()).toEqual([]);
    const row = (await scene.rows()).find(({ id }) => id === answer.headers.get('X-Audit-Event-Id'));
    expect(row).toMatchObject({ status: 'failure', error_code: 'upstream_disobeyed' });
  });

  it.each<[string, object, Partial<Behaviour>]>([
    ['a narrower scope', { scopes: ['api:read', 'api:write'] }, { mints: { scopes: ['api:read'] } }],
    ['another spelling of the scope', {}, { createAnswer: { scopes: ['API:READ'] } }],
    ['an earlier expiry', { expires_in: '30d' }, { mints: { expires_at: '2001-01-01T00:00:00Z' } }],
    ['a workspace that is no UUID', {}, { createAnswer: { workspace_id: '42' } }],
  ])('is none for %s: it is delivered as it came', async (_name, asked, lie) => {
    scene.pipeops.behave(lie);
    const { id } = await mint(await leaver(), asked);
    expect(scene.pipeops.alive()).toEqual([id]);
  });

  it.each<[string, Behaviour['createAnswer'], Behaviour['mints'], number]>([
    ['scopes', { scopes: null }, {}, 201],
    ['scopes, which are wider', { scopes: undefined }, { scopes: ['api:full'] }, 502],
    ['the expiry', { expires_at: '' }, {}, 201],
    ['the expiry, of which there is none', { expires_at: null }, { expires_at: null }, 502],
  ])('is looked for by one get where the answer leaves out %s', async (_name, createAnswer, mints, status) => {
    scene.pipeops.behave({ createAnswer, mints });
    const answer = await scene.send('POST', TOKENS, {
      jwt: await leaver(),
      body: { name: 'deploy', scopes: ['api:read'], expires_in: '30d' },
    });
    expect(answer.status, answer.text).toBe(status);
    expect(scene.pipeops.sent.filter(({ method }) => method === 'GET')).toHaveLength(1);
    expect(scene.pipeops.alive()).toHaveLength(status === 201 ? 1 : 0);
  });

  it('needs no further call where the answer is whole', async () => {
    await mint(await leaver(), { expires_in: '30d' });
    expect(scene.pipeops.sent.map(({ method }) => method)).toEqual(['POST']);
  });
});

it('a leaver’s token whose expiry was told to lie in the past is revoked', async () => {
  scene.pipeops.behave({ createAnswer: { expires_at: '2001-01-01T00:00:00Z' } });
  const { id } = await mint(await leaver(), { expires_in: '30d' });
  scene.pipeops.beHonest();
  await offboard();
  await scene.minutes(2);
  expect(scene.pipeops.isAlive(id)).toBe(false);
});

describe('a suspension', () => {
  it('that PipeOps ignores stays open, and is done when PipeOps obeys', async () => {
    const { id } = await mint(await leaver());
    scene.pipeops.behave({ ignoresSuspends: true });
    await offboard({ mode: 'suspend' });
    expect(await ordersOf(scene)).toMatchObject([{ state: 'open', error_code: 'upstream_disobeyed' }]);
    scene.pipeops.beHonest();
    await scene.minutes(70);
    expect(scene.pipeops.tokens.get(id)).toMatchObject({ isActive: false, revokedAtMs: null });
    expect(await states()).toEqual(['confirmed']);
  });

  it('of a caller that PipeOps ignores is 502, and revokes nothing', async () => {
    const { id } = await mint(await leaver());
    scene.pipeops.behave({ ignoresSuspends: true });
    const answer = await scene.send('PATCH', path(id), { jwt: await leaver(), body: { is_active: false } });
    expect([answer.status, answer.body.code]).toEqual([502, 'upstream_disobeyed']);
    await scene.minutes(5);
    expect(scene.pipeops.isAlive(id)).toBe(true);
  });
});

it('an update whose answer was lost is of unknown outcome where a later one went through', async () => {
  const { id } = await mint(await leaver());
  const PATCH = async (body: object) => await scene.send('PATCH', path(id), { jwt: await leaver(), body });
  let commits = true;
  scene.pipeops.behave({
    intercept: (method) => {
      if (method !== 'PATCH' || !commits) return null;
      const token = scene.pipeops.tokens.get(id);
      if (token !== undefined) token.scopes = ['api:write'];
      return new Response('lost', { status: 500 });
    },
  });
  const lost = await PATCH({ scopes: ['api:write'] });
  expect(lost.status).toBe(504);
  commits = false;
  expect((await PATCH({ scopes: ['api:read'] })).status).toBe(200);
  await scene.minutes(5);
  const row = (await scene.rows()).find((event) => event.id === lost.headers.get('X-Audit-Event-Id'));
  expect(row).toMatchObject({ status: 'failure', error_code: 'outcome_unknown' });
});

describe('a token whose name PipeOps cuts, the marker with it', () => {
  it('belongs to its creator, though a list fell inside the create, and a leak of its secret is matched', async () => {
    const jwt = await leaver();
    const other = await createScene({ like: scene, runtime: { now: scene.now, fetch: scene.pipeops.fetch } });
    scene.pipeops.behave({
      nameMaxChars: 20,
      beforeAnswer: async (method) =>
        method === 'POST' && (await other.send('GET', TOKENS, { jwt: await scene.jwt('admin') })),
    });
    const { id, token } = await mint(jwt, { name: 'a-name-that-is-longer-than-twenty' });
    expect(await codesOf(id)).toContain('appeared_upstream');
    expect((await scene.send('GET', path(id), { jwt })).status).toBe(200);
    await scene.leak(token);
    expect(scene.pipeops.isAlive(id)).toBe(false);
  });
});

it('a token made at PipeOps’ console appeared, though its name has the shape of a marker', async () => {
  const { id, name } = scene.pipeops.insert(scene.workspace, 'x-csgn-abcdefghijklmnop');
  await list();
  expect(await codesOf(id)).toEqual(['appeared_upstream']);
  expect((await list()).body.data.tokens).toMatchObject([{ name }]);
});

describe('a list that is not whole', () => {
  it.each<[string, Partial<Behaviour>, boolean, number]>([
    ['whose total counts revoked tokens, as its empty next page shows', { totalCountsRevoked: true }, false, 3],
    ['of pages that are honoured', { pageSize: 2 }, false, 3],
    ['whose pages are ignored', { pageSize: 2, pages: 'ignored' }, true, 2],
    ['that knows no pages', { pageSize: 2, pages: 'refused' }, true, 2],
    ['whose pages are ignored, without a total', { pageSize: 2, pages: 'ignored', hasTotal: false }, true, 2],
    ['without a total, of pages that are honoured', { pageSize: 2, hasTotal: false }, false, 3],
  ])('%s is shown as what it is', async (_name, lie, isPartial, shown) => {
    const jwt = await leaver();
    for (let count = 0; count < 4; count += 1) await mint(jwt, { name: `deploy-${count}` });
    const [first] = scene.pipeops.alive();
    await scene.send('DELETE', path(first ?? ''), { jwt });
    scene.pipeops.behave(lie);
    const answer = await list();
    expect(answer.body.data.tokens).toHaveLength(shown);
    expect(answer.body.partial).toBe(isPartial ? true : undefined);
  });
});

it('a PipeOps that lies for an hour and then tells the truth leaves nothing alive that was ordered, nor takes anything else', async () => {
  const jwt = await leaver();
  const bystander = await mint(await scene.jwt('owner', { sub: `other-${subject}` }));
  const [leaked, revoked, ...rest] = [await mint(jwt), await mint(jwt), await mint(jwt), await mint(jwt)];
  scene.elapse(120);
  scene.pipeops.behave({ ignoresRevokes: true, ignoresSuspends: true, hidden: 'all' });
  await scene.leak(leaked?.token ?? '');
  await scene.send('DELETE', path(revoked?.id ?? ''), { jwt: await leaver() });
  await scene.minutes(20);
  scene.pipeops.behave({ ignoresRevokes: false, hidesFromRevokes: true });
  await offboard();
  await scene.minutes(20);
  scene.pipeops.behave({ isWorkspaceGone: true });
  await scene.minutes(20);
  scene.pipeops.beHonest();
  await scene.minutes(120);
  for (const { id } of [leaked, revoked, ...rest].filter((token) => token !== undefined))
    expect(scene.pipeops.isAlive(id), id).toBe(false);
  expect(scene.pipeops.isAlive(bystander.id)).toBe(true);
  await expectAllOver();
});

it('a PATCH that PipeOps carries out 40 s late undoes no suspension that was ordered meanwhile', async () => {
  const { id } = await mint(await leaver());
  const admin = async () => await scene.jwt('admin');
  expect((await scene.send('PATCH', path(id), { jwt: await admin(), body: { is_active: false } })).status).toBe(200);
  scene.pipeops.behave({ patchDelayMs: 40_000 });
  expect((await scene.send('PATCH', path(id), { jwt: await admin(), body: { is_active: true } })).status).toBe(504);
  scene.pipeops.beHonest();
  await offboard({ mode: 'suspend' });
  await scene.minutes(130);
  expect(scene.pipeops.tokens.get(id)?.isActive).toBe(false);
  await expectAllOver();
});
