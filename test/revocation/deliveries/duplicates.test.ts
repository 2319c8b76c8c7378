import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DeliveryRow } from '../../../src/db/schema.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import { canonicalJson, sha256Hex } from '../../../src/kit/digest.ts';
import { expectRefusal } from '../../security/expectations.ts';
import { FINGERPRINT_KEYS, ISSUER, TOKENS, type Answer } from '../../support/harness.ts';
import {
  clearOrders,
  createWebhookHarness,
  itemsOf,
  ordersOf,
  rowsOfDelivery,
  SOURCES,
  type WebhookHarness,
} from '../harness.ts';

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

  it('is still the same long after its id was new', async () => {
    const first = await harness.leak(leaked.token, { id });
    harness.age(90 * 24 * 3_600);
    expect(told(await harness.leak(leaked.token, { id }))).toEqual(told(first));
    await expectOneEffect(first);
  });

  it('may be written in another way: what orders nothing does not make it another', async () => {
    const data = { token: leaked.token, url: 'https://git.example/a' };
    const first = await harness.sendEvent('scanner', 'token.leaked', data, { id });
    const bodies = [
      { data, type: 'token.leaked' },
      { type: 'token.leaked', timestamp: 1_700_000_000, data: { url: data.url, severity: 9, token: data.token } },
      { type: 'token.leaked', id: 'evt_1', data: { tokens: [data] } },
    ];
    for (const body of bodies) {
      expect(told(await harness.sendRaw('scanner', JSON.stringify(body, null, 2), { id }))).toEqual(told(first));
    }
    await expectOneEffect(first);
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

describe('an instruction that is written in another way is the same', () => {
  const at = () => ({ timestamp: new Date().toISOString() });
  const other = 'tok-of-somebody-else';
  type Written = readonly [name: string, source: string, first: object, again: object];
  const written: readonly Written[] = [
    [
      'with another time, other spaces and more fields',
      'scanner',
      { type: 'token.revoke', data: { token_id: other, reason: 'leaver' }, ...at() },
      { id: 1, data: { reason: 7, workspace_uuid: null, token_id: other }, timestamp: 0, type: 'token.revoke' },
    ],
    [
      'in another order, and twice',
      'scanner',
      { type: 'token.revoke', data: { tokens: [{ token_id: 'tok-a' }, { token_id: 'tok-b' }] } },
      { type: 'token.revoke', data: { tokens: [{ token_id: 'tok-b' }, { token_id: 'tok-a' }, { token_id: 'tok-b' }] } },
    ],
    [
      'one token in a list',
      'scanner',
      { type: 'token.revoke', data: { token_id: other } },
      { type: 'token.revoke', data: { tokens: [{ token_id: other }], note: 'x' } },
    ],
    [
      'with its default written out',
      'hr',
      { type: 'subject.offboarded', data: { label: 'nobody@acme.example' } },
      {
        type: 'subject.offboarded',
        data: { former: false, mode: 'revoke', label: 'Nobody@acme.example', issuer: null },
      },
    ],
    [
      'by issuer and subject',
      'hr',
      { type: 'subject.reinstated', data: { issuer: ISSUER, subject: 'nobody' } },
      { data: { subject: 'nobody', at: [1], issuer: ISSUER }, type: 'subject.reinstated', ...at() },
    ],
  ];
  it.each(written)('%s', async (_name, source, first, again) => {
    const accepted = await harness.sendRaw(source, JSON.stringify(first), { id });
    expect(accepted.status, accepted.text).toBe(202);
    expect(told(await harness.sendRaw(source, JSON.stringify(again, null, 1), { id }))).toEqual(told(accepted));
    expect(await deliveries()).toHaveLength(1);
  });
});

describe('another instruction under a used id', () => {
  type Order = readonly [type: string, data: object];
  const orders: readonly (readonly [name: string, source: string, first: Order, second: Order])[] = [
    ['another token', 'scanner', ['token.revoke', { token_id: 'tok-a' }], ['token.revoke', { token_id: 'tok-b' }]],
    [
      'one token more',
      'scanner',
      ['token.revoke', { token_id: 'tok-a' }],
      ['token.revoke', { tokens: [{ token_id: 'tok-a' }, { token_id: 'tok-b' }] }],
    ],
    [
      'another workspace',
      'scanner',
      ['token.revoke', { token_id: 'tok-a' }],
      ['token.revoke', { token_id: 'tok-a', workspace_uuid: '5877a4ae-0000-4000-8000-000000000000' }],
    ],
    ['another event', 'scanner', ['token.leaked', { token: 'x' }], ['token.revoke', { token_id: 'tok-a' }]],
    [
      'another subject',
      'hr',
      ['subject.offboarded', { issuer: ISSUER, subject: 'nobody' }],
      ['subject.offboarded', { issuer: ISSUER, subject: 'Nobody' }],
    ],
    [
      'another mode',
      'hr',
      ['subject.offboarded', { label: 'nobody@a', mode: 'suspend' }],
      ['subject.offboarded', { label: 'nobody@a' }],
    ],
    [
      'former holders too',
      'hr',
      ['subject.offboarded', { label: 'nobody@a' }],
      ['subject.offboarded', { label: 'nobody@a', former: true }],
    ],
    [
      'its contrary',
      'hr',
      ['subject.offboarded', { label: 'nobody@a' }],
      ['subject.reinstated', { label: 'nobody@a' }],
    ],
  ];
  it.each(orders)('is refused and recorded, and nothing is done: %s', async (_name, source, first, second) => {
    expect((await harness.sendEvent(source, ...first, { id })).status).toBe(202);
    const answer = await harness.sendEvent(source, ...second, { id });
    await expectRefusal(answer, {
      status: 409,
      code: 'id_reused',
      row: {
        action: 'webhook.receive',
        actor_subject: source,
        detail: expect.stringContaining(`"event":"${second[0]}"`),
      },
    });
    expect(await deliveries()).toMatchObject([
      { event: first[0], refused: null },
      { event: second[0], refused: 'id_reused', refused_field: null, event_id: answer.headers.get('X-Audit-Event-Id') },
    ]);
    expect(harness.lines).toContainEqual(
      expect.objectContaining({ event: 'webhook_refused', source, code: 'id_reused', field: null }),
    );
    // Which is not in the way of the first one's repetition.
    expect((await harness.sendEvent(source, ...first, { id })).status).toBe(202);
    expect(await deliveries()).toHaveLength(2);
  });

  it('blocks and lifts nothing', async () => {
    const subject = `alice-${crypto.randomUUID()}`;
    const jwt = await harness.jwtFor('admin', { sub: subject });
    await harness.reinstate({ issuer: ISSUER, subject }, { id });
    expect((await harness.offboard({ issuer: ISSUER, subject }, { id })).status).toBe(409);
    expect((await harness.send('GET', TOKENS, { jwt })).status).toBe(200);
    expect((await harness.offboard({ issuer: ISSUER, subject })).status).toBe(202);
    expect((await harness.send('GET', TOKENS, { jwt })).body.code).toBe('subject_blocked');
  });

  it('at once with the first is refused as well, whichever D1 takes first', async () => {
    const send = async (token: string) =>
      await harness.sendEvent('scanner', 'token.revoke', { token_id: token }, { id });
    const answers = await Promise.all(['tok-a', 'tok-b', 'tok-a', 'tok-b'].map(send));
    expect(answers.map(({ status }) => String(status)).toSorted()).toEqual(['202', '202', '409', '409']);
    expect((await deliveries()).map(({ refused }) => refused ?? '').toSorted()).toEqual(['', 'id_reused', 'id_reused']);
  });
});

describe('a leak under a used id', () => {
  const secretOf = async () => (await harness.mint('another')).token;
  it('that says something else is a delivery of its own, marked, and is carried out', async () => {
    const other = await harness.mint('another');
    const first = await harness.leak(leaked.token, { id });
    const second = await harness.leak(other.token, { id });
    expect([second.status, second.body.data.id_reused]).toEqual([202, true]);
    expect(second.body.data.delivery_id).not.toBe(first.body.data.delivery_id);
    expect((await deliveries()).map(({ id_reused }) => id_reused)).toEqual([0, 1]);
    expect((await harness.upstreamTokens()).map((token) => token.is_revoked)).toEqual([true, true]);
    expect((await rowsOfDelivery(second))[0]).toMatchObject({ action: 'webhook.receive', status: 'success' });
    // Each of them is repeated by its own body.
    expect(told(await harness.leak(other.token, { id }))).toEqual(told(second));
    expect(told(await harness.leak(leaked.token, { id }))).toEqual(told(first));
    expect(await deliveries()).toHaveLength(2);
    expect(await ordersOf(harness)).toHaveLength(2);
  });

  const variants: readonly (readonly [string, (first: string, other: string) => object | Promise<object>])[] = [
    ['one secret more', (first, other) => ({ tokens: [{ token: first }, { token: other }] })],
    ['a bad item in place of which there is a good one now', (_first, other) => ({ tokens: [{ token: other }] })],
    ['the same with something around it', (first) => ({ token: `"${first}"` })],
    ['the same at another place', (first) => ({ token: first, url: 'https://elsewhere.example' })],
    ['the same with its hash', async (first) => ({ token: first, sha256: await sha256Hex(first) })],
  ];
  it.each(variants)('is another where it says %s', async (_name, dataOf) => {
    const first = await harness.sendEvent('scanner', 'token.leaked', { tokens: [{ token: leaked.token }, {}] }, { id });
    expect(first.body.data.rejected_items).toEqual({ no_secret: 1 });
    const second = await harness.sendEvent('scanner', 'token.leaked', await dataOf(leaked.token, await secretOf()), {
      id,
    });
    expect([second.status, second.body.data.id_reused]).toEqual([202, true]);
    expect((await itemsOf(second)).map(({ found }) => found)).not.toContain('unmatched');
  });

  it('is carried out after another event of that id', async () => {
    await harness.sendEvent('scanner', 'token.revoke', { token_id: 'tok-a' }, { id });
    const second = await harness.leak(leaked.token, { id });
    expect([second.status, second.body.data.id_reused]).toEqual([202, true]);
    expect(await harness.upstreamTokens()).toMatchObject([{ id: leaked.id, is_revoked: true }]);
  });

  it('is carried out if an earlier version of this service did not keep what the first one said', async () => {
    await harness.leak('unknown', { id });
    await env.DB.prepare('update webhook_deliveries set content_digest = null where sender_id = ?').bind(id).run();
    expect((await harness.leak(leaked.token, { id })).body.data.id_reused).toBe(true);
    expect(await harness.upstreamTokens()).toMatchObject([{ id: leaked.id, is_revoked: true }]);
  });

  it('is the same under a fingerprint key that was rotated meanwhile', async () => {
    const first = await harness.leak('unknown', { id });
    const rotated = await createWebhookHarness({
      like: harness,
      env: { FINGERPRINT_KEYS: `k2:${btoa('another-fingerprint-key-of-tests')},${FINGERPRINT_KEYS}` },
    });
    expect(told(await rotated.leak('unknown', { id }))).toEqual(told(first));
    expect(await deliveries()).toHaveLength(1);
  });

  it('keeps nothing that its secret could be tried against', async () => {
    await harness.leak(leaked.token, { id });
    const [row] = await deliveries();
    expect(row?.content_digest).toMatch(/^[A-Za-z0-9_-]{43}$/);
    // The SHA-256 of what it says, without a key.
    const said = { text: leaked.token, location: 'https://git.example/acme/shop/blob/1/env', sha256: null, type: null };
    const order = { event: 'token.leaked', leaks: [{ position: 0, ...said }], rejected: {} };
    expect(row?.content_digest).not.toBe(await sha256Hex(canonicalJson(order)));
  });
});

describe('a delivery that led to nothing', () => {
  const barred = { scanner: { ...SOURCES.scanner, events: ['token.revoke'] } };
  it('since its sender may not send its event is judged again once the policy is changed', async () => {
    const before = await createWebhookHarness({ like: harness, webhooks: barred });
    const first = await before.leak(leaked.token, { id });
    expect([first.status, first.body.data.ignored]).toEqual([200, 'event_not_allowed']);
    // As long as it is not, it is the same one.
    expect(told(await before.leak(leaked.token, { id }))).toEqual(told(first));

    const second = await harness.leak(leaked.token, { id });
    expect([second.status, second.body.data.ignored, second.body.data.id_reused]).toEqual([202, undefined, undefined]);
    expect((await deliveries()).map(({ ignored }) => ignored)).toEqual(['event_not_allowed', null]);
    expect(await harness.upstreamTokens()).toMatchObject([{ id: leaked.id, is_revoked: true }]);
    expect(told(await harness.leak(leaked.token, { id }))).toEqual(told(second));
    expect(await ordersOf(harness)).toHaveLength(1);
  });

  it('since its event is unknown does not use its id up', async () => {
    const first = await harness.sendEvent('scanner', 'token.frozen', {}, { id });
    expect(first.body.data.ignored).toBe('event_unknown');
    expect(told(await harness.sendEvent('scanner', 'token.frozen', { other: 1 }, { id }))).toEqual(told(first));
    expect((await harness.sendEvent('scanner', 'token.revoke', { token_id: leaked.id }, { id })).status).toBe(202);
    expect(await harness.upstreamTokens()).toMatchObject([{ id: leaked.id, is_revoked: true }]);
    // Nor is it a repetition of what was carried out.
    const third = await harness.sendEvent('scanner', 'token.frozen', {}, { id });
    expect(told(third)).toEqual(told(first));
  });

  it('and was refused twice is kept twice', async () => {
    for (let sent = 0; sent < 2; sent += 1) {
      expect((await harness.sendEvent('scanner', 'token.revoke', {}, { id })).status).toBe(400);
    }
    expect((await deliveries()).map(({ refused }) => refused)).toEqual(['invalid_request', 'invalid_request']);
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

  it('is one whose id differs only beyond the part that is kept', async () => {
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

  it('a delivery is 503 and nothing is done; sent again, it is carried out', async () => {
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

  it('a delivery that D1 took without saying so is 503; sent again, it is the same delivery, and is carried out', async () => {
    const down = await isolate(true);
    const failed = await down.leak(leaked.token, { id });
    expect([failed.status, failed.body.code]).toEqual([503, 'audit_unavailable']);
    const again = await down.leak(leaked.token, { id });
    expect(again.status).toBe(202);
    expect(told(await down.leak(leaked.token, { id }))).toEqual(told(again));
    await harness.cron();
    await expectOneEffect(again);
  });

  it('for good, nothing reaches PipeOps, however often a delivery is sent', async () => {
    const { db } = failingBatches(() => true);
    const down = await createWebhookHarness({ like: harness, db });
    for (let sent = 0; sent < 3; sent += 1) expect((await down.leak(leaked.token, { id })).status).toBe(503);
    await down.cron();
    expect(await revokes()).toEqual([]);
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: false }]);
  });
});
