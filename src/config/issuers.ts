import type { JSONWebKeySet, JWK } from 'jose';
import * as z from 'zod';
import { duration, secretName, trustedBaseUrl, trustedUrl } from './fields.ts';
import {
  ACTOR_ISSUER_MAX_BYTES,
  CLOCK_TOLERANCE_DEFAULT_SECONDS,
  CLOCK_TOLERANCE_MAX_SECONDS,
  JWT_MAX_AGE_DEFAULT_SECONDS,
} from './limits.ts';
import { byteLength } from '../kit/bytes.ts';
import { isObject } from '../kit/json.ts';
import type { Identity } from '../identity/identity.ts';

/** The signature algorithms that an issuer may use. None is symmetric (RFC 8725 §3.1 and §3.2). */
export const SIGNATURE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

/** The headers of a request that may carry a JWT. */
const CREDENTIAL_HEADERS = ['Authorization', 'Cf-Access-Jwt-Assertion'] as const;
export type CredentialHeader = (typeof CREDENTIAL_HEADERS)[number];

/**
 * The types of JWT that are credentials where an issuer names none: a plain JWT (RFC 7519 §5.1) and an access token (RFC 9068
 * §2.1).
 */
const DEFAULT_TYPES = ['JWT', 'at+jwt'] as const;

/**
 * A JWT's `typ` as a whole media type in lower case. One without a slash is short for one under `application/` (RFC 7515 §4.1.9), and
 * the case of letters does not count (RFC 2045 §5.1).
 */
export function mediaTypeOf(typ: string): string {
  const lower = typ.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return lower.includes('/') ? lower : `application/${lower}`;
}

/** Where the public keys of an issuer come from. */
type IssuerKeys =
  | { readonly kind: 'inline'; readonly jwks: JSONWebKeySet }
  | { readonly kind: 'uri'; readonly jwksUri: string }
  /** OIDC Discovery 1.0: the issuer's own document names the `jwks_uri`. */
  | { readonly kind: 'discovery' };

/**
 * One entry of the operator's `issuers`, with its defaults filled in.
 *
 * An issuer with two kinds of caller is listed twice, with a different audience, `subject` claim or type of JWT: Cloudflare Access
 * signs a user's JWT with `sub` and a service token's with an empty `sub` and a `common_name`. The first entry in file
 * order that fits a JWT judges it. Entries of one issuer should have the same `keys`, and subject claims whose values
 * cannot coincide, because tokens belong to issuer and subject together.
 */
export interface IssuerPolicy {
  /** It is compared with `iss` character by character (RFC 7519 §4.1.1). */
  readonly issuer: string;
  /** The JWT must be for one of these, character by character. There is at least one. */
  readonly audience: readonly string[];
  /** There is at least one. `EdDSA` also stands for its newer name `Ed25519` (RFC 9864). */
  readonly algorithms: readonly SignatureAlgorithm[];
  readonly keys: IssuerKeys;
  /** The claim that owns tokens, named as `readClaim` reads it. */
  readonly subject: string;
  /** The claim that people see beside the subject, named likewise; null if there is none. */
  readonly label: string | null;
  readonly actorType: Identity['actorType'];
  /** The age by `iat` beyond which a JWT is not accepted. */
  readonly maxAgeSeconds: number;
  /** How much the issuer's clock may differ from ours. */
  readonly clockToleranceSeconds: number;
  /** The types of JWT that are credentials, as whole media types in lower case. */
  readonly acceptTyp: readonly string[];
  /** The only header in which this issuer's JWTs are accepted. */
  readonly header: CredentialHeader;
  /** The client of this issuer with which people sign in to the console. Absent: nobody signs in by it. */
  readonly clientId?: string | undefined;
  /** The name of the Worker secret that holds the client's secret. Absent: a public client (RFC 6749 §2.1). */
  readonly clientSecret?: string | undefined;
}

