import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { askedIn, detailOf } from '../../support/audit-detail.ts';
import type { Fault } from '../../pipeops-simulator/faults-wire.ts';
import { badRequest, expectRefused, rowsOf } from '../../security/expectations.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import { ISSUER, type Answer } from '../../support/harness.ts';
import { clearOrders, createWebhookHarness, ordersOf, rowsOfDelivery, type WebhookHarness } from '../harness.ts';

// POST …/deliveries/{id}/retry: what is pending is tried at once, what was given up is tried anew.

const NO_DELIVERY = '00000000-0000-4000-8000-000000000000';
const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const FOR_GOOD_SECONDS = 73 * 3_600;

const revoker = { permissions: ['tokens:revoke'], tokens: 'any', workspaces: ['*'] };
const roles = {
  revoker,
  owner: { ...revoker, tokens: 'own' },
  elsewhere: { ...revoker, workspaces: [ELSEWHERE] },
  reader: { permissions: ['audit:read', 'tokens:read'], tokens: 'any', workspaces: ['*'] },
};

let harness: WebhookHarness;
let leaked: { id: string; token: string };
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness({ roles });
  leaked = await harness.mint('leaked');
});

const faults = async (fault: Fault): Promise<void> =>
  await harness.control.fault({ ...fault, match: { workspace_uuid: harness.workspace, ...fault.match } });
/** A fresh JWT of somebody, whatever time it is by now. */
const jwtOf = async (role: string | readonly string[], subject = 'somebody-1'): Promise<string> => {
  const iat = Math.floor(harness.runtime.now() / 1000);
  return await harness.jwtFor('somebody', { role, sub: subject, iat, exp: iat + 300 });
};
const retryPath = (id: string): string => `/api/v1/webhooks/deliveries/${id}/retry`;
const retryId = async (id: string, role: string | readonly string[] = 'revoker'): Promise<Answer> =>
  await harness.send('POST', retryPath(id), { jwt: await jwtOf(role), headers: { 'CF-Connecting-IP': '192.0.2.7' } });
const retry = async (delivery: Answer, role?: string | readonly string[]): Promise<Answer> =>
  await retryId(delivery.body.data.delivery_id, role);
const sent = async (method: string) => (await harness.upstream()).filter((request) => request.method === method);
const revocationRows = async (delivery: Answer) =>
  (await rowsOfDelivery(delivery)).filter(({ action }) => action.startsWith('service_account_token.'));

/** A leak that PipeOps has answered with 500, so that its order waits for its next try. */
async function pendingLeak(): Promise<Answer> {
  await faults({ status: 500, match: { method: 'DELETE' } });
  const delivery = await harness.leak(leaked.token);
  expect(await ordersOf(harness)).toMatchObject([{ state: 'open', tries: 1 }]);
  return delivery;
}

/** A delivery whose order was given up, since PipeOps never took it. PipeOps is well again. */
async function givenUp(send: () => Promise<Answer>, fault: Fault): Promise<Answer> {
  await faults({ ...fault, times: 1_000 });
  const delivery = await send();
  harness.age(FOR_GOOD_SECONDS);
  await harness.cron();
  expect(await ordersOf(harness)).toMatchObject([{ state: 'failed' }]);
  await harness.control.clearFaults({ workspace_uuid: harness.workspace });
  return delivery;
}

describe('an order that waits for its next try', () => {
  it('is sent at once, under the row that it has, and the retry is in the trail', async () => {
    const delivery = await pendingLeak();
    const answer = await retry(delivery);
    expect([answer.status, answer.body.data]).toEqual([202, { retried: 1 }]);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'revoked', tries: 0 }]);
    expect(await harness.upstreamTokens()).toMatchObject([{ id: leaked.id, is_revoked: true }]);
    expect(await revocationRows(delivery)).toMatchObject([{ status: 'success' }]);
    expect(await rowsOf(answer)).toMatchObject([
      {
        id: answer.headers.get('X-Audit-Event-Id'),
        action: 'webhook.retry',
        status: 'success',
        actor_type: 'user',
        actor_subject: 'somebody-1',
        detail: detailOf(harness, { delivery_id: delivery.body.data.delivery_id }),
        outcome: JSON.stringify({ retried: 1 }),
      },
    ]);
  });

  it('is not sent by the cron again', async () => {
    await retry(await pendingLeak());
    harness.age(3_600);
    await harness.cron();
    expect(await sent('DELETE')).toHaveLength(2);
  });

  it('is not sent twice if a driver has leased it', async () => {
    const delivery = await pendingLeak();
    await env.DB.prepare(`update revocation_orders set claim = 'another', next_at = ? where token_id = ?`)
      .bind(harness.runtime.now() + 60_000, leaked.id)
      .run();
    expect((await retry(delivery)).status).toBe(202);
    expect(await sent('DELETE')).toHaveLength(1);
    harness.age(61);
    expect((await retry(delivery)).status).toBe(202);
    expect(await sent('DELETE')).toHaveLength(2);
  });

  it('is sent once, however many people retry it at once', async () => {
    const delivery = await pendingLeak();
    const answers = await Promise.all(Array.from({ length: 10 }, async () => await retry(delivery)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect(await sent('DELETE')).toHaveLength(2);
  });

  it('of another delivery is left alone', async () => {
    const other = await harness.mint('other');
    const delivery = await pendingLeak();
    await faults({ status: 500, match: { method: 'DELETE' } });
    await harness.leak(other.token);
    await retry(delivery);
    const orders = await ordersOf(harness);
    expect(orders.find(({ token_id }) => token_id === other.id)).toMatchObject({ state: 'open', tries: 1 });
  });
});

