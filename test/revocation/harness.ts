import { env } from 'cloudflare:workers';
import { Webhook } from 'standardwebhooks';
import type { DeliveryRow, ItemRow, OrderRow } from '../../src/db/schema.ts';
import { createHarness, type Answer, type Harness, type HarnessOptions } from '../support/harness.ts';
import { noteSecret } from '../support/secrets.ts';

const randomSecret = (): string => `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))))}`;

/** The sources of every test: one for tokens, one for people, one that is confined to another workspace. */
export const SOURCES = {
  scanner: {
    kind: 'standard',
    events: ['token.leaked', 'token.revoke'],
    workspaces: ['*'],
    secrets: ['WEBHOOK_SCANNER', 'WEBHOOK_SCANNER_NEXT'],
  },
  hr: {
    kind: 'standard',
    events: ['subject.offboarded', 'subject.reinstated'],
    workspaces: ['*'],
    secrets: ['WEBHOOK_HR'],
  },
  elsewhere: {
    kind: 'standard',
    events: ['token.leaked', 'token.revoke'],
    workspaces: ['e15e0000-0000-4000-8000-000000000000'],
    secrets: ['WEBHOOK_SCANNER'],
  },
} as const;

export type WebhookHarness = Awaited<ReturnType<typeof createWebhookHarness>>;

const SECRETS = { WEBHOOK_SCANNER: randomSecret(), WEBHOOK_SCANNER_NEXT: randomSecret(), WEBHOOK_HR: randomSecret() };

export interface Signing {
  /** Default: a new one. */
  readonly id?: string;
  readonly secret?: string;
  readonly at?: Date;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The whole Worker with sources of webhooks, a clock that can be moved, and what signs for them. */
export async function createWebhookHarness(options: HarnessOptions = {}) {
  let skewMs = 0;
  const harness = await createHarness({
    ...options,
    webhooks: { ...SOURCES, ...options.webhooks },
    env: { ...SECRETS, ...options.env },
    runtime: { now: () => Date.now() + skewMs, ...options.runtime },
  });
  for (const secret of Object.values(SECRETS)) noteSecret(secret);

  /** Sends a body as it is, signed for the source; by default at the real time, since the package reads that. */
  const sendRaw = async (source: string, body: string, signing: Signing = {}): Promise<Answer> => {
    const { id = `msg_${crypto.randomUUID()}`, at = new Date(), headers = {} } = signing;
    const secret = signing.secret ?? (source === 'hr' ? SECRETS.WEBHOOK_HR : SECRETS.WEBHOOK_SCANNER);
    const signed = {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': new Webhook(secret).sign(id, at, body),
    };
    return await harness.send('POST', `/webhooks/${source}`, {
      jwt: null,
      rawBody: body,
      headers: { 'Content-Type': 'application/json', ...signed, ...headers },
    });
  };
  const send = async (source: string, type: string, data: object, signing: Signing = {}): Promise<Answer> =>
    await sendRaw(source, JSON.stringify({ type, timestamp: new Date().toISOString(), data }), signing);

  return {
    ...harness,
    secrets: SECRETS,
    sendRaw,
    sendEvent: send,
    leak: async (secret: string, signing: Signing = {}) =>
      await send(
        'scanner',
        'token.leaked',
        { token: secret, url: 'https://git.example/acme/shop/blob/1/env' },
        signing,
      ),
    offboard: async (data: object, signing: Signing = {}) => await send('hr', 'subject.offboarded', data, signing),
    reinstate: async (data: object, signing: Signing = {}) => await send('hr', 'subject.reinstated', data, signing),
    /** The inventory takes the token for expired. */
    expire: async (tokenId: string): Promise<void> => {
      await env.DB.prepare('update tokens set expires_at = 1 where token_id = ?').bind(tokenId).run();
    },
    age: (seconds: number): void => {
      skewMs += seconds * 1000;
    },
  };
}

/** Only what the tests of one harness caused: others share the database. */
export const ordersOf = async ({ workspace }: Pick<Harness, 'workspace'>): Promise<OrderRow[]> =>
  (
    await env.DB.prepare('select * from revocation_orders where workspace_uuid = ? order by created_at, id')
      .bind(workspace)
      .all<OrderRow>()
  ).results;

export const deliveryOf = async (answer: Answer): Promise<DeliveryRow | null> =>
  await env.DB.prepare('select * from webhook_deliveries where id = ?')
    .bind(answer.body?.data?.delivery_id ?? '')
    .first<DeliveryRow>();

export const itemsOf = async (answer: Answer): Promise<ItemRow[]> =>
  (
    await env.DB.prepare('select * from webhook_items where delivery_id = ? order by position')
      .bind(answer.body?.data?.delivery_id ?? '')
      .all<ItemRow>()
  ).results;

/** The rows of the trail that a delivery left, wherever they belong. */
export const rowsOfDelivery = async (answer: Answer) =>
  (
    await env.DB.prepare(`select * from audit_events where detail ->> 'delivery_id' = ? order by seq`)
      .bind(answer.body?.data?.delivery_id ?? '')
      .all<Awaited<ReturnType<Harness['rows']>>[number]>()
  ).results;

/** So that the orders of one test are neither driven nor looked at by the crons of the next, and its refusals not counted among theirs. */
export const clearOrders = async (): Promise<void> => {
  await env.DB.batch([
    env.DB.prepare(
      `update revocation_orders set next_at = null, contradicted_at = null,
         state = iif(state in ('open', 'acknowledged', 'failed'), 'confirmed', state)`,
    ),
    env.DB.prepare('update webhook_deliveries set received_at = 0 where refused is not null'),
    env.DB.prepare('delete from upstream_limits'),
  ]);
};
