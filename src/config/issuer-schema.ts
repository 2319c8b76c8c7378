import type { JSONWebKeySet, JWK } from 'jose';
import * as z from 'zod';
import {
  CREDENTIAL_HEADERS,
  DEFAULT_TYPES,
  mediaTypeOf,
  SIGNATURE_ALGORITHMS,
  type IssuerKeys,
  type IssuerPolicy,
} from './issuer-policy.ts';
import { duration, trustedBaseUrl, trustedUrl } from './fields.ts';
import {
  ACTOR_ISSUER_MAX_BYTES,
  CLOCK_TOLERANCE_DEFAULT_SECONDS,
  CLOCK_TOLERANCE_MAX_SECONDS,
  JWT_MAX_AGE_DEFAULT_SECONDS,
} from './limits.ts';

const PUBLIC_KEY_TYPES: readonly unknown[] = ['RSA', 'EC', 'OKP'];
/** The private members of RFC 7518 §6 and RFC 8037: with one of them, the Worker could sign what it verifies. */
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

/** A name of RFC 6838 §4.2, with its top-level type or without. */
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
    issuer: trustedBaseUrl.refine((text) => new TextEncoder().encode(text).length <= ACTOR_ISSUER_MAX_BYTES, {
      error: `is longer than the ${ACTOR_ISSUER_MAX_BYTES} bytes that the trail keeps`,
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
  if (typeof input !== 'object' || input === null) return false;
  const isPublicType = 'kty' in input && PUBLIC_KEY_TYPES.includes(input.kty);
  return isPublicType && !PRIVATE_MEMBERS.some((member) => member in input);
}
