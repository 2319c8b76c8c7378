import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { CredentialHeader, IssuerPolicy, SignatureAlgorithm } from '../config/issuer-policy.ts';
import type { TokenRejection } from '../failures.ts';
import { readClaim } from '../policy/claims.ts';
import { isAcceptedType } from './jwt-type.ts';
import { err, ok, type Result } from '../kit/result.ts';

/** What a JWT claims before its signature is checked. It serves to choose the policy to verify it under, no more. */
export interface UnverifiedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * Errors: `malformed`, and `critical_header` for any `crit`: no extension is understood here, and jose would let `b64` pass
 * (RFC 7515 §4.1.11).
 *
 * A name given twice counts with its last value (RFC 7519 §4), here and in jose alike, since both use JSON.parse.
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

/** The names under which a JWT's `alg` may state an algorithm of the policy: RFC 9864 renames EdDSA with Ed25519. */
export const algorithmNames = (algorithms: readonly SignatureAlgorithm[]): string[] =>
  algorithms.flatMap((algorithm) => (algorithm === 'EdDSA' ? ['EdDSA', 'Ed25519'] : [algorithm]));

/**
 * The policy to verify a JWT under, of those that accept its issuer in this header: the first whose algorithms, types, audience
 * and subject claim fit what it claims. If none fits, the first of them, so that verification gives the reason.
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
