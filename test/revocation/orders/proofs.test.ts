import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import type { TokenEnd } from '../../../src/vocabulary.ts';
import type { Fault } from '../../pipeops-simulator/faults-wire.ts';
import { ISSUER } from '../../support/harness.ts';
import { clearOrders, createWebhookHarness, ordersOf, rowsOfDelivery, type WebhookHarness } from '../harness.ts';

// What counts as the end of a token, and what does not: a 404, one list, our clock and a word of PipeOps that its own answer
// contradicts are no proof.

let harness: WebhookHarness;
let id: string;
let secret: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness();
  ({ id, token: secret } = await harness.mint('leaked'));
});

const NOT_FOUND = { success: false, status: 'error', message: 'Not found' };
const faults = async (fault: Fault): Promise<void> =>
  await harness.control.fault({ ...fault, match: { workspace_uuid: harness.workspace, ...fault.match } });
const wellAgain = async (): Promise<void> => await harness.control.clearFaults({ workspace_uuid: harness.workspace });
const sent = async (method = 'DELETE') => (await harness.upstream()).filter((request) => request.method === method);
const isAlive = async (): Promise<boolean> =>
  (await harness.upstreamTokens()).some((token) => token.id === id && !token.is_revoked);
const cronAfter = async (seconds: number): Promise<void> => {
  harness.age(seconds);
  await harness.cron();
};
const endAs = async (endedBy: TokenEnd | null): Promise<void> => {
  await env.DB.prepare('update tokens set revoked_at = ?, ended_by = ? where token_id = ?')
    .bind(harness.runtime.now() - 1_000, endedBy, id)
    .run();
};

describe('a suspension that PipeOps ignores', () => {
  const subject = () => `alice-${crypto.randomUUID()}`;
  const suspend = async () => {
    const who = subject();
    ({ id } = await harness.mint('hers', await harness.jwtFor('admin', { sub: who })));
    const token = { id, name: 'hers', scopes: ['api:read'], is_active: true };
    const body = { success: true, message: 'Updated', data: { token } };
    await faults({ body, match: { method: 'PATCH' } });
    return await harness.offboard({ issuer: ISSUER, subject: who, mode: 'suspend' });
  };
  const isActive = async () => (await harness.upstreamTokens()).find((token) => token.id === id)?.is_active;

  it('and whose own answer says so stays an open order, and is ordered until it is obeyed', async () => {
    const answer = await suspend();
    expect(await isActive()).toBe(true);
    expect(await ordersOf(harness)).toMatchObject([
      { mode: 'suspend', state: 'open', result: null, error_code: 'upstream_disobeyed' },
    ]);
    expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({ status: 'attempted' });
    await cronAfter(60);
    expect(await isActive()).toBe(false);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'suspended', error_code: null }]);
    expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({ status: 'success' });
  });
});

describe('a workspace that PipeOps answers 404 for', () => {
  const gone = async () => await faults({ status: 404, body: NOT_FOUND, times: 1_000 });

  it('proves nothing about its tokens: they are revoked when access comes back', async () => {
    await gone();
    const answer = await harness.leak(secret);
    expect(await ordersOf(harness)).toMatchObject([
      { state: 'open', result: null, error_code: 'workspace_unavailable' },
    ]);
    expect(await harness.inventory()).toMatchObject([{ revoked_at: null, unseen_at: null }]);
    for (let hour = 0; hour < 5; hour += 1) await cronAfter(3_700);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', error_code: 'workspace_unavailable' }]);
    await wellAgain();
    expect(await isAlive()).toBe(true);
    await cronAfter(3_700);
    expect(await isAlive()).toBe(false);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'revoked', error_code: null }]);
    expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({ status: 'success', upstream_status: 200 });
  });

  it('for three days ends as a failure that says so, and never as done', async () => {
    await gone();
    const answer = await harness.leak(secret);
    await cronAfter(72 * 3_600);
    expect(await ordersOf(harness)).toMatchObject([
      { state: 'failed', result: null, error_code: 'workspace_unavailable', acknowledged_at: null, next_at: null },
    ]);
    expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({
      action: 'service_account_token.revoke',
      status: 'failure',
      error_code: 'workspace_unavailable',
    });
  });
});

describe('a token that PipeOps answers 404 for, while its workspace is answered', () => {
  it('is gone by the rule of absence, and not before', async () => {
    await harness.control.revokeByHand(id);
    const none = { success: true, message: '', data: { tokens: [], total: 0 } };
    await faults({ body: none, match: { method: 'GET' }, times: 1_000 });
    harness.age(61);
    const answer = await harness.leak(secret);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', result: null, error_code: 'not_found' }]);
    expect(await harness.inventory()).toMatchObject([{ revoked_at: null, unseen_at: expect.any(Number) }]);
    expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({ status: 'attempted' });
    await cronAfter(61);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'already_gone', error_code: null }]);
    expect(await harness.inventory()).toMatchObject([{ revoked_at: expect.any(Number), ended_by: 'absent' }]);
    const row = (await rowsOfDelivery(answer)).at(-1);
    expect(row).toMatchObject({ status: 'success', upstream_status: 404 });
    expect(JSON.parse(row?.outcome ?? '')).toMatchObject({ already_gone: true });
  });

  it('is gone at once where a complete list, begun after the order, says that it is revoked', async () => {
    await harness.control.revokeByHand(id);
    await harness.leak(secret);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'already_gone' }]);
    expect(await harness.inventory()).toMatchObject([{ revoked_at: expect.any(Number), ended_by: 'listed' }]);
  });

  it('and that a list shows alive is sent the order again', async () => {
    await faults({ status: 404, body: NOT_FOUND, match: { method: 'DELETE' } });
    await harness.leak(secret);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', error_code: 'not_found' }]);
    expect(await harness.inventory()).toMatchObject([{ unseen_at: null }]);
    await cronAfter(60);
    expect(await isAlive()).toBe(false);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed', result: 'revoked' }]);
  });
});

describe('a token whose end the inventory knows', () => {
  it.each<[string, TokenEnd | null, number, string, string]>([
    ['of one list of an earlier version', null, 1, 'confirmed', 'revoked'],
    ['of a list that called it revoked', 'listed', 1, 'confirmed', 'revoked'],
    ['by the rule of absence', 'absent', 0, 'confirmed', 'already_gone'],
  ])('%s is ordered all the same unless that is a proof', async (_case, endedBy, calls, state, result) => {
    await endAs(endedBy);
    const answer = await harness.sendEvent('scanner', 'token.revoke', { token_id: id });
    expect(await sent()).toHaveLength(calls);
    expect(await isAlive()).toBe(calls === 0);
    expect(await ordersOf(harness)).toMatchObject([{ state, result }]);
    expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({ status: 'success' });
  });

  it('by an acknowledged revoke of ours costs no call but the look that confirms it', async () => {
    await harness.send('DELETE', `/api/v1/service-account-tokens/${id}`);
    await endAs('acknowledged');
    await harness.control.clearRequests({ workspace_uuid: harness.workspace });
    await harness.sendEvent('scanner', 'token.revoke', { token_id: id });
    expect((await harness.upstream()).map(({ method }) => method)).toEqual(['GET']);
    expect(await ordersOf(harness)).toContainEqual(
      expect.objectContaining({ cause: 'command', state: 'confirmed', result: 'already_gone' }),
    );
  });
});
