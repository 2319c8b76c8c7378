import { beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../src/text/digest.ts';
import {
  clearOrders,
  createWebhookHarness,
  itemsOf,
  ordersOf,
  rowsOfDelivery,
  type WebhookHarness,
} from './harness.ts';

// A leaked secret, or its SHA-256 alone, and what it leads to: the right token gone, once, with proof in the trail.

let harness: WebhookHarness;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness();
});

const revokes = async () => (await harness.upstream()).filter(({ method }) => method === 'DELETE');

describe('a leaked secret of a token of ours', () => {
  it.each([
    ['by the secret', (secret: string) => ({ token: secret })],
    ['by its SHA-256', async (secret: string) => ({ sha256: await sha256Hex(secret) })],
    ['by its SHA-256 in capitals', async (secret: string) => ({ sha256: (await sha256Hex(secret)).toUpperCase() })],
  ])('is found %s, revoked and confirmed gone', async (_case, data) => {
    const { id, token } = await harness.mint('leaked');
    const answer = await harness.sendEvent('scanner', 'token.leaked', await data(token));
    expect(answer.status, answer.text).toBe(202);

    expect(await harness.upstreamTokens()).toMatchObject([{ id, is_revoked: true }]);
    const [order, ...others] = await ordersOf(harness);
    expect(order).toMatchObject({ token_id: id, state: 'confirmed', result: 'revoked', tries: 0 });
    expect(order?.confirmed_at).toBeGreaterThanOrEqual(order?.acknowledged_at ?? Infinity);
    expect(others).toEqual([]);
    expect(await harness.inventory()).toMatchObject([{ token_id: id, revoked_at: expect.any(Number) }]);
    expect((await harness.upstream()).map(({ method }) => method)).toEqual(['POST', 'DELETE', 'GET']);
  });

  it('leaves a row of its reception and one of its revocation, by the source and linked to the delivery', async () => {
    const { id, token } = await harness.mint('leaked');
    const answer = await harness.leak(token);
    const deliveryId: string = answer.body.data.delivery_id;
    const [received, revoked, ...others] = await rowsOfDelivery(answer);
    expect(received).toMatchObject({
      id: answer.headers.get('X-Audit-Event-Id'),
      action: 'webhook.receive',
      status: 'success',
      actor_type: 'webhook',
      actor_subject: 'scanner',
      request_id: answer.headers.get('X-Request-Id'),
    });
    expect(revoked).toMatchObject({
      id: (await ordersOf(harness))[0]?.id,
      action: 'service_account_token.revoke',
      status: 'success',
      actor_type: 'webhook',
      actor_subject: 'scanner',
      workspace_uuid: harness.workspace,
      token_id: id,
      upstream_status: 200,
      request_id: answer.headers.get('X-Request-Id'),
    });
    expect(JSON.parse(revoked?.detail ?? '')).toEqual({ delivery_id: deliveryId, event: 'token.leaked' });
    expect(others).toEqual([]);
    expect((await revokes()).map(({ event_id }) => event_id)).toEqual([revoked?.id]);
  });

  it('is written down with where it was seen, and with nothing of the secret', async () => {
    const { token } = await harness.mint('leaked');
    const answer = await harness.sendEvent('scanner', 'token.leaked', {
      token,
      url: `https://git.example/acme/shop?token=${token}`,
    });
    expect(await itemsOf(answer)).toMatchObject([
      { found: 'matched', location: 'https://git.example/acme/shop?token=[redacted]', candidates: null },
    ]);
  });
});

describe('a leak that is no token of ours', () => {
  it('is recorded with the tokens whose prefix fits, and none of them is touched', async () => {
    const { id, token } = await harness.mint('alike');
    await harness.mint('unlike');
    const answer = await harness.sendEvent('scanner', 'token.leaked', {
      token: `${token.slice(0, 11)}${'x'.repeat(33)}`,
    });
    expect(answer.status).toBe(202);
    const [item] = await itemsOf(answer);
    expect(item).toMatchObject({ found: 'unmatched', token_id: null });
    expect(JSON.parse(item?.candidates ?? '')).toEqual([id]);
    expect(await ordersOf(harness)).toEqual([]);
    expect(await revokes()).toEqual([]);
  });

  it('is answered as one that matched is, but for ids and times', async () => {
    const { token } = await harness.mint('leaked');
    const shapes = [];
    for (const secret of [token, `sat_${'y'.repeat(40)}`]) {
      const { status, body, headers } = await harness.leak(secret);
      const { delivery_id: id, received_at: at, ...data } = body.data;
      expect([typeof id, typeof at]).toEqual(['string', 'string']);
      shapes.push({ status, ...body, data, names: [...headers.keys()].toSorted() });
    }
    expect(shapes[0]).toEqual(shapes[1]);
  });

  it('in a workspace that is not the source’s is recorded and left alone', async () => {
    const { id, token } = await harness.mint('leaked');
    const answer = await harness.sendEvent('elsewhere', 'token.leaked', { token });
    expect(answer.status).toBe(202);
    expect(await itemsOf(answer)).toMatchObject([{ found: 'out_of_scope', token_id: id }]);
    expect(await ordersOf(harness)).toEqual([]);
    expect(await revokes()).toEqual([]);
  });
});

