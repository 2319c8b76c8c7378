import { decodeProtectedHeader, errors, jwtVerify, type JWTVerifyGetKey } from 'jose';
import type { IssuerPolicy } from '../config/issuer-policy.ts';
import type { TokenRejection } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { isAcceptedType } from './jwt-type.ts';
import { isBehindSignature } from './told-reasons.ts';
import { algorithmNames } from './unverified-jwt.ts';

/**
 * Verifies signature, type, issuer, audience and times of a JWT; returns its claims.
 *
 * `jku`, `jwk`, `x5u` and `x5c` in its header are never looked at: keys come from `keys` alone (RFC 8725 §3.10).
 * An error of `key_unknown` says that `keys` holds no one key for it: OIDC Core §10.1 wants a `kid` where there are several.
 */
export async function verifyJwt(
  token: string,
  keys: JWTVerifyGetKey,
  policy: IssuerPolicy,
  nowMs: number,
): Promise<Result<Readonly<Record<string, unknown>>, TokenRejection>> {
  const claims = await verifySigned(token, keys, policy, nowMs);
  // A JWT of another type than is wanted is told so first: a fresh one, or one for us, would be no better.
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
      // Makes `iat` mandatory and refuses one in the future.
      maxTokenAge: policy.maxAgeSeconds,
      clockTolerance: policy.clockToleranceSeconds,
      currentDate: new Date(nowMs),
    });
    return hasOnlyRealTimes(payload) ? ok(payload) : err('claim_malformed');
  } catch (error) {
    return err(rejectionOf(error));
  }
}

/** The last second that a Date can hold: ECMA-262, "Time Values and Time Range". */
const LAST_SECOND = 8_640_000_000_000;

/** JSON's `1e999` is Infinity, which is after every `now`: a JWT that never expires. */
function hasOnlyRealTimes(claims: Readonly<Record<string, unknown>>): boolean {
  return [claims['exp'], claims['iat'], claims['nbf'] ?? 0].every(
    (time) => typeof time === 'number' && time >= 0 && time <= LAST_SECOND,
  );
}

/** What jose's error says about the token. An error that is not about the token is a bug and is thrown on. */
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
  // A missing or odd `alg`, a signature that is not base64url.
  if (error instanceof errors.JOSEError) return 'malformed';
  throw error;
}
