import { beforeEach, describe, expect, it } from 'vitest';
import { createHarness, ISSUER, TOKENS, type Answer } from '../support/harness.ts';
import { clearOrders, createWebhookHarness, ordersOf, rowsOfDelivery, type WebhookHarness } from './harness.ts';

// Somebody leaves: every live token of theirs goes, and from then on they get nothing here.

const roles = {
  owner: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
    tokens: 'own',
    workspaces: ['*'],
    scopes: ['*'],
  },
  auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'] },
};
const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };

let harness: WebhookHarness;
/** A leaver's JWT; every test has leavers of its own. */
let alice: string;
let subject: string;
let email: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness({ roles });
  subject = `alice-${crypto.randomUUID()}`;
  email = `Alice.${subject}@Acme.example`;
  alice = await harness.jwtFor('owner', { sub: subject, email });
});

const alive = async (): Promise<string[]> =>
  (await harness.upstreamTokens()).filter(({ is_revoked }) => !is_revoked).map(({ id }) => id);
const expectBlocked = (answer: Answer): void =>
  expect([answer.status, answer.body?.code]).toEqual([403, 'subject_blocked']);

describe('subject.offboarded', () => {
  it.each([
    ['by issuer and subject', (): object => ({ issuer: ISSUER, subject })],
    ['by label, in whatever case it is written', (): object => ({ label: email.toUpperCase() })],
  ])('%s revokes every live token of the leaver, and no other', async (_case, who) => {
    const mine = [await harness.mint('one', alice), await harness.mint('two', alice)];
    const others = await harness.mint('of the administrator');
    const gone = await harness.mint('gone before', alice);
    await harness.send('DELETE', `${TOKENS}/${gone.id}`, { jwt: alice });

    const answer = await harness.offboard(who());
    expect(answer.status, answer.text).toBe(202);
    expect(await alive()).toEqual([others.id]);
    const ordered = (await ordersOf(harness)).filter(({ delivery_id }) => delivery_id !== null);
    expect(ordered.map(({ token_id }) => token_id).toSorted()).toEqual(mine.map(({ id }) => id).toSorted());
    const [received, blocked, ...revoked] = await rowsOfDelivery(answer);
    expect([received?.action, blocked?.action]).toEqual(['webhook.receive', 'subject.block']);
    expect(JSON.parse(blocked?.detail ?? '')).toMatchObject({ ...who(), mode: 'revoke' });
    expect(revoked).toHaveLength(2);
    for (const row of revoked) {
      expect(row).toMatchObject({ action: 'service_account_token.revoke', status: 'success', actor_subject: 'hr' });
    }
  });

  it('orders an expired token too, after the others: our clock proves nothing about it', async () => {
    const expired = await harness.mint('short', alice);
    const { id } = await harness.mint('long', alice);
    await harness.expire(expired.id);
    await harness.offboard({ issuer: ISSUER, subject });
    const ordered = (await ordersOf(harness)).map(({ token_id, rank }) => ({ [token_id]: rank }));
    expect(Object.assign({}, ...ordered)).toEqual({ [id]: 1, [expired.id]: 2 });
  });
});

describe('a leaver from then on', () => {
  let tokenId: string;
  beforeEach(async () => {
    tokenId = (await harness.mint('mine', alice)).id;
  });

  it.each([
    ['create', 'POST', (): string => TOKENS, CREATE],
    ['list', 'GET', (): string => TOKENS, {}],
    ['get', 'GET', (): string => `${TOKENS}/${tokenId}`, {}],
    ['update', 'PATCH', (): string => `${TOKENS}/${tokenId}`, { body: { name: 'renamed' } }],
    ['revoke', 'DELETE', (): string => `${TOKENS}/${tokenId}`, {}],
  ] as const)('is refused to %s, and that is in the trail', async (_case, method, path: () => string, request) => {
    await harness.offboard({ issuer: ISSUER, subject });
    await harness.control.clearRequests({ workspace_uuid: harness.workspace });
    const answer = await harness.send(method, path(), { jwt: alice, ...request });
    expectBlocked(answer);
    expect((await harness.rows()).at(-1)).toMatchObject({
      id: answer.headers.get('X-Audit-Event-Id'),
      status: 'failure',
      error_code: 'subject_blocked',
      actor_subject: subject,
    });
    expect((await harness.upstream()).filter((sent) => sent.method !== 'GET')).toEqual([]);
  });

  it.each(['/api/v1/audit/events', '/api/v1/audit/export', '/api/v1/status', '/api/v1/webhooks/deliveries'])(
    'is refused %s, and that is in the trail',
    async (path) => {
      const jwt = await harness.jwtFor('auditor', { sub: subject });
      expect((await harness.send('GET', path, { jwt })).status).toBe(200);
      await harness.offboard({ issuer: ISSUER, subject });
      const answer = await harness.send('GET', path, { jwt });
      expectBlocked(answer);
      expect(answer.headers.get('X-Audit-Event-Id')).not.toBeNull();
    },
  );

  it('is known by its subject even if the delivery named a label: a label may change with the next login', async () => {
    await harness.offboard({ label: email });
    expectBlocked(
      await harness.send('POST', TOKENS, { jwt: await harness.jwtFor('owner', { sub: subject }), ...CREATE }),
    );
    const other = await harness.jwtFor('owner', { sub: `bob-${subject}`, email: email.toLowerCase() });
    expectBlocked(await harness.send('POST', TOKENS, { jwt: other, ...CREATE }));
  });

  it('is nobody with the same subject at another issuer, or with another label', async () => {
    await harness.offboard({ issuer: 'https://other.example', subject });
    await harness.offboard({ label: `other.${email}` });
    expect((await harness.send('POST', TOKENS, { jwt: alice, ...CREATE })).status).toBe(201);
  });

  it.each([
    ['by issuer and subject', (): object => ({ issuer: ISSUER, subject })],
    ['by label', (): object => ({ label: email })],
  ])('may call again after subject.reinstated %s, and its tokens stay revoked', async (_case, who) => {
    await harness.offboard(who());
    const answer = await harness.reinstate(who());
    expect(answer.status).toBe(202);
    expect((await rowsOfDelivery(answer)).map(({ action }) => action)).toEqual([
      'webhook.receive',
      'subject.reinstate',
    ]);
    expect((await harness.send('POST', TOKENS, { jwt: alice, ...CREATE })).status).toBe(201);
    expect(await alive()).not.toContain(tokenId);
  });
});

