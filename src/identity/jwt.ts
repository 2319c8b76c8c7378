import { decodeJwt, decodeProtectedHeader, errors, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { type CredentialHeader, type IssuerPolicy, mediaTypeOf, type SignatureAlgorithm } from '../config/issuers.ts';
import { JWT_MAX_BYTES } from '../config/limits.ts';
import type { TokenRejection } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { DATE_MAX_SECONDS } from '../kit/time.ts';
import { readClaim } from '../policy/bindings.ts';

/** A JWT before its signature is checked. It serves to choose the policy that verifies it, and nothing else. */
interface UnverifiedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * Reads a JWT without verifying it. The last value of a name that stands twice counts (RFC 7519 §4), here and in jose alike,
 * since both use JSON.parse.
 *
 * Errors: `malformed`, and `critical_header` for any `crit` (RFC 7515 §4.1.11): no extension is understood here, and jose would
 * accept `b64`.
 */
export function readUnverified(token: string): Result<UnverifiedJwt, TokenRejection> {
  try {
    const header = { ...decodeProtectedHeader(token) };
    if (Object.hasOwn(header, 'crit')) return err('critical_header');
    return ok({ header, claims: decodeJwt(token) });
  } catch {
    return err('malformed');
  }
}

/** The values of `alg` that stand for the algorithms of a policy. RFC 9864 renames EdDSA with the curve Ed25519 to Ed25519. */
export const algorithmNames = (algorithms: readonly SignatureAlgorithm[]): string[] =>
  algorithms.flatMap((algorithm) => (algorithm === 'EdDSA' ? ['EdDSA', 'Ed25519'] : [algorithm]));

/**
 * Chooses the policy that verifies a JWT, of those that accept its issuer in this header: the first whose algorithms, types,
 * audience and subject claim fit the JWT. If none fits it is the first of them, so that verification gives the reason.
 *
 * Errors: `issuer_unknown`, `wrong_header`.
 */
export function choosePolicy(
  issuers: readonly IssuerPolicy[],
  jwt: UnverifiedJwt,
  header: CredentialHeader,
): Result<IssuerPolicy, TokenRejection> {
  const ofIssuer = issuers.filter((policy) => policy.issuer === jwt.claims['iss']);
  const [first, ...others] = ofIssuer.filter((policy) => policy.header === header);
  if (first === undefined) return err(ofIssuer.length === 0 ? 'issuer_unknown' : 'wrong_header');
  return ok(others.length === 0 ? first : ([first, ...others].find((policy) => fits(policy, jwt)) ?? first));
}

function fits(policy: IssuerPolicy, { header, claims }: UnverifiedJwt): boolean {
  const audience: readonly unknown[] = Array.isArray(claims['aud']) ? claims['aud'] : [claims['aud']];
  const subject = readClaim(claims, policy.subject);
  return (
    algorithmNames(policy.algorithms).includes(String(header['alg'])) &&
    isAcceptedType(header['typ'], policy.acceptTyp) &&
    policy.audience.some((accepted) => audience.includes(accepted)) &&
    subject !== undefined &&
    subject !== null &&
    subject !== ''
  );
}

/**
 * Verifies signature, type, issuer, audience and times of a JWT, and gives its claims.
 *
 * Keys come from `keys` alone; `jku`, `jwk`, `x5u` and `x5c` in the header are never read (RFC 8725 §3.10). The error `key_unknown`
 * says that `keys` does not hold exactly one key for the JWT: where there are several, OIDC Core §10.1 requires a `kid`.
 */
export async function verifyJwt(
  token: string,
  keys: JWTVerifyGetKey,
  policy: IssuerPolicy,
  nowMs: number,
): Promise<Result<Readonly<Record<string, unknown>>, TokenRejection>> {
  const claims = await verifySigned(token, keys, policy, nowMs);
  // A wrong type is told before a wrong audience or time: a fresh JWT of that type would be no better.
  const isSigned = claims.ok || isBehindSignature(claims.error);
  return isSigned && !isAcceptedType(decodeProtectedHeader(token).typ, policy.acceptTyp)
    ? err('type_not_accepted')
    : claims;
}

async function verifySigned(
  token: string,
  keys: JWTVerifyGetKey,
  policy: IssuerPolicy,
  nowMs: number,
): Promise<Result<Readonly<Record<string, unknown>>, TokenRejection>> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: algorithmNames(policy.algorithms),
      issuer: policy.issuer,
      audience: [...policy.audience],
      requiredClaims: ['exp'],
      // This also makes `iat` mandatory and refuses one in the future.
      maxTokenAge: policy.maxAgeSeconds,
      clockTolerance: policy.clockToleranceSeconds,
      currentDate: new Date(nowMs),
    });
    return hasOnlyRealTimes(payload) ? ok(payload) : err('claim_malformed');
  } catch (error) {
    return err(rejectionOf(error));
  }
}

