import { Webhook } from 'standardwebhooks';
import { beforeEach, describe, expect, it } from 'vitest';
import { askedIn } from '../../support/audit-detail.ts';
import { sha256Hex } from '../../../src/kit/digest.ts';
import {
  clearOrders,
  createWebhookHarness,
  deliveryOf,
  itemsOf,
  ordersOf,
  rowsOfDelivery,
  type WebhookHarness,
} from '../harness.ts';

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
    expect(askedIn(revoked)).toEqual({ delivery_id: deliveryId, event: 'token.leaked' });
    expect(others).toEqual([]);
    expect((await revokes()).map(({ event_id }) => event_id)).toEqual([revoked?.id]);
  });

  it('is recorded with the place where it was seen, and with nothing of the secret', async () => {
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

  it('gets the answer of a leak that matched, except for ids and times', async () => {
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

it('many leaks in one delivery make one order for each token, and one list confirms them all', async () => {
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

describe('a leak that a real sender reports in its own way', () => {
  type Variant = readonly [
    name: string,
    bodyOf: (secret: string, sha256: string) => unknown,
    rejected?: object | undefined,
  ];
  const event = (data: unknown, more: object = {}) => ({ type: 'token.leaked', data, ...more });
  const variants: readonly Variant[] = [
    ['with a field that nobody knows', (token) => event({ token, severity: 'high' }, { id: 'evt_1' })],
    ['with the time of Python', (token) => event({ token }, { timestamp: '2026-11-23T12:00:00.123456' })],
    ['with a time that is a number', (token) => event({ token }, { timestamp: 1_700_000_000.5 })],
    ['with a place over its cap', (token) => event({ token, url: `https://git.example/${'x'.repeat(9_000)}` })],
    ['with a place that is an object', (token) => event({ token, url: { path: 'a', line: 3 } })],
    ['with a type of null', (token) => event({ token, type: null })],
    ['with a type over its cap', (token) => event({ token, type: 't'.repeat(1_000) })],
    ['with a line break behind the secret', (token) => event({ token: `${token}\n` })],
    ['with the line break of Windows', (token) => event({ token: `${token}\r\n` })],
    ['with quotes around the secret', (token) => event({ token: `"${token}"` })],
    ['with the line of a shell script', (token) => event({ token: `export TOKEN="${token}";` })],
    ['with the line of a YAML file', (token) => event({ token: `  token: '${token}',` })],
    ['with the URL that holds it', (token) => event({ token: `https://a.example/?token=${token}&page=2` })],
    ['with ten kilobytes around it', (token) => event({ token: `${'x '.repeat(5_000)}${token}${' y'.repeat(5_000)}` })],
    ['with one bad item beside it', (token) => event({ tokens: [{ token: 5 }, { token }] }), { unusable_secret: 1 }],
    [
      'with many bad items beside it',
      (token) => event({ tokens: [null, {}, { token }, [], { sha256: 'x' }, { url: token }] }),
      { not_an_object: 2, no_secret: 2, unusable_secret: 1 },
    ],
    ['with a hash that is of something else', (token) => event({ token, sha256: 'a'.repeat(64) })],
    ['by its hash beside another text', (_token, sha256) => event({ token: 'redacted', sha256 })],
    ['in a bare list', (token) => event([{ token }])],
    ['as a bare text', (token) => event({ tokens: [token] })],
    ['in a list and beside it', (token) => event({ token: 'another', tokens: [{ token }] })],
    ['with its fields beside the type', (token) => ({ type: 'token.leaked', token })],
    ['with a context that is nested deeply', (token) => event({ token, context: [[[[[[[[[[[[1]]]]]]]]]]]] })],
  ];
  it.each(variants.map(([name, bodyOf, rejected]) => [name, bodyOf, rejected] as const))(
    '%s is revoked, and what is kept holds no secret',
    async (_name, bodyOf, rejected) => {
      const { id, token } = await harness.mint('leaked');
      const text = JSON.stringify(bodyOf(token, await sha256Hex(token)));
      const answer = await harness.sendRaw('scanner', text);
      expect(answer.status, answer.text).toBe(202);
      expect(answer.body.data.rejected_items).toEqual(rejected);
      expect(await harness.upstreamTokens()).toMatchObject([{ id, is_revoked: true }]);
      expect(await ordersOf(harness)).toMatchObject([{ token_id: id, result: 'revoked' }]);
      const [received] = await rowsOfDelivery(answer);
      expect(received).toMatchObject({ action: 'webhook.receive', status: 'success' });
      expect(JSON.parse(received?.detail ?? '').rejected_items).toEqual(rejected);
      const kept = [await deliveryOf(answer), await itemsOf(answer), received, await ordersOf(harness), harness.lines];
      expect(JSON.stringify(kept)).not.toContain(token);
      for (const { location } of await itemsOf(answer)) expect(location?.length ?? 0).toBeLessThanOrEqual(512);
    },
  );

  it('under the headers of Svix is revoked', async () => {
    const { token } = await harness.mint('leaked');
    const headers = { 'webhook-id': '', 'webhook-timestamp': '', 'webhook-signature': '' };
    const [id, at] = [`msg_${crypto.randomUUID()}`, new Date()];
    const body = JSON.stringify(event({ token }));
    const svix = {
      'svix-id': id,
      'svix-timestamp': String(Math.floor(at.getTime() / 1000)),
      'svix-signature': new Webhook(harness.secrets.WEBHOOK_SCANNER).sign(id, at, body),
    };
    const answer = await harness.sendRaw('scanner', body, { headers: { ...headers, ...svix } });
    expect(answer.status, answer.text).toBe(202);
    expect(await deliveryOf(answer)).toMatchObject({ sender_id: id });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  });

  it('with two secrets in one text revokes the first that is found whole, and both if both are named', async () => {
    const [one, two] = [await harness.mint('one'), await harness.mint('two')];
    // The run of `sat_…` is the first one; what is right of the last `=` is the second.
    await harness.leak(`A=${one.token} B=${two.token}`);
    expect((await harness.upstreamTokens()).map((token) => token.is_revoked)).toEqual([true, true]);
    expect((await ordersOf(harness)).map(({ token_id }) => token_id).toSorted()).toEqual([one.id, two.id].toSorted());
  });

  it('is not found by a part of its secret, nor its SHA-256 by what surrounds it', async () => {
    const { token } = await harness.mint('leaked');
    const sha256 = await sha256Hex(token);
    const tokens = [
      { token: token.slice(0, -1) },
      { token: `${token}x` },
      { token: sha256 },
      { sha256: ` ${sha256}` },
      { sha256: `sha256:${sha256}` },
    ];
    const answer = await harness.sendEvent('scanner', 'token.leaked', { tokens });
    expect((await itemsOf(answer)).map(({ found }) => found)).toEqual(['unmatched', 'unmatched', 'unmatched']);
    expect(answer.body.data.rejected_items).toEqual({ unusable_secret: 2 });
    expect(await revokes()).toEqual([]);
  });

  it.each<[string, unknown, object | undefined]>([
    ['nothing', undefined, { no_secret: 1 }],
    ['an empty list', { tokens: [] }, undefined],
    ['only bad items', { tokens: [{ token: null }, 7] }, { no_secret: 1, not_an_object: 1 }],
  ])('and that says %s is recorded with what is wrong with it, and is not lost', async (_name, data, rejected) => {
    const answer = await harness.sendRaw('scanner', JSON.stringify(event(data)));
    expect([answer.status, answer.body.data.rejected_items]).toEqual([202, rejected]);
    expect(await deliveryOf(answer)).toMatchObject({ event: 'token.leaked', ignored: null, refused: null });
    expect(await itemsOf(answer)).toEqual([]);
    expect(await rowsOfDelivery(answer)).toHaveLength(1);
  });

  it('gets the answer of a leak that matches nothing, whatever surrounds its secret', async () => {
    const { token } = await harness.mint('leaked');
    const shapes = [];
    for (const secret of [token, `sat_${'y'.repeat(40)}`]) {
      const tokens = [{ token: `T="${secret}";` }, {}];
      const { status, body, headers } = await harness.sendEvent('scanner', 'token.leaked', { tokens });
      const { delivery_id: _id, received_at: _at, ...data } = body.data;
      shapes.push({ status, ...body, data, names: [...headers.keys()].toSorted() });
    }
    expect(shapes[0]).toEqual(shapes[1]);
  });
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

  it('revokes a token that the inventory lacks, if PipeOps has it in that workspace', async () => {
    const byHand = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    await harness.sendEvent('scanner', 'token.revoke', { token_id: byHand.id, workspace_uuid: harness.workspace });
    expect(await harness.upstreamTokens()).toMatchObject([{ id: byHand.id, is_revoked: true }]);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'revoked' }]);
  });

  it('does nothing about a token that PipeOps lacks there, and says so', async () => {
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

  it('is only recorded if nobody says in which workspace an unknown id is', async () => {
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

  it('by a revoke that PipeOps acknowledged costs no further revoke, and is looked at', async () => {
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
