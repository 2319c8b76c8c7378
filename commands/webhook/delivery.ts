import { sign } from 'node:crypto';
import { signedWebhook, type SignedWebhook } from '../../local/signed-webhook.ts';
import type { LocalWebhooks } from '../../local/webhook-keys.ts';
import { UsageError } from '../usage.ts';
import type { WebhookMessage } from './options.ts';

/** A signed webhook, ready to POST. */
export interface Delivery {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Which secret each source of the local policy signs with. */
const SECRET_OF = { scanner: 'WEBHOOK_SCANNER', hr: 'WEBHOOK_HR' } as const;

/** The name that PipeOps' token pattern would have at GitHub. */
const GITHUB_TYPE = 'pipeops_service_account_token';

/**
 * Signs a message as its source would.
 *
 * @param id the webhook-id. GitHub's protocol has none.
 */
export function deliveryOf(message: WebhookMessage, webhooks: LocalWebhooks, id: string, now: Date): Delivery {
  const signed =
    message.source === 'github'
      ? signedAsGithub(message, webhooks.github)
      : signedWebhook(message, webhooks.secrets[SECRET_OF[message.source]], id, now);
  return ready(message.source, 'countersign-local-webhook', signed);
}

/**
 * Signs a message with the secret of a sender, by Standard Webhooks.
 *
 * @throws UsageError if it is no such secret.
 */
export function deliveryWithSecret(
  message: Exclude<WebhookMessage, { source: 'github' }>,
  { source, secret }: { readonly source: string; readonly secret: string },
  id: string,
  now: Date,
): Delivery {
  let signed: SignedWebhook;
  try {
    signed = signedWebhook(message, secret, id, now);
  } catch {
    // What is thrown may show the secret.
    throw new UsageError('The secret is none of Standard Webhooks: base64, with whsec_ in front of it or not.');
  }
  return ready(source, 'countersign', signed);
}

const ready = (source: string, userAgent: string, { body, headers }: SignedWebhook): Delivery => ({
  path: `/webhooks/${source}`,
  headers: { 'Content-Type': 'application/json', 'User-Agent': userAgent, ...headers },
  body,
});

/** Signs by GitHub's secret scanning partner protocol: ECDSA over the body, with the signature in DER. */
function signedAsGithub(
  { token, location }: Extract<WebhookMessage, { source: 'github' }>,
  { privateKey, publicKey }: LocalWebhooks['github'],
): SignedWebhook {
  const source = location === null ? 'unknown' : 'content';
  const body = JSON.stringify([{ token, type: GITHUB_TYPE, url: location ?? '', source }]);
  return {
    body,
    headers: {
      'Github-Public-Key-Identifier': publicKey.key_identifier,
      'Github-Public-Key-Signature': sign('sha256', Buffer.from(body), privateKey).toString('base64'),
    },
  };
}
