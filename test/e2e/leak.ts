import { deliveryOf, type Delivery } from '../../commands/webhook/delivery.ts';
import { LOCAL_ISSUER } from '../../local/issuer.ts';
import type { LocalWebhooks } from '../../local/webhook-keys.ts';
import { expectConforming } from '../support/conformance.ts';
import type { Service } from './service.ts';
import { until } from './until.ts';

/** A token that was leaked, and the webhook that said so. */
export interface Leak {
  readonly webhookId: string;
  readonly tokenId: string;
}

/** A signed webhook about a leaked secret. */
export function leakDelivery(secret: string, webhooks: LocalWebhooks): { webhookId: string; delivery: Delivery } {
  const webhookId = `msg_${crypto.randomUUID()}`;
  const message = { source: 'scanner', event: 'token.leaked', data: { token: secret } } as const;
  return { webhookId, delivery: deliveryOf(message, webhooks, webhookId, new Date()) };
}

/** Somebody who was offboarded, and the webhook that said so. */
export interface Leaver {
  readonly webhookId: string;
  readonly subject: string;
  readonly tokenIds: readonly string[];
}

/** A signed webhook about somebody who leaves. */
export function leaverDelivery(subject: string, webhooks: LocalWebhooks): { webhookId: string; delivery: Delivery } {
  const webhookId = `msg_${crypto.randomUUID()}`;
  const data = { issuer: LOCAL_ISSUER, subject };
  const message = { source: 'hr', event: 'subject.offboarded', data } as const;
  return { webhookId, delivery: deliveryOf(message, webhooks, webhookId, new Date()) };
}

/** Sends it once. @throws where it is not accepted, is answered off the contract, or nobody can be reached. */
export async function sendDelivery(
  service: Pick<Service, 'url'>,
  { path, headers, body }: Delivery,
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${service.url}${path}`, { method: 'POST', headers, body });
  const text = await response.text();
  expectConforming({ method: 'POST', url: response.url }, { status: response.status, headers: response.headers, text });
  if (response.status !== 202) throw new Error(`the webhook was answered ${response.status}: ${text}`);
  return { status: response.status, text };
}

/** Sends it until it is accepted. Its signature is good for minutes. */
export const sendUntilAccepted = async (service: Pick<Service, 'url'>, delivery: Delivery) =>
  await until('the webhook to be accepted', async () => await sendDelivery(service, delivery), { intervalMs: 500 });