const PUBLIC_KEY_TYPES: readonly unknown[] = ['RSA', 'EC', 'OKP'];
/** The private members of RFC 7518 §6 and RFC 8037. With one of them the Worker could sign what it verifies. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

const algorithm = z.enum(SIGNATURE_ALGORITHMS, {
  error: ({ input }) =>
    typeof input === 'string' && input.startsWith('HS')
      ? 'is an HMAC algorithm: whoever can verify with it can also forge'
      : `is none of ${SIGNATURE_ALGORITHMS.join(', ')}`,
});

const audience = z.preprocess(
  (input) => (typeof input === 'string' ? [input] : input),
  z.array(z.string().min(1)).min(1, { error: 'is empty: it must name what the JWTs are for' }),
);

const toleranceError = { error: `is not a whole number of seconds from 0 to ${CLOCK_TOLERANCE_MAX_SECONDS}` };
const clockTolerance = z
  .custom<number>((input) => Number.isSafeInteger(input), toleranceError)
  .refine((seconds) => seconds >= 0 && seconds <= CLOCK_TOLERANCE_MAX_SECONDS, toleranceError);

/** The name of a media type (RFC 6838 §4.2), with its top-level type or without it. */
const jwtType = z
  .string()
  .regex(/^(?:[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}\/)?[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}$/, {
    error: "is not a type of JWT, such as 'at+jwt'",
  })
  .transform(mediaTypeOf);

const publicKeys = z
  .strictObject({ keys: z.array(z.custom<JWK>(isPublicKey, { error: 'is not a public RSA, EC or OKP key' })).min(1) })
  .transform((jwks): JSONWebKeySet => jwks);

/** One entry of `issuers`. */
export const issuerSchema = z
  .strictObject({
    issuer: trustedBaseUrl
      .refine((text) => byteLength(text) <= ACTOR_ISSUER_MAX_BYTES, {
        error: `is longer than the ${ACTOR_ISSUER_MAX_BYTES} bytes that the trail keeps`,
      })
      // A filter of the trail names an actor by issuer and subject with a bar between them. No URI has one (RFC 3986 §2).
      .refine((text) => !text.includes('|'), {
        error: 'has a "|", which stands behind the issuer in a filter of the trail',
      }),
    audience,
    algorithms: z
      .array(algorithm)
      .min(1)
      .default([...SIGNATURE_ALGORITHMS]),
    jwksUri: trustedUrl.optional(),
    jwks: publicKeys.optional(),
    subject: z.string().min(1).default('sub'),
    label: z.string().min(1).nullable().default(null),
    actorType: z.enum(['user', 'service_account']).default('service_account'),
    maxAge: duration.default(JWT_MAX_AGE_DEFAULT_SECONDS),
    clockToleranceSeconds: clockTolerance.default(CLOCK_TOLERANCE_DEFAULT_SECONDS),
    acceptTyp: z
      .array(jwtType)
      .min(1, { error: 'is empty: no JWT that says its type would be accepted' })
      .default(DEFAULT_TYPES.map(mediaTypeOf)),
    header: z.enum(CREDENTIAL_HEADERS).default('Authorization'),
    clientId: z
      .string()
      .regex(/^[!-~]+$/, { error: 'is empty, or not one line of visible ASCII without spaces' })
      .optional(),
    clientSecret: secretName.optional(),
  })
  .refine(({ clientId, clientSecret }) => clientSecret === undefined || clientId !== undefined, {
    path: ['clientSecret'],
    error: 'is of no use without `clientId`',
  })
  .refine(({ jwks, jwksUri }) => jwks === undefined || jwksUri === undefined, {
    path: ['jwks'],
    error: 'stands beside jwksUri: only one of them can be where the keys are',
  })
  .transform(({ maxAge, jwks, jwksUri, ...rest }): IssuerPolicy => {
    return { ...rest, maxAgeSeconds: maxAge, keys: keysOf(jwks, jwksUri) };
  });

function keysOf(jwks: JSONWebKeySet | undefined, jwksUri: string | undefined): IssuerKeys {
  if (jwks !== undefined) return { kind: 'inline', jwks };
  return jwksUri === undefined ? { kind: 'discovery' } : { kind: 'uri', jwksUri };
}

function isPublicKey(input: unknown): boolean {
  if (!isObject(input)) return false;
  const isPublicType = PUBLIC_KEY_TYPES.includes(input['kty']);
  return isPublicType && !PRIVATE_MEMBERS.some((member) => member in input);
}
