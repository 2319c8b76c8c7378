import { base64url, exportJWK, generateKeyPair, type JSONWebKeySet, type JWK } from 'jose';
import type { IssuerPolicy, SignatureAlgorithm } from '../../src/config/issuers.ts';

/** An issuer with a key pair of its own, to sign JWTs of any shape, well-formed or hostile. */
export interface TestIssuer {
  readonly issuer: string;
  readonly audience: string;
  readonly alg: SignatureAlgorithm;
  readonly kid: string;
  /** The public key, with `kid`, `alg` and `use`. */
  readonly publicJwk: JWK;
  /** The set that the issuer publishes: `publicJwk` alone. */
  readonly jwks: JSONWebKeySet;
  /**
   * A JWT that `policy()` accepts for five minutes, with `claims` on top of `iss`, `aud`, `sub`, `iat` and `exp`.
   * A claim or header of undefined is left out.
   */
  sign(
    claims?: Readonly<Record<string, unknown>>,
    overrides?: { readonly nowMs?: number; readonly header?: Readonly<Record<string, unknown>> },
  ): Promise<string>;
  /** A JWT of exactly this header and payload, rightly signed with `alg` whatever the header says. */
  signText(header: string, payload: string): Promise<string>;
  /** Trusts this issuer: inline keys, the audience above, `sub`, no label, in `Authorization`. */
  policy(overrides?: Partial<IssuerPolicy>): IssuerPolicy;
}

/** RFC 7518 §3.3 to §3.5; the hash of RSA belongs to its key. */
const SIGNING_PARAMETERS = {
  RS256: { name: 'RSASSA-PKCS1-v1_5' },
  RS384: { name: 'RSASSA-PKCS1-v1_5' },
  RS512: { name: 'RSASSA-PKCS1-v1_5' },
  PS256: { name: 'RSA-PSS', saltLength: 32 },
  PS384: { name: 'RSA-PSS', saltLength: 48 },
  PS512: { name: 'RSA-PSS', saltLength: 64 },
  ES256: { name: 'ECDSA', hash: 'SHA-256' },
  ES384: { name: 'ECDSA', hash: 'SHA-384' },
  ES512: { name: 'ECDSA', hash: 'SHA-512' },
  EdDSA: { name: 'Ed25519' },
} as const satisfies Record<SignatureAlgorithm, SubtleCryptoSignAlgorithm>;

export async function createTestIssuer(
  options: { issuer?: string; audience?: string; alg?: SignatureAlgorithm; kid?: string } = {},
): Promise<TestIssuer> {
  const { issuer = 'https://issuer.test', audience = 'countersign', alg = 'ES256', kid = 'key-1' } = options;
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const publicJwk: JWK = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' };
  const jwks: JSONWebKeySet = { keys: [publicJwk] };

  const signText: TestIssuer['signText'] = async (header, payload) => {
    const input = `${base64url.encode(header)}.${base64url.encode(payload)}`;
    const signature = await crypto.subtle.sign(SIGNING_PARAMETERS[alg], privateKey, new TextEncoder().encode(input));
    return `${input}.${base64url.encode(new Uint8Array(signature))}`;
  };

  const sign: TestIssuer['sign'] = async (claims = {}, overrides = {}) => {
    const nowSeconds = Math.floor((overrides.nowMs ?? Date.now()) / 1000);
    const defaults = { iss: issuer, aud: audience, sub: 'alice', iat: nowSeconds, exp: nowSeconds + 300 };
    return await signText(
      JSON.stringify({ alg, kid, typ: 'JWT', ...overrides.header }),
      JSON.stringify({ ...defaults, ...claims }),
    );
  };

  const policy: TestIssuer['policy'] = (overrides = {}) => ({
    issuer,
    audience: [audience],
    algorithms: [alg],
    keys: { kind: 'inline', jwks },
    subject: 'sub',
    label: null,
    actorType: 'user',
    maxAgeSeconds: 24 * 60 * 60,
    clockToleranceSeconds: 30,
    acceptTyp: ['application/jwt', 'application/at+jwt'],
    header: 'Authorization',
    ...overrides,
  });

  return { issuer, audience, alg, kid, publicJwk, jwks, sign, signText, policy };
}
