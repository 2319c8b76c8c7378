import { verify } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterAll, describe, expect, it } from 'vitest';
import { deliveryOf } from '../../../commands/webhook/delivery.ts';
import { openWebhooks } from '../../../local/webhook-keys.ts';

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-webhook-delivery-'));
afterAll(() => rmSync(stateDir, { recursive: true }));
const webhooks = await openWebhooks(stateDir);
const NOW = new Date();

describe('a delivery', () => {
  it.each([
    ['scanner', 'token.revoke', { token_id: 'tok-1' }, 'WEBHOOK_SCANNER', 'WEBHOOK_HR'],
    ['hr', 'subject.offboarded', { label: 'ada' }, 'WEBHOOK_HR', 'WEBHOOK_SCANNER'],
  ] as const)('of %s is signed with its key and no other', (source, event, data, own, other) => {
    const delivery = deliveryOf({ source, event, data }, webhooks, 'msg_1', NOW);
    expect(delivery.path).toBe(`/webhooks/${source}`);
    expect(delivery.headers['webhook-id']).toBe('msg_1');
    const content = new Webhook(webhooks.secrets[own]).verify(delivery.body, delivery.headers);
    expect(content).toEqual({ type: event, timestamp: NOW.toISOString(), data });
    const foreign = new Webhook(webhooks.secrets[other]);
    expect(() => foreign.verify(delivery.body, delivery.headers)).toThrow('No matching signature');
  });

  it.each([
    [null, { url: '', source: 'unknown' }],
    ['https://github.com/acme/shop', { url: 'https://github.com/acme/shop', source: 'content' }],
  ])('of GitHub is signed over its body, found at %s', (location, where) => {
    const message = { source: 'github', token: 'sat_secret', location } as const;
    const { path: target, headers, body } = deliveryOf(message, webhooks, 'unused', NOW);
    expect(target).toBe('/webhooks/github');
    expect(JSON.parse(body)).toEqual([{ token: 'sat_secret', type: 'pipeops_service_account_token', ...where }]);
    const { key, key_identifier: id } = webhooks.github.publicKey;
    expect(headers['Github-Public-Key-Identifier']).toBe(id);
    const signature = Buffer.from(headers['Github-Public-Key-Signature'] ?? '', 'base64');
    expect(verify('sha256', Buffer.from(body), key, signature)).toBe(true);
    // The same again is the same delivery: nothing in it depends on when it is sent.
    expect(deliveryOf(message, webhooks, 'another', new Date(0)).body).toBe(body);
  });
});
