import type { LocalJWKSet } from 'jose';
import { VERIFIED_JWTS_MAX_BYTES, VERIFIED_JWTS_MAX_COUNT } from '../config/limits.ts';
import type { CredentialHeader, IssuerPolicy } from '../config/issuers.ts';
import { createBoundedMap } from '../kit/bounded-map.ts';
import type { Identity } from './identity.ts';

/** What a JWT was verified with, and the identity that it gave. */
export interface VerifiedJwt {
  readonly header: CredentialHeader;
  readonly policy: IssuerPolicy;
  /** The signature is good while these are the issuer's current keys. */
  readonly keys: LocalJWKSet;
  readonly identity: Identity;
}

/**
 * The JWTs that this isolate has verified. An app sends one JWT for minutes, and its signature does not change meanwhile. They are
 * in memory alone, and no more of them than VERIFIED_JWTS_MAX_COUNT and VERIFIED_JWTS_MAX_BYTES allow.
 */
interface VerifiedJwts {
  /** Null if the JWT is not verified yet, or is so near to one of its times that it must be verified again. */
  get(token: string, nowMs: number): VerifiedJwt | null;
  put(token: string, verified: VerifiedJwt): void;
}

export function createVerifiedJwts(): VerifiedJwts {
  const jwts = createBoundedMap<VerifiedJwt>({
    maxCount: VERIFIED_JWTS_MAX_COUNT,
    maxWeight: VERIFIED_JWTS_MAX_BYTES,
    // A JWT is ASCII.
    weightOf: (token) => token.length,
  });
  return {
    get: (token, nowMs) => {
      const verified = jwts.get(token);
      return verified !== undefined && isBetweenItsTimes(verified, nowMs) ? verified : null;
    },
    put: (token, verified) => jwts.set(token, verified),
  };
}

/** Grants clocks no tolerance, as verification does: a JWT that needs it is verified again, so that one place judges it. */
function isBetweenItsTimes({ identity: { claims }, policy }: VerifiedJwt, nowMs: number): boolean {
  const nowSeconds = nowMs / 1000;
  const { exp, iat, nbf = 0 } = claims;
  return (
    typeof exp === 'number' &&
    typeof iat === 'number' &&
    typeof nbf === 'number' &&
    nowSeconds < exp &&
    nowSeconds >= iat &&
    nowSeconds >= nbf &&
    nowSeconds - iat < policy.maxAgeSeconds
  );
}
