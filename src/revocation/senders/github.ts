import { createPublicKey, verify } from 'node:crypto';
import type { LocalJWKSet } from 'jose';
import * as z from 'zod';
import { secretName, trustedUrl } from '../../config/fields.ts';
import type { SignatureFailure, SignatureRejection } from '../../failures.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { AdapterKind, Delivery, Message } from './sender.ts';
import { readPem } from './github-keys.ts';
import { inlineKeys, remoteKeys, type SenderKeys } from './sender-keys.ts';
import { sourceFields } from './source-fields.ts';
import { decodeBase64 } from './lenient-base64.ts';
import { feedbackOn, readReport } from './github-leaks.ts';

const publicKey = z.strictObject({
  key_identifier: z.string().min(1),
  key: z.string().refine((pem) => readPem(pem) !== null, {
    error: 'is no public key of the curve P-256 in PEM: -----BEGIN PUBLIC KEY----- and so on',
  }),
});

const fields = sourceFields({
  kind: z.literal('github'),
  /** Where its public keys are read: GitHub's, or those of whoever relays its messages. */
  keysUrl: trustedUrl.optional(),
  /** The name of a Worker secret to read them with: without one GitHub allows 60 requests an hour for an address. */
  keysToken: secretName.optional(),
  /** The public keys themselves, in place of `keysUrl`. */
  keys: z.array(publicKey).min(1).optional(),
})
  .refine(({ keysUrl, keys }) => (keysUrl === undefined) !== (keys === undefined), {
    path: ['keysUrl'],
    error: 'is needed, or `keys` in its place, and not both',
    params: { example: "keysUrl: 'https://api.github.com/meta/public_keys/secret_scanning'" },
  })
  .refine(({ keysUrl, keysToken }) => keysToken === undefined || keysUrl !== undefined, {
    path: ['keysToken'],
    error: 'is of no use without `keysUrl`',
  });

/** GitHub's secret scanning partner protocol: ECDSA P-256 over the raw body. */
export const github: AdapterKind<typeof fields> = {
  fields,
  secrets: ({ keysToken }) => (keysToken === undefined ? [] : [keysToken]),
  secretProblem: (value) => (/^[!-~]+$/.test(value) ? null : 'is empty, or not one line of visible ASCII'),
  create: ({ keysUrl, keysToken, keys: published = [] }, dependencies) => {
    const token = keysToken === undefined ? null : dependencies.secret(keysToken);
    const keys = keysUrl === undefined ? inlineKeys(published) : remoteKeys(keysUrl, token, dependencies);
    return {
      receive: async (delivery) => {
        const verified = await verifyWith(keys, delivery);
        return verified.ok ? ok(messageIn(delivery.body)) : verified;
      },
    };
  },
};

async function verifyWith(keys: SenderKeys, { headers, body }: Delivery): Promise<Result<null, SignatureFailure>> {
  const keyId = headers.get('Github-Public-Key-Identifier') ?? '';
  const encoded = headers.get('Github-Public-Key-Signature') ?? '';
  if (keyId === '' || encoded === '') return rejected('signature_missing');
  const signature = decodeBase64(encoded);
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