describe('an order that was given up', () => {
  it('keeps its final row, and another with a row of its own, which names the retry, takes its place', async () => {
    const delivery = await givenUp(async () => await harness.leak(leaked.token), {
      status: 500,
      match: { method: 'DELETE' },
    });
    const [before] = await revocationRows(delivery);
    const answer = await retry(delivery);
    expect([answer.status, answer.body.data]).toEqual([202, { retried: 1 }]);

    const [old, anew, ...others] = await revocationRows(delivery);
    expect(old).toEqual(before);
    expect(old).toMatchObject({ status: 'failure', error_code: 'upstream_error' });
    expect(anew).toMatchObject({
      action: 'service_account_token.revoke',
      status: 'success',
      token_id: leaked.id,
      actor_type: 'webhook',
      actor_subject: 'scanner',
      // The address of whoever retries it is in the row of the retry.
      ip: null,
    });
    expect(askedIn(anew)).toEqual({
      delivery_id: delivery.body.data.delivery_id,
      event: 'token.leaked',
      retry: answer.headers.get('X-Audit-Event-Id'),
    });
    expect(others).toEqual([]);
    expect((await sent('DELETE')).at(-1)?.event_id).toBe(anew?.id);
    expect(await ordersOf(harness)).toMatchObject([
      { id: old?.id, state: 'retried' },
      { id: anew?.id, state: 'confirmed', result: 'revoked', confirmed_at: expect.any(Number) },
    ]);
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  });

  it('is replaced once, however many people retry it at once', async () => {
    const send = async () => await harness.leak(leaked.token);
    const delivery = await givenUp(send, { status: 500, match: { method: 'DELETE' } });
    await Promise.all(Array.from({ length: 10 }, async () => await retry(delivery)));
    expect((await ordersOf(harness)).map(({ state }) => state).toSorted()).toEqual(['confirmed', 'retried']);
    expect(await revocationRows(delivery)).toHaveLength(2);
  });

  it('that suspends is replaced by one that suspends', async () => {
    const subject = `alice-${crypto.randomUUID()}`;
    const { id } = await harness.mint('hers', await harness.jwtFor('admin', { sub: subject }));
    const offboard = async () => await harness.offboard({ issuer: ISSUER, subject, mode: 'suspend' });
    const delivery = await givenUp(offboard, { status: 500, match: { method: 'PATCH' } });
    await retry(delivery);
    const tokens = await harness.upstreamTokens();
    expect(tokens.find((token) => token.id === id)).toMatchObject({ is_active: false, is_revoked: false });
    const row = (await revocationRows(delivery)).at(-1);
    expect(row).toMatchObject({ action: 'service_account_token.update', status: 'success' });
    expect(JSON.parse(row?.detail ?? '')).toMatchObject({ is_active: false });
  });

  it('after PipeOps acknowledged it is looked at, and not sent again', async () => {
    const send = async () => await harness.leak(leaked.token);
    const delivery = await givenUp(send, { status: 500, match: { method: 'GET' } });
    expect((await retry(delivery)).body.data).toEqual({ retried: 1 });
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', confirmed_at: expect.any(Number) }]);
    expect(await revocationRows(delivery)).toMatchObject([{ status: 'success' }]);
    expect(await sent('DELETE')).toHaveLength(1);
  });
});

