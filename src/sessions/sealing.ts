import { createHmac } from 'node:crypto';
import { compactDecrypt, CompactEncrypt } from 'jose';
import { SESSION_IDLE_MS, SESSION_SLOT_MS } from '../config/session-limits.ts';
import { parseJson } from '../kit/json.ts';
import type { SessionProof } from '../identity/identity.ts';

/** What a cookie holds. One of the one kind does not open as the other. */
export type SealedKind = 'session' | 'sign_in';

/** The facts of a session that its MAC covers beside the minute. */
export type SessionFacts = Omit<SessionProof, 'macs'>;

/** What `SESSION_SECRET` is for. */
export interface SessionSealing {
  seal(kind: SealedKind, content: unknown): Promise<string>;
  /** The content of a sealed text; undefined if it was not sealed here as this kind. */
  open(kind: SealedKind, sealed: string): Promise<unknown>;
  /** The id of the session that a sign-in with this `state` makes. Nobody can tell the one from the other without the secret. */
  idOf(state: string): Promise<string>;
  /** The MAC of a session that is used now. */
  mac(facts: SessionFacts, nowMs: number): Promise<string>;
  /**
   * The MACs of a session that was used within SESSION_IDLE_MS, the newest first. One is of the next minute, for an isolate whose
   * clock is ahead.
   */
  macs(facts: SessionFacts, nowMs: number): Promise<readonly string[]>;
}

/** Cookies are JWEs with direct encryption (RFC 7518 §4.5) by AES-GCM (§5.3). The protected header says what they hold. */
const SEAL = { alg: 'dir', enc: 'A256GCM' } as const;
const AES = { name: 'AES-GCM', length: 256 } as const;
/** 128 bits: each request brings a MAC for each minute. RFC 2104 §5 allows half of the 256. */
const MAC_CHARS = 22;
const encoder = new TextEncoder();

const minuteOf = (nowMs: number): number => Math.floor(nowMs / SESSION_SLOT_MS);

/** Derives the keys from the secret (RFC 5869), each for one purpose. */
export function createSessionSealing(secret: Uint8Array): SessionSealing {
  // Workers do no cryptography while they start.
  let derived: Promise<Keys> | undefined;
  const keys = async (): Promise<Keys> => {
    derived ??= deriveKeys(secret);
    return await derived;
  };
  const tag = (key: Uint8Array, parts: readonly unknown[]): string =>
    createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url').slice(0, MAC_CHARS);
  const macIn = (key: Uint8Array, facts: SessionFacts, minute: number): string => {
    const { id, actor_type, issuer, subject, label, started_at, ends_at } = facts;
    return tag(key, ['session', id, actor_type, issuer, subject, label, started_at, ends_at, minute]);
  };

  return {
    seal: async (kind, content) => {
      const { seal } = await keys();
      const jwe = new CompactEncrypt(encoder.encode(JSON.stringify(content)));
      return await jwe.setProtectedHeader({ ...SEAL, typ: typeOf(kind) }).encrypt(seal);
    },
    open: async (kind, sealed) => {
      const { seal } = await keys();
      const allowed = { keyManagementAlgorithms: [SEAL.alg], contentEncryptionAlgorithms: [SEAL.enc] };
      try {
        const { plaintext, protectedHeader } = await compactDecrypt(sealed, seal, allowed);
        return protectedHeader['typ'] === typeOf(kind) ? parseJson(new TextDecoder().decode(plaintext)) : undefined;
      } catch {
        // The errors of jose may quote what they were given, so they go nowhere.
        return undefined;
      }
    },
    idOf: async (state) => tag((await keys()).mac, ['id', state]),
    mac: async (facts, nowMs) => macIn((await keys()).mac, facts, minuteOf(nowMs)),
    macs: async (facts, nowMs) => {
      const { mac } = await keys();
      const minutes = SESSION_IDLE_MS / SESSION_SLOT_MS;
      return Array.from({ length: minutes + 1 }, (_item, ago) => macIn(mac, facts, minuteOf(nowMs) + 1 - ago));
    },
  };
}

interface Keys {
  readonly seal: CryptoKey;
  readonly mac: Uint8Array;
}

async function deriveKeys(secret: Uint8Array): Promise<Keys> {
  const root = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey', 'deriveBits']);
  const from = (use: string) => ({
    name: 'HKDF',
    hash: 'SHA-256',
    salt: new Uint8Array(),
    info: encoder.encode(`countersign session: ${use}`),
  });
  return {
    seal: await crypto.subtle.deriveKey(from('cookies'), root, AES, false, ['encrypt', 'decrypt']),
    mac: new Uint8Array(await crypto.subtle.deriveBits(from('rows'), root, 256)),
  };
}

const typeOf = (kind: SealedKind): string => `countersign+${kind}`;
