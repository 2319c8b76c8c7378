import { createPublicKey, verify } from 'node:crypto';
import type { LocalJWKSet } from 'jose';
import type { SignatureFailure, SignatureRejection } from '../../failures.ts';
import { decodePaddedBase64 } from '../../kit/base64.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { AdapterKind, Delivery, Message } from './sender.ts';
import { inlineKeys, remoteKeys, type SenderKeys } from './sender-keys.ts';
import { feedbackOn, readReport } from './github-leaks.ts';

/** GitHub's secret scanning partner protocol: ECDSA P-256 over the raw body. */
export const github: AdapterKind<'github'> = ({ keysUrl, keysToken, keys: published = [] }, dependencies) => {
  const token = keysToken === undefined ? null : dependencies.secret(keysToken);
  const keys = keysUrl === undefined ? inlineKeys(published) : remoteKeys(keysUrl, token, dependencies);
  return {
    receive: async (delivery) => {
      const verified = await verifyWith(keys, delivery);
      return verified.ok ? ok(messageIn(delivery.body)) : verified;
    },
  };
};

async function verifyWith(keys: SenderKeys, { headers, body }: Delivery): Promise<Result<null, SignatureFailure>> {
  const keyId = headers.get('Github-Public-Key-Identifier') ?? '';
  const encoded = headers.get('Github-Public-Key-Signature') ?? '';
  if (keyId === '' || encoded === '') return rejected('signature_missing');
  const signature = decodePaddedBase64(encoded);
  if (signature === null) return rejected('signature_malformed');

  const candidates = await keys.find(async (set) => await Promise.resolve(named(keyId, set)));
  if (!candidates.ok) return err({ kind: 'keys_unavailable', ...candidates.error });
  if (candidates.value === null) return rejected('key_unknown');
  const isGood = candidates.value.some((key) =>
    verify('sha256', body, createPublicKey({ key, format: 'jwk' }), signature),
  );
  return isGood ? ok(null) : rejected('signature_invalid');
}

const rejected = (reason: SignatureRejection) => err({ kind: 'signature_rejected', reason } as const);

/** Null: none has this id. */
function named(keyId: string, set: LocalJWKSet) {
  const keys = set.jwks().keys.filter(({ kid }) => kid === keyId);
  return keys.length === 0 ? null : keys;
}

const messageIn = (body: Uint8Array): Message => ({
  senderId: null,
  unreadable: null,
  eventName: 'token.leaked',
  event: 'token.leaked',
  read: () => readReport(body),
  feedback: async (order, matched) => (order.event === 'token.leaked' ? await feedbackOn(order.leaks, matched) : []),
});
