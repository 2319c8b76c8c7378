import { Webhook } from 'standardwebhooks';
import { STANDARD_WEBHOOKS_TOLERANCE_SECONDS } from '../../config/limits.ts';
import type { RequestFailure, SignatureRejection } from '../../failures.ts';
import { isObject } from '../../kit/json.ts';
import { err, ok } from '../../kit/result.ts';
import { parsePayload, textOf } from './leaks.ts';
import type { AdapterKind, Message } from './sender.ts';
import { readOrder } from './standard-orders.ts';
import { WEBHOOK_EVENTS } from '../../vocabulary.ts';

/** Standard Webhooks (standardwebhooks.com): HMAC over id, time and body, by the package of the same name. */
export const standard: AdapterKind<'standard'> = ({ secrets }, { secret, runtime }) => {
  const keys = secrets.map((name) => new Webhook(secret(name)));
  return {
    receive: async ({ headers, body }) => {
      const text = textOf(body);
      if (text === null) return rejected('body_unreadable');
      const signed = signatureHeaders(headers);
      if (signed === null) return rejected('signature_missing');
      const reason = signatureProblem(signed, text, keys, runtime.now());
      if (reason !== null) return rejected(reason);
      return ok(messageIn(text, signed.id));
    },
  };
};

const rejected = (reason: SignatureRejection) => err({ kind: 'signature_rejected', reason } as const);

function messageIn(text: string, senderId: string | null): Message {
  const parsed = parsePayload(text);
  if (!parsed.ok) return unreadable(senderId, parsed.error);
  const payload = parsed.value;
  if (!isObject(payload)) return unreadable(senderId, { kind: 'invalid_json' });
  const type = Object.hasOwn(payload, 'type') ? payload['type'] : undefined;
  if (typeof type !== 'string' || type === '') {
    return unreadable(senderId, {
      kind: 'invalid_request',
      errors: { type: [`Name the event. Known: ${WEBHOOK_EVENTS.join(', ')}.`] },
    });
  }
  const event = WEBHOOK_EVENTS.find((known) => known === type) ?? null;
  return {
    senderId,
    unreadable: null,
    eventName: type,
    event,
    read: () => {
      if (event === null) throw new TypeError('An event that is not known orders nothing.');
      return readOrder(event, payload);
    },
    feedback: noFeedback,
  };
}

const unreadable = (senderId: string | null, failure: RequestFailure): Message => ({
  senderId,
  unreadable: failure,
  eventName: '',
  event: null,
  read: () => err(failure),
  feedback: noFeedback,
});

/** Nothing tells a sender whether a secret is one of ours. */
const noFeedback = async (): Promise<null> => await Promise.resolve(null);

/** What a delivery was signed with and over, beside its body. None of it is empty. */
interface SignatureHeaders {
  readonly id: string;
  readonly timestamp: string;
  readonly signature: string;
}

/**
 * The headers of a delivery: `webhook-id`, `webhook-timestamp` and `webhook-signature`, or their twins under `svix-`, which some
 * libraries send in their place. The first set that is whole counts, and halves of two sets are never put together. Null: no
 * set is whole.
 */
function signatureHeaders(headers: Headers): SignatureHeaders | null {
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
function signatureProblem(
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
