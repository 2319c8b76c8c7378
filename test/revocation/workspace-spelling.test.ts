import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson, sha256Hex } from '../../src/kit/digest.ts';
import { spellingsOf } from '../support/spellings.ts';
import {
  clearOrders,
  createWebhookHarness,
  deliveryOf,
  itemsOf,
  ordersOf,
  rowsOfDelivery,
  type WebhookHarness,
} from './harness.ts';

// A webhook names a workspace in whatever spelling: it is the one that the inventory, the policy and PipeOps know.

let harness: WebhookHarness;
let id: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness();
  ({ id } = await harness.mint('named'));
});

const revoke = async (workspace_uuid: string, sent = harness, source = 'scanner') =>
  await sent.sendEvent(source, 'token.revoke', { token_id: id, workspace_uuid });
const NAMES = Object.keys(spellingsOf(''));

describe.each(NAMES)('a workspace %s', (name) => {
  it('is ordered in, and its token is revoked', async () => {
    const answer = await revoke(spellingsOf(harness.workspace)[name]!);
    expect(answer.status, answer.text).toBe(202);
    expect(await itemsOf(answer)).toMatchObject([
      { found: 'matched', workspace_uuid: harness.workspace, token_id: id },
    ]);
    expect(await ordersOf(harness)).toMatchObject([{ token_id: id, state: 'confirmed', result: 'revoked' }]);
    expect(
      (await rowsOfDelivery(answer)).map(({ action, status, workspace_uuid }) => [action, status, workspace_uuid]),
    ).toEqual([
      ['webhook.receive', 'success', null],
      ['service_account_token.revoke', 'success', harness.workspace],
    ]);
  });

  it('is ordered in where the inventory lacks its token, and PipeOps has it', async () => {
    const byHand = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    const data = { token_id: byHand.id, workspace_uuid: spellingsOf(harness.workspace)[name]! };
    await harness.sendEvent('scanner', 'token.revoke', data);
    expect(await ordersOf(harness)).toMatchObject([{ token_id: byHand.id, state: 'confirmed', result: 'revoked' }]);
    expect((await harness.upstreamTokens()).find((token) => token.id === byHand.id)?.is_revoked).toBe(true);
  });

  it('is within the workspaces of a sender that is confined to it', async () => {
    const source = {
      kind: 'standard',
      events: ['token.revoke'],
      workspaces: [spellingsOf(harness.workspace)[name]!],
      secrets: ['WEBHOOK_SCANNER'],
    };
    const confined = await createWebhookHarness({ like: harness, webhooks: { confined: source } });
    expect(await itemsOf(await revoke(harness.workspace, confined, 'confined'))).toMatchObject([{ found: 'matched' }]);
  });

  it('is outside the workspaces of a sender that is confined to another', async () => {
    const answer = await revoke(spellingsOf(harness.workspace)[name]!, harness, 'elsewhere');
    expect(await itemsOf(answer)).toMatchObject([{ found: 'out_of_scope', workspace_uuid: harness.workspace }]);
    expect(await ordersOf(harness)).toEqual([]);
  });
});

it('one token in all spellings of its workspace is one order', async () => {
  const spelled = [harness.workspace, ...Object.values(spellingsOf(harness.workspace))];
  const tokens = spelled.map((workspace_uuid) => ({ token_id: id, workspace_uuid }));
  const answer = await harness.sendEvent('scanner', 'token.revoke', { tokens });
  expect(await itemsOf(answer)).toHaveLength(spelled.length);
  expect(await ordersOf(harness)).toHaveLength(1);
  expect((await harness.upstream()).filter(({ method }) => method === 'DELETE')).toHaveLength(1);
});

describe('a delivery that comes again', () => {
  it('with its workspace spelled otherwise is the same', async () => {
    const sender = `msg_${crypto.randomUUID()}`;
    const send = async (workspace_uuid: string) =>
      await harness.sendEvent('scanner', 'token.revoke', { token_id: id, workspace_uuid }, { id: sender });
    const first = await send(harness.workspace);
    for (const text of Object.values(spellingsOf(harness.workspace))) {
      const again = await send(text);
      expect([again.status, again.body.data.delivery_id], text).toEqual([202, first.body.data.delivery_id]);
    }
    const other = await send(crypto.randomUUID());
    expect([other.status, other.body.code]).toEqual([409, 'id_reused']);
  });

  it.each(['in capitals', 'without hyphens'])(
    'is the same as one that an earlier version kept by what was sent: %s',
    async (name) => {
      const sender = `msg_${crypto.randomUUID()}`;
      const text = spellingsOf(harness.workspace)[name]!;
      const send = async () =>
        await harness.sendEvent('scanner', 'token.revoke', { token_id: id, workspace_uuid: text }, { id: sender });
      const first = await send();
      const before = await sha256Hex(canonicalJson({ event: 'token.revoke', tokens: [`${id} ${text}`] }));
      await env.DB.prepare('update webhook_deliveries set content_digest = ? where id = ?')
        .bind(before, first.body.data.delivery_id)
        .run();
      const again = await send();
      expect([again.status, again.body.data.delivery_id]).toEqual([202, first.body.data.delivery_id]);
      expect(await ordersOf(harness)).toHaveLength(1);
      expect((await deliveryOf(again))?.content_digest).toBe(before);
    },
  );
});

it.each(['', 'a b', '{shop}', 'urn:uuid:shop', '../tokens'])(
  'what is no id is refused, and told what one is: %j',
  async (text) => {
    const answer = await revoke(text);
    expect(answer.status).toBe(400);
    expect(answer.body.errors['data.workspace_uuid']).toEqual([
      'Use the id of a workspace: a UUID, in any case and with or without hyphens, or up to 128 letters, digits, ".", "_", "~" and "-" with a letter or digit first.',
    ]);
    expect(await ordersOf(harness)).toEqual([]);
  },
);