it('many leaks in one delivery are one order for each token, confirmed by one list', async () => {
  const minted = [await harness.mint('one'), await harness.mint('two'), await harness.mint('three')];
  const tokens = [...minted, minted[0]!].map(({ token }) => ({ token }));
  const answer = await harness.sendEvent('scanner', 'token.leaked', { tokens: [...tokens, { token: 'sat_unknown' }] });
  expect((await itemsOf(answer)).map(({ found }) => found)).toEqual([
    'matched',
    'matched',
    'matched',
    'matched',
    'unmatched',
  ]);
  expect((await ordersOf(harness)).map(({ state }) => state)).toEqual(['confirmed', 'confirmed', 'confirmed']);
  expect(await revokes()).toHaveLength(3);
  expect((await harness.upstream()).filter(({ method }) => method === 'GET')).toHaveLength(1);
});

describe('token.revoke', () => {
  it('revokes a token of the inventory by its id alone, and a list confirms it', async () => {
    const { id } = await harness.mint('doomed');
    const answer = await harness.sendEvent('scanner', 'token.revoke', { token_id: id });
    expect(answer.status).toBe(202);
    expect(await ordersOf(harness)).toMatchObject([
      { token_id: id, state: 'confirmed', result: 'revoked', confirmed_at: expect.any(Number) },
    ]);
    expect((await harness.upstream()).map(({ method }) => method)).toEqual(['POST', 'DELETE', 'GET']);
  });

  it('revokes one that the inventory lacks, if PipeOps has it in that workspace', async () => {
    const byHand = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    await harness.sendEvent('scanner', 'token.revoke', { token_id: byHand.id, workspace_uuid: harness.workspace });
    expect(await harness.upstreamTokens()).toMatchObject([{ id: byHand.id, is_revoked: true }]);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'revoked' }]);
  });

  it('does nothing about one that PipeOps lacks there, and says so', async () => {
    const elsewhere = await harness.control.insertToken({ workspace_uuid: crypto.randomUUID(), name: 'not here' });
    const answer = await harness.sendEvent('scanner', 'token.revoke', {
      token_id: elsewhere.id,
      workspace_uuid: harness.workspace,
    });
    // One list is no proof: a token may be younger than what it shows.
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', result: null, unseen_at: null }]);
    for (const seconds of [61, 61]) {
      harness.age(seconds);
      await harness.cron();
    }
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'not_found' }]);
    expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({ status: 'failure', error_code: 'not_found' });
    expect(await revokes()).toEqual([]);
  });

  it('is only recorded where nobody says in which workspace an unknown id is', async () => {
    const answer = await harness.sendEvent('scanner', 'token.revoke', { token_id: 'tok-unknown' });
    expect(answer.status).toBe(202);
    expect(await itemsOf(answer)).toMatchObject([{ found: 'unmatched', token_id: 'tok-unknown' }]);
    expect(await ordersOf(harness)).toEqual([]);
  });
});

describe('a token that is gone already', () => {
  it('counts as revoked once a list says so, and the row says so', async () => {
    const { id, token } = await harness.mint('gone');
    await harness.control.revokeByHand(id);
    const answer = await harness.leak(token);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'already_gone' }]);
    const row = (await rowsOfDelivery(answer)).at(-1);
    expect(row).toMatchObject({ status: 'success', upstream_status: 404 });
    expect(JSON.parse(row?.outcome ?? '')).toMatchObject({ already_gone: true });
  });

  it('by a revoke that PipeOps acknowledged costs no further one, and is looked at', async () => {
    const { id, token } = await harness.mint('gone');
    await harness.send('DELETE', `/api/v1/service-account-tokens/${id}`);
    await harness.control.clearRequests({ workspace_uuid: harness.workspace });
    await harness.sendEvent('scanner', 'token.revoke', { token_id: id });
    await harness.leak(token);
    expect(await revokes()).toEqual([]);
    const orders = (await ordersOf(harness)).filter(({ cause }) => cause !== 'caller');
    expect(orders.map(({ state, result }) => [state, result])).toEqual([
      ['confirmed', 'already_gone'],
      ['confirmed', 'already_gone'],
    ]);
  });
});
