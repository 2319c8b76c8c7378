import { base64url, compactDecrypt, CompactEncrypt } from 'jose';
import type { RowsOf } from '../db/database.ts';
import type { IdempotencyFailure } from '../failures.ts';
import type { claimKey } from './keys.ts';
import { canonicalJson } from '../kit/digest.ts';
import { parseJson } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';

/** A create that came with an `Idempotency-Key`, as it is kept, and what it takes to answer it a second time. */
interface KeptRequest {
  /** What the key is found by. It tells neither the key nor whose it is. */
  readonly keyHash: string;
  /** Tells this request from another with the same key. */
  readonly fingerprint: string;
  /** Null: what was sealed is not this, or under other keys. */
  unseal(sealed: string): Promise<string | null>;
}

export interface KeyedRequest extends KeptRequest {
  /** Seals its answer; null: that cannot be done. */
  seal(answer: string): Promise<string | null>;
  /** The same as an earlier version of this service may have kept it; null: no otherwise. No hash can be migrated. */
  readonly former: KeptRequest | null;
}

interface Owner {
  readonly issuer: string;
  readonly subject: string;
  readonly workspaceUuid: string;
}

export interface Idempotency {
  /**
   * @param key the caller's, as `readIdempotencyKey` read it.
   * @param sent the request as it was sent, before any default: parameters and body.
   * @param former what of this an earlier version of this service took otherwise; null: nothing.
   */
  keyed(
    owner: Owner,
    key: string,
    sent: unknown,
    former?: { readonly workspaceUuid: string; readonly sent: unknown } | null,
  ): Promise<KeyedRequest>;
}

/** A key of one route is not that of another, should one more take them. */
const ROUTE = 'POST /api/v1/service-account-tokens';
const HMAC = { name: 'HMAC', hash: 'SHA-256', length: 256 } as const;
/** RFC 7518 §4.5 and §5.3. */
const SEAL = { alg: 'dir', enc: 'A256GCM' } as const;
const encoder = new TextEncoder();

/**
 * Everything is derived from one secret by HKDF (RFC 5869). An answer is sealed under a key that takes the caller's key as
 * well, both as the key schedule of TLS takes two secrets (RFC 8446 §7.1): neither the database nor whoever holds the
 * secret besides can open it, unless the caller's key can be guessed.
 *
 * @param secret `IDEMPOTENCY_SECRET`.
 */
export function createIdempotency(secret: Uint8Array): Idempotency {
  // Nothing is imported while the Worker starts. An import reads no network, so that no request's end can spoil it.
  let imported: Promise<{ readonly secret: CryptoKey; readonly hashing: CryptoKey }> | undefined;
  const importKeys = async () => {
    const root = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
    const from = hkdf('', 'countersign idempotency: hashes');
    return { secret: root, hashing: await crypto.subtle.deriveKey(from, root, HMAC, false, ['sign']) };
  };

  const kept = async ({ issuer, subject, workspaceUuid }: Owner, key: string, sent: unknown) => {
    imported ??= importKeys();
    const keys = await imported;
    const hash = async (value: unknown): Promise<string> => {
      const mac = await crypto.subtle.sign(HMAC, keys.hashing, encoder.encode(canonicalJson(value)));
      return base64url.encode(new Uint8Array(mac));
    };
    const keyHash = await hash(['key', issuer, subject, ROUTE, workspaceUuid, key]);
    const sealingKey = async (): Promise<CryptoKey> => {
      const from = hkdf(key, `countersign idempotency: answer of ${keyHash}`);
      const aes = { name: 'AES-GCM', length: 256 } as const;
      return await crypto.subtle.deriveKey(from, keys.secret, aes, false, ['encrypt', 'decrypt']);
    };
    return { keyHash, fingerprint: await hash(['request', sent]), ...sealedUnder(sealingKey) };
  };

  return {
    keyed: async (owner, key, sent, former = null) => ({
      ...(await kept(owner, key, sent)),
      former: former && (await kept({ ...owner, workspaceUuid: former.workspaceUuid }, key, former.sent)),
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

/** jose and WebCrypto throw, and what they throw may name what they were given. */
async function orNull(work: () => Promise<string>): Promise<string | null> {
  try {
    return await work();
  } catch {
    return null;
  }
}

/** The create that holds a key, as trip 1 of another found it. */
export type Holder = RowsOf<ReturnType<typeof claimKey>[2]>[number];

/**
 * The answer of the create that holds the key of this request, to be given once more.
 *
 * Errors, each with the holder's event id: `idempotency_key_reused` if it was another request; `idempotency_in_flight` while
 * its outcome is not known; `idempotency_token_gone` once its token is revoked, expired or suspended, as far as this service
 * knows; `idempotency_no_replay` where its answer is not kept or cannot be opened.
 */
export async function replayOf(
  request: KeyedRequest,
  holder: Holder,
  nowMs: number,
): Promise<Result<unknown, IdempotencyFailure>> {
  const refused = (kind: IdempotencyFailure['kind']) => err({ kind, heldBy: holder.event_id });
  const kept = keptAs(request, holder);
  if (holder.request_fingerprint !== kept.fingerprint) return refused('idempotency_key_reused');
  if (holder.status === 'attempted') return refused('idempotency_in_flight');
  if (holder.status === 'success' && !isLive(holder, nowMs)) return refused('idempotency_token_gone');
  const answer = holder.status === 'success' && holder.sealed !== null ? await kept.unseal(holder.sealed) : null;
  return answer === null ? refused('idempotency_no_replay') : ok(parseJson(answer));
}

/** The form of a request under which its key is held: this version's, or that of an earlier one. */
const keptAs = (request: KeyedRequest, { key_hash: keyHash }: Holder): KeptRequest =>
  request.former?.keyHash === keyHash ? request.former : request;

/** As the inventory knows it. A token that is gone without this service is found by the next list. */
const isLive = ({ token_expires_at: expiresAtMs, revoked_at, suspended_by }: Holder, nowMs: number): boolean =>
  revoked_at === null && suspended_by === null && (expiresAtMs === null || expiresAtMs > nowMs);
