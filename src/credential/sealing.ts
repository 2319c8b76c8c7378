import { compactDecrypt, CompactEncrypt } from 'jose';
import type { RenewalConfig } from '../config/renewal.ts';
import { canonicalJson, sha256Hex } from '../kit/digest.ts';
import { isObject, parseJson } from '../kit/json.ts';

/** The tokens of one link of a chain. */
export interface ChainTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** What is configured, as D1 knows it. */
export interface Configured {
  /** Of the refresh token alone: its chain is found by it, so that another client or PipeOps in its settings does not begin anew. */
  readonly chain: string;
  /** Of the PipeOps and the client with which it is presented. The refresh token is in it, so that no short secret can be guessed. */
  readonly client: string;
}

/** Seals tokens for D1. One for each isolate. */
export interface Sealing {
  /** The digests of what is configured. They tell nothing of it. */
  configured(): Promise<Configured>;
  /** Seals the tokens that the chain has at `counter`. */
  seal(tokens: ChainTokens, counter: number): Promise<string>;
  /** Opens them; null if they were sealed for another chain or counter, or under a key that is not configured. */
  open(sealed: string, counter: number): Promise<ChainTokens | null>;
}

/** Tokens are JWEs with direct encryption (RFC 7518 §4.5) by AES-GCM (§5.3). */
const SEAL = { alg: 'dir', enc: 'A256GCM' } as const;
const AES = { name: 'AES-GCM', length: 256 } as const;
const encoder = new TextEncoder();

/**
 * The protected header of the JWE, which is authenticated with it, says whose tokens they are: of which PipeOps and client, of which
 * chain, and how often that was renewed. So neither another environment's tokens nor older ones open in their place.
 */
export function createSealing(apiUrl: string, config: RenewalConfig): Sealing {
  // Workers do no cryptography while they start.
  let imported: Promise<readonly CryptoKey[]> | undefined;
  const keys = async (): Promise<readonly CryptoKey[]> => {
    imported ??= Promise.all(config.sealKeys.map(sealingKey));
    return await imported;
  };
  const { clientId, clientSecret, refreshToken } = config;
  let digests: Promise<Configured> | undefined;
  const digestOf = async (...parts: readonly (string | null)[]): Promise<string> =>
    await sha256Hex(canonicalJson(['countersign credential', ...parts, refreshToken]));
  const configured = async (): Promise<Configured> => {
    digests ??= Promise.all([digestOf('chain'), digestOf('client', apiUrl, clientId, clientSecret)]).then(
      ([chain, client]) => ({ chain, client }),
    );
    return await digests;
  };
  const headerOf = async (counter: number) => ({
    ...SEAL,
    pipeops: apiUrl,
    client: clientId,
    chain: (await configured()).chain,
    counter,
  });

  return {
    configured,

    seal: async (tokens, counter) => {
      const [current] = await keys();
      if (current === undefined) throw new TypeError('No key to seal the credential with.');
      const jwe = new CompactEncrypt(encoder.encode(JSON.stringify(tokens)));
      return await jwe.setProtectedHeader(await headerOf(counter)).encrypt(current);
    },

    open: async (sealed, counter) => {
      const expected = canonicalJson(await headerOf(counter));
      for (const key of await keys()) {
        const opened = await decrypt(sealed, key);
        if (opened !== null && canonicalJson(opened.header) === expected) return opened.tokens;
      }
      return null;
    },
  };
}

async function sealingKey(secret: Uint8Array): Promise<CryptoKey> {
  const root = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
  const info = encoder.encode('countersign credential: tokens');
  const from = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info } as const;
  return await crypto.subtle.deriveKey(from, root, AES, false, ['encrypt', 'decrypt']);
}

/** Null: the key does not open it. The errors of jose may quote what they were given, so they go nowhere. */
async function decrypt(sealed: string, key: CryptoKey): Promise<{ header: object; tokens: ChainTokens } | null> {
  const allowed = { keyManagementAlgorithms: [SEAL.alg], contentEncryptionAlgorithms: [SEAL.enc] };
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(sealed, key, allowed);
    const tokens = parseJson(new TextDecoder().decode(plaintext));
    if (!isObject(tokens)) return null;
    const { accessToken, refreshToken } = tokens;
    if (typeof accessToken !== 'string' || typeof refreshToken !== 'string') return null;
    return { header: protectedHeader, tokens: { accessToken, refreshToken } };
  } catch {
    return null;
  }
}
