import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ORDERS_LEASE_MS, RECONCILE_AFTER_MIN_SECONDS } from '../../src/config/limits.ts';
import { deliveryIdIn, readDelivery } from './deliveries.ts';
import { leakDelivery, sendDelivery } from './leak.ts';
import { webhooksOf } from './service.ts';
import { until } from './until.ts';
import { createWatchedService, describeEnd } from './watched-service.ts';

// What becomes of an operation whose workerd is killed in the middle of it. The cases build on one another: both operations are lost
// first, and the time that must pass for each then passes for both.

/** The age that the row must reach, and time for a slow machine. */
const RECONCILIATION_PATIENCE_MS = (RECONCILE_AFTER_MIN_SECONDS + 45) * 1_000;
/** The lease of the driver that was killed, and time for a slow machine. */
const TAKEOVER_PATIENCE_MS = ORDERS_LEASE_MS + 45_000;
const LOST_NAME = 'lost-on-the-way';

const watched = await createWatchedService('lost');
const { service, admin, ci, created, deletesOf, stateDir } = watched;
let lostCreate: { readonly eventId: string | null; readonly tokenId: string | null };
let lostLeak: { readonly tokenId: string; readonly deliveryId: string };

beforeAll(watched.start, 120_000);
afterAll(watched.cleanUp, 30_000);

describe('npm start, whose workerd is lost', () => {
  it('starts again with its data whole, although the launcher was lost as well', { timeout: 240_000 }, async () => {
    await service().control.fault({ match: { method: 'POST' }, delay_ms: -1, commit: true });
    const lost = ci()
      .create(LOST_NAME)
      .then(
        () => 'delivered',
        () => 'lost',
      );
    const { event_id: eventId, token_id: tokenId } = await until('PipeOps to commit', async () =>
      (await service().control.requests()).find(
        ({ method, committed, status }) => method === 'POST' && committed && status === null,
      ),
    );
    service().killWorkerd();
    expect(await lost).toBe('lost');
    await service().untilRestarted();
    // The launcher too: the others go after it, and the next run finds its ports free and its data whole.
    await watched.end(async () => await service().kill());
    await watched.start();
    expect(await created(LOST_NAME)).toMatchObject({ id: eventId, status: 'attempted' });
    lostCreate = { eventId, tokenId };
  });

  it('still knows of a leak that it had answered with 202', { timeout: 240_000 }, async () => {
    const { id: tokenId, secret } = await admin().create('leaked-and-lost');
    await service().control.fault({ match: { method: 'DELETE' }, delay_ms: -1 });
    const accepted = await sendDelivery(service(), leakDelivery(secret, webhooksOf(stateDir)).delivery);
    await until('the order to reach PipeOps', async () => (await deletesOf(tokenId)).length > 0);
    service().killWorkerd();
    await service().untilRestarted();
    const deliveryId = deliveryIdIn(accepted.text);
    expect((await readDelivery(admin(), deliveryId)).revocations).toMatchObject([
      { state: 'open', confirmed_at: null },
    ]);
    lostLeak = { tokenId, deliveryId };
  });

  it('revokes the token whose secret was lost, and settles its row', { timeout: 240_000 }, async () => {
    const { eventId, tokenId } = lostCreate;
    const settled = await until(
      'reconciliation',
      async () => {
        service().triggerCron();
        const event = await created(LOST_NAME);
        return event?.status !== 'attempted' && event;
      },
      { timeoutMs: RECONCILIATION_PATIENCE_MS, intervalMs: 1_000 },
    );
    expect(settled).toMatchObject({
      id: eventId,
      status: 'failure',
      error_code: 'undelivered',
      token_id: tokenId,
      detail: { settled_by: 'reconciliation' },
    });
    const token = (await service().control.tokens()).find(({ id }) => id === tokenId);
    expect(token?.is_revoked).toBe(true);
    expect(token?.commits).toMatchObject([
      { operation: 'create', event_id: eventId },
      { operation: 'revoke', event_id: eventId },
    ]);
  });

  it('revokes the leaked token, once', { timeout: 240_000 }, async () => {
    const { tokenId, deliveryId } = lostLeak;
    const done = await until(
      'another driver',
      async () => {
        service().triggerCron();
        const [order] = (await readDelivery(admin(), deliveryId)).revocations;
        return order?.state === 'confirmed' && order;
      },
      { timeoutMs: TAKEOVER_PATIENCE_MS, intervalMs: 1_000 },
    );
    expect(done).toMatchObject({ token_id: tokenId, result: 'revoked' });
    const token = (await service().control.tokens()).find((held) => held.id === tokenId);
    expect(token).toMatchObject({ is_revoked: true });
    expect(token?.commits.map(({ operation }) => operation)).toEqual(['create', 'revoke']);
    expect(await deletesOf(tokenId)).toMatchObject([{ committed: false }, { committed: true }]);
    expect(
      (await admin().events({ action: 'service_account_token.revoke' })).filter(({ token_id }) => token_id === tokenId),
    ).toMatchObject([{ status: 'success', actor: { type: 'webhook', subject: 'scanner' } }]);
  });

  describeEnd(watched, LOST_NAME);
});
