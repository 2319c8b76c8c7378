import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DeliveryRow } from '../../src/db/schema.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { ISSUER, TOKENS, type Answer } from '../support/harness.ts';
import {
  clearOrders,
  createWebhookHarness,
  itemsOf,
  ordersOf,
  rowsOfDelivery,
  type WebhookHarness,
} from './harness.ts';

// However often a delivery comes, it takes effect once, and answers as it did the first time.

let harness: WebhookHarness;
let leaked: { id: string; token: string };
/** The id that its sender gave the delivery of this test. */
let id: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness();
  leaked = await harness.mint('leaked');
  id = `msg_${crypto.randomUUID()}`;
});

const revokes = async () => (await harness.upstream()).filter(({ method }) => method === 'DELETE');
const deliveries = async (senderId = id): Promise<DeliveryRow[]> =>
  (
    await env.DB.prepare('select * from webhook_deliveries where sender_id = ? order by seq')
      .bind(senderId)
      .all<DeliveryRow>()
  ).results;
/** What must be the same of every answer to one delivery. */
const told = ({ status, body }: Answer) => ({ status, body });

/** One delivery, one order, one row of each, and one revoke that took effect. */
async function expectOneEffect(answer: Answer): Promise<void> {
  expect((await deliveries()).map((row) => row.id)).toEqual([answer.body.data.delivery_id]);
  expect(await itemsOf(answer)).toMatchObject([{ found: 'matched' }]);
  expect(await ordersOf(harness)).toMatchObject([{ token_id: leaked.id, state: 'confirmed', result: 'revoked' }]);
  expect((await rowsOfDelivery(answer)).map(({ action, status }) => [action, status])).toEqual([
    ['webhook.receive', 'success'],
    ['service_account_token.revoke', 'success'],
  ]);
  const [token] = await harness.upstreamTokens();
  expect(token?.commits.filter(({ operation }) => operation === 'revoke')).toHaveLength(1);
  expect(await revokes()).toHaveLength(1);
}

describe('the same delivery', () => {
  it('a second time answers as the first did, and does nothing', async () => {
    const first = await harness.leak(leaked.token, { id });
    const again = await harness.leak(leaked.token, { id });
    expect(first.status).toBe(202);
    expect(told(again)).toEqual(told(first));
    expect(again.headers.get('X-Audit-Event-Id')).toBe(first.headers.get('X-Audit-Event-Id'));
    await expectOneEffect(first);
  });

  it('a hundred times at once is one effect, and every answer says the same', async () => {
    const send = async () => await harness.leak(leaked.token, { id });
    const [first, ...others] = await Promise.all(Array.from({ length: 100 }, send));
    expect(first?.status).toBe(202);
    for (const answer of others) expect(told(answer)).toEqual(told(first!));
    await expectOneEffect(first!);
  });

  it('in several isolates at once is one effect', async () => {
    const isolates = await Promise.all([1, 2, 3, 4].map(async () => await createWebhookHarness({ like: harness })));
    const answers = await Promise.all(isolates.map(async (isolate) => await isolate.leak(leaked.token, { id })));
    for (const answer of answers) expect(told(answer)).toEqual(told(answers[0]!));
    await expectOneEffect(answers[0]!);
  });

  it('long after its sender’s id was new is still the same', async () => {
    const first = await harness.leak(leaked.token, { id });
    harness.age(90 * 24 * 3_600);
    expect(told(await harness.leak(leaked.token, { id }))).toEqual(told(first));
    await expectOneEffect(first);
  });

  it('is its sender’s id, whatever the body says: another body under it does nothing', async () => {
    const other = await harness.mint('another');
    const first = await harness.leak(leaked.token, { id });
    expect(told(await harness.leak(other.token, { id }))).toEqual(told(first));
    expect(told(await harness.sendEvent('scanner', 'token.revoke', { token_id: other.id }, { id }))).toEqual(
      told(first),
    );
    await expectOneEffect(first);
  });

  it('that was not for this source answers as the first did, also where the next one would be', async () => {
    const first = await harness.sendEvent('scanner', 'token.frozen', {}, { id });
    expect([first.status, first.body.data.ignored]).toEqual([200, 'event_unknown']);
    expect(told(await harness.leak(leaked.token, { id }))).toEqual(told(first));
    expect(await ordersOf(harness)).toEqual([]);
    expect(await revokes()).toEqual([]);
  });

  it('that offboards somebody blocks once, also after the leaver is back', async () => {
    const subject = `alice-${crypto.randomUUID()}`;
    const jwt = await harness.jwtFor('admin', { sub: subject });
    const first = await harness.offboard({ issuer: ISSUER, subject }, { id });
    await harness.reinstate({ issuer: ISSUER, subject });
    expect(told(await harness.offboard({ issuer: ISSUER, subject }, { id }))).toEqual(told(first));
    expect((await harness.send('GET', TOKENS, { jwt })).status).toBe(200);
  });
});

