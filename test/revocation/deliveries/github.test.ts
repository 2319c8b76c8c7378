import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { WEBHOOK_SAME_BODY_MS } from '../../../src/config/limits.ts';
import type { DeliveryRow } from '../../../src/db/schema.ts';
import { sha256Hex } from '../../../src/kit/digest.ts';
import { expectRefused } from '../../security/expectations.ts';
import type { Answer } from '../../support/harness.ts';
import { noteSecret } from '../../support/secrets.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { createKey } from '../senders/github-sender.ts';
import { toBase64, toBytes } from '../senders/standard-sender.ts';
import { clearOrders, createWebhookHarness, ordersOf, type WebhookHarness } from '../harness.ts';

// GitHub's protocol through the whole Worker: no id of a delivery, and an answer that says what was found.

const key = createKey('key-1');
const webhooks = { github: { kind: 'github', keys: [key.inline], events: ['token.leaked'], workspaces: ['*'] } };

let harness: WebhookHarness;
let leaked: { id: string; token: string };
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness({ webhooks });
  leaked = await harness.mint('leaked');
});

const sendBody = async (body: string, signedBy = key): Promise<Answer> =>
  await harness.send('POST', '/webhooks/github', {
    jwt: null,
    rawBody: body,
    headers: {
      'Github-Public-Key-Identifier': signedBy.id,
      'Github-Public-Key-Signature': toBase64(signedBy.sign(toBytes(body))),
    },
  });
const bodyOf = (...secrets: string[]): string =>
  JSON.stringify(
    secrets.map((token) => ({ token, type: 'pipeops_token', url: 'https://github.test/acme', source: 'commit' })),
  );
const revokes = async () => (await harness.upstream()).filter(({ method }) => method === 'DELETE');
const deliveryOf = async (answer: Answer): Promise<DeliveryRow | null> =>
  await env.DB.prepare('select * from webhook_deliveries where event_id = ?')
    .bind(answer.headers.get('X-Audit-Event-Id'))
    .first<DeliveryRow>();
const trueOf = async (secret: string) => ({
  token_hash: await sha256Hex(secret),
  token_type: 'pipeops_token',
  label: 'true_positive',
});

describe('a leak that GitHub found', () => {
  it('is revoked, and GitHub is told of ours and of no other', async () => {
    const stranger = `sat_${'z'.repeat(40)}`;
    noteSecret(stranger);
    const answer = await sendBody(bodyOf(stranger, leaked.token));
    expect([answer.status, answer.body]).toEqual([200, [await trueOf(leaked.token)]]);
    expect(answer.text).not.toContain(await sha256Hex(stranger));
    expect(await harness.upstreamTokens()).toMatchObject([{ id: leaked.id, is_revoked: true }]);
    expect(await ordersOf(harness)).toMatchObject([{ token_id: leaked.id, state: 'confirmed', result: 'revoked' }]);
    expect(await deliveryOf(answer)).toMatchObject({ source: 'github', event: 'token.leaked', sender_id: null });
  });

  it('and is none of ours tells GitHub nothing', async () => {
    const answer = await sendBody(bodyOf('ghp_of_somebody_else'));
    expect([answer.status, answer.text]).toEqual([200, '[]']);
    expect(await deliveryOf(answer)).not.toBeNull();
  });

  it('signed by a key that is not GitHub’s is refused', async () => {
    await expectRefused(harness, async () => await sendBody(bodyOf(leaked.token), createKey('key-2')), {
      status: 401,
      code: 'invalid_signature',
      row: { action: 'auth.reject', actor_subject: 'github', outcome: JSON.stringify({ reason: 'key_unknown' }) },
    });
    expect(await ordersOf(harness)).toEqual([]);
  });
});