describe('an order whose token’s end is not proven', () => {
  it('is looked at at once if PipeOps has acknowledged it', async () => {
    await faults({ status: 500, match: { method: 'GET' } });
    const delivery = await harness.leak(leaked.token);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'acknowledged' }]);
    expect((await retry(delivery)).body.data).toEqual({ retried: 1 });
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'revoked' }]);
    expect(await sent('DELETE')).toHaveLength(1);
  });

  it('is looked at again if it was confirmed, and sent if its token is alive after all', async () => {
    await harness.control.fault({
      status: 200,
      body: { success: true, message: '', data: null },
      match: { workspace_uuid: harness.workspace, method: 'DELETE' },
    });
    await faults({ body: { success: true, message: '', data: { tokens: [], total: 0 } }, match: { method: 'GET' } });
    const delivery = await harness.leak(leaked.token);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed' }]);
    // As earlier versions of this service left it: the end that one list showed.
    await env.DB.prepare('update tokens set ended_by = null where token_id = ?').bind(leaked.id).run();
    harness.age(120);
    expect((await retry(delivery)).body.data).toEqual({ retried: 1 });
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', contradicted_at: expect.any(Number) }]);
    expect((await retry(delivery)).body.data).toEqual({ retried: 1 });
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'revoked', contradicted_at: null }]);
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  });

  it('is replaced if its token was not found, since it may be there by now', async () => {
    const id = `late-${crypto.randomUUID()}`;
    const delivery = await harness.sendEvent('scanner', 'token.revoke', {
      token_id: id,
      workspace_uuid: harness.workspace,
    });
    for (const seconds of [61, 61]) {
      harness.age(seconds);
      await harness.cron();
    }
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'not_found' }]);
    await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'late', id });
    expect((await retry(delivery)).body.data).toEqual({ retried: 1 });
    expect((await ordersOf(harness)).map(({ state, result }) => [state, result])).toEqual([
      ['retried', 'not_found'],
      ['confirmed', 'revoked'],
    ]);
    expect((await revocationRows(delivery)).map(({ status }) => status)).toEqual(['failure', 'success']);
  });
});

it('a delivery that is done has nothing to retry: nothing is sent', async () => {
  const delivery = await harness.leak(leaked.token);
  await harness.control.clearRequests({ workspace_uuid: harness.workspace });
  const answer = await retry(delivery);
  expect([answer.status, answer.body.data]).toEqual([202, { retried: 0 }]);
  expect(await harness.upstream()).toEqual([]);
});

describe('whoever may not retry', () => {
  it.each([
    ['a role over its own tokens alone', 'owner', 'ownership'],
    ['a role in another workspace', 'elsewhere', 'workspace'],
    ['two roles that would do together', ['owner', 'elsewhere'], 'ownership'],
    ['a role that may only read', 'reader', 'permission'],
  ])('%s is refused, and that is in the trail', async (_case, role, reason) => {
    const delivery = await pendingLeak();
    await expectRefused(harness, async () => await retry(delivery, role), {
      status: 403,
      code: 'forbidden',
      row: { action: 'webhook.retry', actor_subject: 'somebody-1', outcome: JSON.stringify({ reason }) },
    });
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', tries: 1 }]);
  });

  it('somebody who was offboarded is refused, and nothing is hastened', async () => {
    const delivery = await pendingLeak();
    const before = await ordersOf(harness);
    const subject = `bob-${crypto.randomUUID()}`;
    await harness.offboard({ issuer: ISSUER, subject });
    const jwt = await jwtOf('revoker', subject);
    const path = retryPath(delivery.body.data.delivery_id);
    await expectRefused(harness, async () => await harness.send('POST', path, { jwt }), {
      status: 403,
      code: 'subject_blocked',
      row: { action: 'webhook.retry', actor_subject: subject },
    });
    expect(await ordersOf(harness)).toEqual(before);
  });
});

it('an unknown delivery is 404, and that is in the trail', async () => {
  await expectRefused(harness, async () => await retryId(NO_DELIVERY), {
    status: 404,
    code: 'not_found',
    row: { action: 'webhook.retry', detail: detailOf(harness, { delivery_id: NO_DELIVERY }) },
  });
});

it.each([
  ['an id that is none', 'unknown', 'id'],
  ['a parameter', `${NO_DELIVERY}/retry?force=true#`, 'force'],
])('%s is 400', async (_case, id, field) => {
  await expectRefused(harness, async () => await retryId(id), badRequest('invalid_request', [field]));
});

it.each([1, 2])('D1 failing at trip %i is 503, and nothing is hastened', async (trip) => {
  const delivery = await pendingLeak();
  const before = await ordersOf(harness);
  const down = await createWebhookHarness({ like: harness, roles, db: failingBatches((batch) => batch === trip).db });
  const path = retryPath(delivery.body.data.delivery_id);
  const answer = await down.send('POST', path, { jwt: await jwtOf('revoker') });
  expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
  expect(await ordersOf(harness)).toEqual(before);
  expect(await sent('DELETE')).toHaveLength(1);
});
