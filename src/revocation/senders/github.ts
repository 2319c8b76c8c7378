import type { LocalJWKSet } from 'jose';
import { createPublicKey, verify } from 'node:crypto';
import type { RequestFailure, SignatureFailure, SignatureRejection } from '../../failures.ts';
import { decodePaddedBase64 } from '../../kit/bytes.ts';
import { sha256Hex } from '../../kit/digest.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { inlineKeys, remoteKeys, type SenderKeys } from './github-keys.ts';
import { itemsIn, parsePayload, readLeaks } from './leaks.ts';
import type { AdapterKind, Delivery, Leak, LeakReport, Message } from './sender.ts';

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

/** Reads `[{"token", "type", "url"?, "source"?}]`. Fails with `invalid_json`. */
function readReport(body: Uint8Array): Result<LeakReport, RequestFailure> {
  // What is not UTF-8, say in the place of a file, is replaced: the secret beside it is still one.
  const payload = parsePayload(new TextDecoder('utf-8', { fatal: false, ignoreBOM: true }).decode(body));
  return payload.ok ? ok(readLeaks(itemsIn(payload.value))) : payload;
}

/** What GitHub is told of one secret. */
interface Feedback {
  readonly token_hash: string;
  readonly token_type: string | null;
  readonly label: 'true_positive';
}

/** The secrets that are ours, each once for each type, by the SHA-256 of the text that GitHub sent. Of the others it learns nothing. */
async function feedbackOn(leaks: readonly Leak[], matched: ReadonlySet<number>): Promise<readonly Feedback[]> {
  const ours = leaks.filter(({ position }) => matched.has(position));
  const feedback = await Promise.all(
    ours.map(async ({ text, sha256, type }): Promise<Feedback> => {
      const hash = text === null ? (sha256 ?? '') : await sha256Hex(text);
      return { token_hash: hash, token_type: type, label: 'true_positive' };
    }),
  );
  const distinct = new Map(feedback.map((told) => [`${told.token_hash} ${told.token_type}`, told]));
  return [...distinct.values()];
}
