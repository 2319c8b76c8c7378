import type { Webhook } from 'standardwebhooks';
import { STANDARD_WEBHOOKS_TOLERANCE_SECONDS } from '../../config/limits.ts';
import type { SignatureRejection } from '../../failures.ts';

/** What a delivery was signed with and over, beside its body. None of it is empty. */
export interface SignatureHeaders {
  readonly id: string;
  readonly timestamp: string;
  readonly signature: string;
}

/**
 * The headers of a delivery: `webhook-id`, `webhook-timestamp` and `webhook-signature`, or their twins under `svix-`, which some
 * libraries send in their place. The first set that is whole counts, and halves of two sets are never put together. Null: no
 * set is whole.
 */
export function signatureHeaders(headers: Headers): SignatureHeaders | null {
  for (const prefix of ['webhook', 'svix']) {
    const [id = '', timestamp = '', signature = ''] = ['id', 'timestamp', 'signature'].map(
      (name) => headers.get(`${prefix}-${name}`) ?? '',
    );
    if (id !== '' && timestamp !== '' && signature !== '') return { id, timestamp, signature };
  }
  return null;
}

/**
 * What is wrong with the signature of a delivery; null: one of `keys` made it, over these headers and this text.
 *
 * The package judges the time as well, by the clock of the machine; `nowMs` only says why it refused.
 */
export function signatureProblem(
  { id, timestamp, signature }: SignatureHeaders,
  body: string,
  keys: readonly Webhook[],
  nowMs: number,
): SignatureRejection | null {
  // The package would read "12abc" as 12.
  if (!/^\d{1,12}$/.test(timestamp)) return 'signature_malformed';
  const given = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature };
  if (keys.some((key) => verifies(key, body, given))) return null;

  const ageSeconds = Math.floor(nowMs / 1000) - Number(timestamp);
  if (ageSeconds > STANDARD_WEBHOOKS_TOLERANCE_SECONDS) return 'timestamp_stale';
  if (-ageSeconds > STANDARD_WEBHOOKS_TOLERANCE_SECONDS) return 'timestamp_future';
  return 'signature_invalid';
}

function verifies(key: Webhook, body: string, headers: Record<string, string>): boolean {
  try {
    key.verify(body, headers, { jsonParse: false });
    return true;
  } catch {
    return false;
  }
}