describe('a create that is under way while its subject is offboarded', () => {
  const slow = async (meanwhile: () => Promise<unknown>): Promise<Answer> => {
    const other = await createHarness({
      like: harness,
      roles,
      runtime: {
        fetch: async (url, init) => {
          const response = await harness.runtime.fetch(url, init);
          if (init.method === 'POST') await meanwhile();
          return response;
        },
      },
    });
    return await other.send('POST', TOKENS, { jwt: alice, ...CREATE });
  };

  it('hands out nothing, is settled as a failure, and its token is revoked', async () => {
    const answer = await slow(async () => await harness.offboard({ issuer: ISSUER, subject }));
    expectBlocked(answer);
    expect(answer.text).not.toContain('sat_');
    const [token] = await harness.upstreamTokens();
    expect(token).toMatchObject({ is_revoked: true });
    const create = (await harness.rows()).find(({ action }) => action === 'service_account_token.create');
    expect(create).toMatchObject({ status: 'failure', error_code: 'subject_blocked', token_id: token?.id });
    expect(await harness.inventory()).toEqual([]);
  });

  it('is looked into by reconciliation where PipeOps does not take the revoke at once', async () => {
    const answer = await slow(async () => {
      await harness.offboard({ issuer: ISSUER, subject });
      await harness.control.fault({ status: 500, match: { workspace_uuid: harness.workspace, method: 'DELETE' } });
    });
    expectBlocked(answer);
    expect(await alive()).toHaveLength(1);
    harness.age(121);
    await harness.cron();
    expect(await alive()).toEqual([]);
    expect((await harness.rows()).filter(({ status }) => status === 'attempted')).toEqual([]);
  });
});

describe('mode suspend', () => {
  const suspend = async (): Promise<{ id: string; answer: Answer }> => {
    const { id } = await harness.mint('kept', alice);
    return { id, answer: await harness.offboard({ issuer: ISSUER, subject, mode: 'suspend' }) };
  };
  const resume = { body: { is_active: true } };

  it('suspends the leaver’s tokens by an update of the source', async () => {
    const { id, answer } = await suspend();
    expect(await harness.upstreamTokens()).toMatchObject([{ id, is_active: false, is_revoked: false }]);
    expect(await ordersOf(harness)).toMatchObject([{ mode: 'suspend', state: 'confirmed', result: 'suspended' }]);
    const row = (await rowsOfDelivery(answer)).at(-1);
    expect(row).toMatchObject({ action: 'service_account_token.update', status: 'success', actor_type: 'webhook' });
    expect(JSON.parse(row?.detail ?? '')).toMatchObject({ is_active: false });
  });

  it('is undone only by a role over any token, even after the leaver is back', async () => {
    const { id } = await suspend();
    await harness.reinstate({ issuer: ISSUER, subject });
    const denied = await harness.send('PATCH', `${TOKENS}/${id}`, { jwt: alice, ...resume });
    expect([denied.status, denied.body.code]).toEqual([403, 'forbidden']);
    expect(JSON.parse((await harness.rows()).at(-1)?.outcome ?? '')).toEqual({ reason: 'suspended' });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_active: false }]);

    expect((await harness.send('PATCH', `${TOKENS}/${id}`, resume)).status).toBe(200);
    expect(await harness.inventory()).toMatchObject([{ suspended_by: null }]);
    expect((await harness.send('PATCH', `${TOKENS}/${id}`, { jwt: alice, body: { is_active: false } })).status).toBe(
      200,
    );
    expect((await harness.send('PATCH', `${TOKENS}/${id}`, { jwt: alice, ...resume })).status).toBe(200);
  });

  it('counts a token that is gone already', async () => {
    const { id } = await harness.mint('gone', alice);
    await harness.control.revokeByHand(id);
    await harness.offboard({ issuer: ISSUER, subject, mode: 'suspend' });
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'already_gone' }]);
  });
});