/** Whether every time of a JWT is one that a clock can show. JSON's `1e999` is Infinity, and would be a JWT that never expires. */
function hasOnlyRealTimes(claims: Readonly<Record<string, unknown>>): boolean {
  return [claims['exp'], claims['iat'], claims['nbf'] ?? 0].every(
    (time) => typeof time === 'number' && time >= 0 && time <= DATE_MAX_SECONDS,
  );
}

/** The reason in an error of jose. An error that is not about the JWT is a bug and is thrown on. */
function rejectionOf(error: unknown): TokenRejection {
  if (error instanceof errors.JOSEAlgNotAllowed) return 'algorithm_not_allowed';
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return 'key_unknown';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'signature_invalid';
  if (error instanceof errors.JWTExpired) return error.claim === 'iat' ? 'too_old' : 'expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return 'claim_missing';
    if (error.reason === 'invalid') return 'claim_malformed';
    if (error.claim === 'iss') return 'issuer_unknown';
    if (error.claim === 'aud') return 'audience_mismatch';
    return error.claim === 'nbf' ? 'not_yet_valid' : 'issued_in_future';
  }
  // Others are about a missing or odd `alg`, or a signature that is not base64url.
  if (error instanceof errors.JOSEError) return 'malformed';
  throw error;
}

/**
 * Whether a JWT of this type is a credential (RFC 8725 §3.11). One without a type is: an issuer that also signs JWTs of other kinds
 * gives those a type.
 *
 * @param accepted whole media types.
 */
function isAcceptedType(typ: unknown, accepted: readonly string[]): boolean {
  return typ === undefined || (typeof typ === 'string' && accepted.includes(mediaTypeOf(typ)));
}

/**
 * The reasons that are found only after the signature was good, since jose checks claims after it (RFC 7519 §7.2). Whoever is told
 * one of them has the JWT from its issuer, and learns nothing of the issuer's keys or of the policy.
 */
const BEHIND_SIGNATURE = [
  'type_not_accepted',
  'audience_mismatch',
  'expired',
  'too_old',
  'not_yet_valid',
  'issued_in_future',
  'claim_missing',
  'claim_malformed',
  'subject_empty',
] as const satisfies readonly TokenRejection[];

type Told = (typeof BEHIND_SIGNATURE)[number];

/** Whether a JWT that was rejected for this reason was signed by its issuer. */
export const isBehindSignature = (reason: TokenRejection): reason is Told =>
  (BEHIND_SIGNATURE as readonly TokenRejection[]).includes(reason);

const EARLY = 'The JWT is not valid yet. Try again shortly; if it stays so, the clock of its issuer is wrong.';
const BAD_CLAIM =
  'The JWT lacks a claim, or has one that cannot be used. Have its issuer give it iat, exp, aud and a subject.';

/** Advice in the characters that RFC 6750 §3 allows in a challenge: no quote and no backslash. */
const ADVICE: Readonly<Record<Told, string>> = {
  type_not_accepted:
    'The JWT is of a type (typ) that is no credential here, as a logout token is none. Send an access token of its issuer.',
  audience_mismatch:
    'The JWT is for another audience (aud). Ask its issuer for one for the audience of this service, which its operators know.',
  expired: 'The JWT has expired (exp). Get a fresh one from its issuer.',
  too_old: 'The JWT was issued too long ago (iat), though it has not expired. Get a fresh one from its issuer.',
  not_yet_valid: EARLY,
  issued_in_future: EARLY,
  claim_missing: BAD_CLAIM,
  claim_malformed: BAD_CLAIM,
  subject_empty: BAD_CLAIM,
};

/** A size is told to anybody, since it is known before anything of the JWT is read. */
const TOO_LARGE = `The JWT has more than ${JWT_MAX_BYTES / 1024} KiB. Have its issuer put less into it, such as fewer groups.`;

/**
 * What a caller is told about its rejected JWT, and what to do about it. Only the reason chooses it, so it repeats nothing of the
 * JWT. Null: the caller is told nothing, since nobody knows who made the JWT.
 */
export function adviceOn(reason: TokenRejection): string | null {
  if (reason === 'too_large') return TOO_LARGE;
  return isBehindSignature(reason) ? ADVICE[reason] : null;
}