describe('a message that is not quite as GitHub sends it', () => {
  const item = (token: unknown, more: object = {}) => ({
    token,
    type: 'pipeops_token',
    url: 'https://github.test/acme',
    ...more,
  });
  it.each<[string, (secret: string) => unknown]>([
    ['with fields that nobody knows', (secret) => [item(secret, { is_public: true, context: [[[[[[[[[[1]]]]]]]]]] })]],
    ['with a type of null', (secret) => [item(secret, { type: null })]],
    ['without a type', (secret) => [item(secret, { type: undefined })]],
    ['with a place that is no text', (secret) => [item(secret, { url: { path: 'a' } })]],
    ['with a line break and quotes around the secret', (secret) => [item(`"${secret}"\r\n`)]],
    ['with the line that holds it', (secret) => [item(`export TOKEN='${secret}';`)]],
    ['with a bad item on either side', (secret) => [item(null), item(secret), 7]],
    ['of one item that is no list', (secret) => item(secret)],
    ['of more than a thousand', (secret) => [item(secret), ...Array.from({ length: 1_100 }, () => item('ghp_x'))]],
  ])('%s is revoked, and GitHub is told of it', async (_name, messageOf) => {
    const answer = await sendBody(JSON.stringify(messageOf(leaked.token)));
    expect([answer.status, answer.body]).toMatchObject([200, [{ label: 'true_positive' }]]);
    expect(await harness.upstreamTokens()).toMatchObject([{ id: leaked.id, is_revoked: true }]);
    expect(await deliveryOf(answer)).toMatchObject({ refused: null, ignored: null });
  });

  it('is counted item by item, for those who may read the trail', async () => {
    const answer = await sendBody(JSON.stringify([item(''), 7, item(leaked.token), item([])]));
    const id = (await deliveryOf(answer))?.id;
    const { body } = await harness.send('GET', `/api/v1/webhooks/deliveries/${id}`);
    expect(body.data).toMatchObject({
      tokens: { matched: 1, unmatched: 0 },
      rejected_items: { no_secret: 1, not_an_object: 1, unusable_secret: 1 },
    });
  });

  it('and names no secret at all is recorded, and GitHub is told of nothing', async () => {
    const answer = await sendBody('[{"type": "pipeops_token"}]');
    expect([answer.status, answer.text]).toEqual([200, '[]']);
    expect(await deliveryOf(answer)).toMatchObject({ rejected_items: '{"no_secret":1}' });
  });

  it('that is not JSON is refused and recorded', async () => {
    const answer = await sendBody('[{"token":');
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_json']);
    expect(await deliveryOf(answer)).toMatchObject({ event: 'token.leaked', refused: 'invalid_json', sender_id: null });
    // Mended it is another body; the same once more is refused once more.
    expect((await sendBody('[{"token":')).status).toBe(400);
  });
});

describe('a key that was rotated within a minute of the last read', () => {
  const URL = 'https://github.test/keys';
  it('is 503 until keys may be read again, and counts then; an unknown key is 401 then', async () => {
    const published = [key];
    let reads = 0;
    let skewMs = 0;
    const document = () => ({ public_keys: published.map((one) => one.published) });
    const source = { kind: 'github', keysUrl: URL, events: ['token.leaked'], workspaces: ['*'] };
    harness = await createWebhookHarness({
      like: harness,
      webhooks: { github: source },
      runtime: {
        fetch: async (url, init) => {
          if (url !== URL) return await workerRuntime.fetch(url, init);
          reads += 1;
          return Response.json(document());
        },
        now: () => Date.now() + skewMs,
      },
    });
    expect((await sendBody(bodyOf('ghp_of_somebody_else'))).status).toBe(200);
    const rotated = createKey('key-2');
    published.push(rotated);

    const early = await sendBody(bodyOf(leaked.token), rotated);
    expect([early.status, early.body.code, reads]).toEqual([503, 'keys_unavailable', 1]);
    const retryAfter = Number(early.headers.get('Retry-After'));
    expect(retryAfter).toBeGreaterThan(50);
    expect(retryAfter).toBeLessThanOrEqual(60);
    expect(await ordersOf(harness)).toEqual([]);

    skewMs = retryAfter * 1000;
    expect((await sendBody(bodyOf(leaked.token), rotated)).status).toBe(200);
    expect(await harness.upstreamTokens()).toMatchObject([{ id: leaked.id, is_revoked: true }]);
    const stranger = createKey('key-3');
    expect((await sendBody(bodyOf(leaked.token), stranger)).status).toBe(503);
    skewMs += 60_000;
    expect([(await sendBody(bodyOf(leaked.token), stranger)).status, reads]).toEqual([401, 3]);
  });
});

describe('the same body', () => {
  it('within a day is the same delivery: it is answered with the same bytes, and does nothing', async () => {
    const body = bodyOf(leaked.token, 'ghp_of_somebody_else');
    const first = await sendBody(body);
    harness.age(WEBHOOK_SAME_BODY_MS / 1000 - 60);
    const second = await sendBody(body);
    expect([second.status, second.text]).toEqual([200, first.text]);
    expect((await deliveryOf(second))?.id).toBe((await deliveryOf(first))?.id);
    expect(await ordersOf(harness)).toHaveLength(1);
    expect(await revokes()).toHaveLength(1);
  });

  it('after a day is another delivery', async () => {
    const body = bodyOf(leaked.token);
    const first = await sendBody(body);
    harness.age(WEBHOOK_SAME_BODY_MS / 1000 + 60);
    const second = await sendBody(body);
    expect((await deliveryOf(second))?.id).not.toBe((await deliveryOf(first))?.id);
    expect(second.text).toBe(first.text);
    expect((await ordersOf(harness)).map(({ result }) => result)).toEqual(['revoked', 'already_gone']);
    expect(await revokes()).toHaveLength(1);
  });

  it('a hundred times at once is one delivery and one revoke', async () => {
    const body = bodyOf(leaked.token);
    const answers = await Promise.all(Array.from({ length: 100 }, async () => await sendBody(body)));
    const expected = JSON.stringify([await trueOf(leaked.token)]);
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`))).toEqual(new Set([`200 ${expected}`]));
    expect(await ordersOf(harness)).toHaveLength(1);
    expect(await revokes()).toHaveLength(1);
  });
});
