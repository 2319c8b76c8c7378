import { Webhook } from 'standardwebhooks';

/** A webhook, signed by Standard Webhooks. */
export interface SignedWebhook {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Signs a message by Standard Webhooks: the HMAC covers id, time and body.
 *
 * @param secret `whsec_…`
 * @throws if it is no such secret. What is thrown may show it.
 */
export function signedWebhook(
  { event, data }: { readonly event: string; readonly data: Readonly<Record<string, string | boolean>> },
  secret: string,
  id: string,
  now: Date,
): SignedWebhook {
  const body = JSON.stringify({ type: event, timestamp: now.toISOString(), data });
  return {
    body,
    headers: {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': new Webhook(secret).sign(id, now, body),
    },
  };
}
