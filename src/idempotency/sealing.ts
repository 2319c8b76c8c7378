import { base64url, compactDecrypt, CompactEncrypt } from 'jose';
import { canonicalJson } from '../kit/digest.ts';

/** Makes what is stored of a request with an `Idempotency-Key`. One for each isolate. */
export interface Idempotency {
  /**
   * The form of a request in which it is stored.
   *
   * @param key the caller's, as `readIdempotencyKey` read it.
   * @param sent the request as it was sent, before any default: parameters and body.
   * @param former the parts of this request that an earlier version of this service read otherwise; null if there are none.
   */
  keyed(
    owner: Owner,
    key: string,
    sent: unknown,
    former?: { readonly workspaceUuid: string; readonly sent: unknown } | null,
  ): Promise<KeyedRequest>;
}

/** A request that came with an `Idempotency-Key`, in the form in which it is stored. */
export interface KeyedRequest extends StoredRequest {
  /** Seals the answer of this request; null if that fails. */
  seal(answer: string): Promise<string | null>;
  /**
   * The form in which an earlier version of this service may have stored this request; null if that is no other. Hashes cannot be
   * migrated, so both forms are looked for.
   */
  readonly former: StoredRequest | null;
}

/** What finds, recognises and answers a request that is repeated. */
export interface StoredRequest {
  /** The hash that a key is found by. It tells neither the key nor whose it is. */
  readonly keyHash: string;
  /** A digest of the request: it tells this request from another one with the same key. */
  readonly fingerprint: string;
  /** Opens a sealed answer; null if it was sealed for another request or under another secret. */
  unseal(sealed: string): Promise<string | null>;
}

interface Owner {
  readonly issuer: string;
  readonly subject: string;
  /** Null: the request is not confined to one. */
  readonly workspaceUuid: string | null;
  /** Part of every hash, so that a key means another request on another route. Default: the route of creates. */
  readonly route?: string;
}

const CREATES = 'POST /api/v1/service-account-tokens';
const HMAC = { name: 'HMAC', hash: 'SHA-256', length: 256 } as const;
/** Answers are JWEs with direct encryption (RFC 7518 §4.5) by AES-GCM (§5.3). */
const SEAL = { alg: 'dir', enc: 'A256GCM' } as const;
const encoder = new TextEncoder();

/**
 * Derives everything from one secret by HKDF (RFC 5869). The key that an answer is sealed under is derived from the caller's key
 * too, as the key schedule of TLS takes in two secrets (RFC 8446 §7.1): whoever holds the database and the secret can open no
 * answer, unless the caller's key can be guessed.
 *
 * @param secret `IDEMPOTENCY_SECRET`.
 */
export function createIdempotency(secret: Uint8Array): Idempotency {
  // Workers do no cryptography while they start, so keys are imported by the first request. That waits for no network, so the end of
  // this request cannot leave the promise unsettled for others.
  let imported: Promise<{ readonly secret: CryptoKey; readonly hashing: CryptoKey }> | undefined;
  const importKeys = async () => {
    const root = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
    const from = hkdf('', 'countersign idempotency: hashes');
    return { secret: root, hashing: await crypto.subtle.deriveKey(from, root, HMAC, false, ['sign']) };
  };

  const stored = async ({ issuer, subject, workspaceUuid, route = CREATES }: Owner, key: string, sent: unknown) => {
    imported ??= importKeys();
    const keys = await imported;
    const hash = async (value: unknown): Promise<string> => {
      const mac = await crypto.subtle.sign(HMAC, keys.hashing, encoder.encode(canonicalJson(value)));
      return base64url.encode(new Uint8Array(mac));
    };
    const keyHash = await hash(['key', issuer, subject, route, workspaceUuid, key]);
    const sealingKey = async (): Promise<CryptoKey> => {
      const from = hkdf(key, `countersign idempotency: answer of ${keyHash}`);
      const aes = { name: 'AES-GCM', length: 256 } as const;
      return await crypto.subtle.deriveKey(from, keys.secret, aes, false, ['encrypt', 'decrypt']);
    };
    return { keyHash, fingerprint: await hash(['request', sent]), ...sealedUnder(sealingKey) };
  };

  return {
    keyed: async (owner, key, sent, former = null) => ({
      ...(await stored(owner, key, sent)),
      former: former && (await stored({ ...owner, workspaceUuid: former.workspaceUuid }, key, former.sent)),
    }),
  };
}

const sealedUnder = (sealingKey: () => Promise<CryptoKey>): Pick<KeyedRequest, 'seal' | 'unseal'> => ({
  seal: async (answer) =>
    await orNull(async () => {
      const jwe = new CompactEncrypt(encoder.encode(answer)).setProtectedHeader(SEAL);
      return await jwe.encrypt(await sealingKey());
    }),
  unseal: async (sealed) =>
    await orNull(async () => {
      const allowed = { keyManagementAlgorithms: [SEAL.alg], contentEncryptionAlgorithms: [SEAL.enc] };
      const { plaintext } = await compactDecrypt(sealed, await sealingKey(), allowed);
      return new TextDecoder().decode(plaintext);
    }),
});

const hkdf = (salt: string, info: string) =>
  ({ name: 'HKDF', hash: 'SHA-256', salt: encoder.encode(salt), info: encoder.encode(info) }) as const;

/** The result of `work`; null if it throws. The errors of jose and WebCrypto may quote what they were given, so they go nowhere. */
async function orNull(work: () => Promise<string>): Promise<string | null> {
  try {
    return await work();
  } catch {
    return null;
  }
}
