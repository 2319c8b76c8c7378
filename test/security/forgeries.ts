import { base64url, exportSPKI, importJWK } from 'jose';
import { JWT_MAX_BYTES } from '../../src/config/limits.ts';
import type { TokenRejection } from '../../src/failures.ts';
import { createTestIssuer, type TestIssuer } from '../support/issuer.ts';

/** What an administrator's JWT says, so that nothing is wrong with a forgery but what its name says. */
export const ADMIN = { sub: 'admin-1', role: 'admin' } as const;

const HOUR_SECONDS = 3600;
const DAY_SECONDS = 24 * HOUR_SECONDS;

/** A kind of bad JWT. */
export interface Forgery {
  readonly name: string;
  /** Why it is refused: in the trail, never in the answer. */
  readonly reason: TokenRejection;
  /** Whether the trail names its issuer: only one that is configured, and only once the JWT could be read. */
  readonly namesIssuer: boolean;
  readonly make: (issuer: TestIssuer) => Promise<string>;
}

const encode = (value: unknown): string => base64url.encode(JSON.stringify(value));
const nowSeconds = (): number => Math.floor(Date.now() / 1000);

/** The claims of an administrator's JWT, for those that are not signed by the issuer. */
export const adminClaims = (issuer: TestIssuer): Record<string, unknown> => {
  const now = nowSeconds();
  return { iss: issuer.issuer, aud: issuer.audience, iat: now, exp: now + 300, ...ADMIN };
};

const signed =
  (claims: (now: number) => Record<string, unknown>, header: Record<string, unknown> = {}) =>
  (issuer: TestIssuer) =>
    issuer.sign({ ...ADMIN, ...claims(nowSeconds()) }, { header });

/** Without a signature: RFC 7518 §3.6. */
export const unsigned = async (issuer: TestIssuer, alg: string): Promise<string> =>
  await Promise.resolve(`${encode({ alg, kid: issuer.kid })}.${encode(adminClaims(issuer))}.`);

/** Signed with HMAC under a secret that anybody knows: RFC 8725 §2.1. */
export async function hmacSigned(issuer: TestIssuer, alg: `HS${256 | 384 | 512}`, secret: BufferSource) {
  const input = `${encode({ alg, kid: issuer.kid, typ: 'JWT' })}.${encode(adminClaims(issuer))}`;
  const hash = `SHA-${alg.slice(2)}`;
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash }, false, ['sign']);
  const mac = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(input));
  return `${input}.${base64url.encode(new Uint8Array(mac))}`;
}

/** The public key in the forms that a careless verifier takes for an HMAC secret. */
export async function publicKeyBytes(issuer: TestIssuer): Promise<Readonly<Record<string, Uint8Array<ArrayBuffer>>>> {
  const key = await importJWK(issuer.publicJwk, issuer.alg, { extractable: true });
  if (!('type' in key)) throw new Error('not a public key');
  const pem = await exportSPKI(key);
  const bytes = (text: string) => Uint8Array.from(new TextEncoder().encode(text));
  const raw = issuer.publicJwk.x ?? issuer.publicJwk.n ?? '';
  return {
    'as PEM': bytes(pem),
    'as PEM without the last line break': bytes(pem.trimEnd()),
    'as DER': new Uint8Array((await crypto.subtle.exportKey('spki', key)) as ArrayBuffer),
    'as JWK': bytes(JSON.stringify(issuer.publicJwk)),
    'as the bytes of its JWK': Uint8Array.from(base64url.decode(raw)),
    'as the base64url of its JWK': bytes(raw),
  };
}

/** An administrator's JWT of exactly so many bytes. */
export async function ofBytes(issuer: TestIssuer, length: number): Promise<string> {
  const bare = (await issuer.sign({ ...ADMIN, pad: '' }, { header: { pad: '' } })).length;
  // Base64url has no text of 4n + 1 characters, so one segment alone does not reach every length.
  for (let headerPad = 0; headerPad < 4; headerPad += 1) {
    const estimate = Math.floor(((length - bare) * 3) / 4);
    for (let pad = estimate - 8; pad <= estimate + 8; pad += 1) {
      const claims = { ...ADMIN, pad: 'x'.repeat(Math.max(0, pad)) };
      const jwt = await issuer.sign(claims, { header: { pad: 'x'.repeat(headerPad) } });
      if (jwt.length === length) return jwt;
    }
  }
  throw new Error(`no JWT has ${length} bytes`);
}

