import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { WEBHOOK_SAME_BODY_MS } from '../../src/config/limits.ts';
import type { DeliveryRow } from '../../src/db/schema.ts';
import { sha256Hex } from '../../src/text/digest.ts';
import { expectRefused } from '../security/expectations.ts';
import type { Answer } from '../support/harness.ts';
import { noteSecret } from '../support/secrets.ts';
import { createKey } from './adapters/github-sender.ts';
import { toBase64, toBytes } from './adapters/standard-sender.ts';
import { clearOrders, createWebhookHarness, ordersOf, type WebhookHarness } from './harness.ts';

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

  it('is told nothing where none is ours', async () => {
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