describe('another delivery', () => {
  it('is the same id from another source', async () => {
    const first = await harness.leak(leaked.token, { id });
    const second = await harness.sendEvent('hr', 'subject.reinstated', { label: 'nobody@example.com' }, { id });
    expect(second.status).toBe(202);
    expect(second.body.data.delivery_id).not.toBe(first.body.data.delivery_id);
    expect((await deliveries()).map(({ source }) => source)).toEqual(['scanner', 'hr']);
  });

  it.each([
    ['another id', (sent: string) => `${sent}-2`],
    ['an id in other letters', (sent: string) => sent.toUpperCase()],
  ])('is the same body under %s', async (_case, other) => {
    const first = await harness.leak(leaked.token, { id });
    const second = await harness.leak(leaked.token, { id: other(id) });
    expect(second.body.data.delivery_id).not.toBe(first.body.data.delivery_id);
    expect((await ordersOf(harness)).map(({ result }) => result)).toEqual(['revoked', 'already_gone']);
    expect(await revokes()).toHaveLength(1);
  });

  it('is one whose id is longer than what is kept of it', async () => {
    const long = 'm'.repeat(200);
    const [one, two] = [await harness.leak('a', { id: `${long}1` }), await harness.leak('b', { id: `${long}2` })];
    expect(one.body.data.delivery_id).not.toBe(two.body.data.delivery_id);
  });
});

describe('while D1 is down', () => {
  /** The same company in an isolate whose first batch fails: without its effect, or with its answer lost. */
  const isolate = async (isCommitted: boolean) => {
    const fail = async (commit: () => Promise<unknown>): Promise<never> => {
      if (isCommitted) await commit();
      throw new Error('injected: D1 is down');
    };
    const { db } = failingBatches((batch) => batch === 1, fail);
    return await createWebhookHarness({ like: harness, db });
  };

  it('a delivery is 503, so that it is sent again, and nothing is done; sent again, it is', async () => {
    const down = await isolate(false);
    const failed = await down.leak(leaked.token, { id });
    expect([failed.status, failed.body.code]).toEqual([503, 'audit_unavailable']);
    expect(Number(failed.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect(await revokes()).toEqual([]);
    expect(await deliveries()).toEqual([]);

    const again = await down.leak(leaked.token, { id });
    expect(again.status).toBe(202);
    await expectOneEffect(again);
  });

  it('a delivery that D1 took although it did not say so is 503, is the first one when sent again, and is done', async () => {
    const down = await isolate(true);
    const failed = await down.leak(leaked.token, { id });
    expect([failed.status, failed.body.code]).toEqual([503, 'audit_unavailable']);
    const again = await down.leak(leaked.token, { id });
    expect(again.status).toBe(202);
    expect(told(await down.leak(leaked.token, { id }))).toEqual(told(again));
    await harness.cron();
    await expectOneEffect(again);
  });

  it('for good, nothing reaches PipeOps, however often it is sent', async () => {
    const { db } = failingBatches(() => true);
    const down = await createWebhookHarness({ like: harness, db });
    for (let sent = 0; sent < 3; sent += 1) expect((await down.leak(leaked.token, { id })).status).toBe(503);
    await down.cron();
    expect(await revokes()).toEqual([]);
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: false }]);
  });
});
