import { Webhook } from 'standardwebhooks';
import type { RequestFailure, SignatureRejection } from '../../failures.ts';
import { isObject } from '../../kit/json.ts';
import { err, ok } from '../../kit/result.ts';
import { WEBHOOK_EVENTS } from '../../vocabulary.ts';
import type { AdapterKind, Message } from './sender.ts';
import { parsePayload, textOf } from './payload.ts';
import { readOrder } from './standard-orders.ts';
import { signatureHeaders, signatureProblem } from './standard-signature.ts';

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