/** Every class of bad JWT, once: what each protected route is tried with. */
export const FORGERIES: readonly Forgery[] = [
  {
    name: 'that is none',
    reason: 'malformed',
    namesIssuer: false,
    make: async () => await Promise.resolve('not-a-jwt'),
  },
  {
    name: 'whose payload is no JSON',
    reason: 'malformed',
    namesIssuer: false,
    make: (issuer) => issuer.signText(JSON.stringify({ alg: issuer.alg, kid: issuer.kid }), '{"sub":'),
  },
  {
    name: 'of more than 24 KiB',
    reason: 'too_large',
    namesIssuer: false,
    make: (issuer) => ofBytes(issuer, JWT_MAX_BYTES + 1),
  },
  {
    name: 'that is unsigned',
    reason: 'algorithm_not_allowed',
    namesIssuer: true,
    make: (issuer) => unsigned(issuer, 'none'),
  },
  {
    name: 'signed with HMAC and the public key',
    reason: 'algorithm_not_allowed',
    namesIssuer: true,
    make: async (issuer) => await hmacSigned(issuer, 'HS256', (await publicKeyBytes(issuer))['as PEM']!),
  },
  {
    name: "signed with somebody else's key under our kid",
    reason: 'signature_invalid',
    namesIssuer: true,
    make: async (issuer) => await (await createTestIssuer({ issuer: issuer.issuer, alg: issuer.alg })).sign(ADMIN),
  },
  {
    name: 'whose signature was cut off',
    reason: 'signature_invalid',
    namesIssuer: true,
    make: async (issuer) => (await issuer.sign(ADMIN)).replace(/[^.]+$/, ''),
  },
  {
    name: 'whose key is unknown',
    reason: 'key_unknown',
    namesIssuer: true,
    make: signed(() => ({}), { kid: 'another' }),
  },
  {
    name: 'with a critical header',
    reason: 'critical_header',
    namesIssuer: false,
    make: signed(() => ({}), { crit: ['exp'] }),
  },
  {
    name: 'of another issuer',
    reason: 'issuer_unknown',
    namesIssuer: false,
    make: signed(() => ({ iss: 'https://evil.example' })),
  },
  {
    name: 'that ends a session',
    reason: 'type_not_accepted',
    namesIssuer: true,
    make: signed(() => ({}), { typ: 'logout+jwt' }),
  },
  {
    name: 'for another audience',
    reason: 'audience_mismatch',
    namesIssuer: true,
    make: signed(() => ({ aud: 'someone-else' })),
  },
  {
    name: 'that has expired',
    reason: 'expired',
    namesIssuer: true,
    make: signed((now) => ({ iat: now - HOUR_SECONDS, exp: now - 60 })),
  },
  {
    name: 'without an expiry',
    reason: 'claim_missing',
    namesIssuer: true,
    make: signed(() => ({ exp: undefined })),
  },
  {
    name: 'that is not valid yet',
    reason: 'not_yet_valid',
    namesIssuer: true,
    make: signed((now) => ({ nbf: now + 60 })),
  },
  {
    name: 'issued in the future',
    reason: 'issued_in_future',
    namesIssuer: true,
    make: signed((now) => ({ iat: now + 60, exp: now + HOUR_SECONDS })),
  },
  {
    name: 'issued too long ago',
    reason: 'too_old',
    namesIssuer: true,
    make: signed((now) => ({ iat: now - DAY_SECONDS - 60 })),
  },
  {
    name: 'without a subject',
    reason: 'claim_missing',
    namesIssuer: true,
    make: signed(() => ({ sub: undefined })),
  },
  {
    name: 'whose subject is empty',
    reason: 'subject_empty',
    namesIssuer: true,
    make: signed(() => ({ sub: '' })),
  },
];
