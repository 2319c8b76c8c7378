import type { LocalJWKSet } from 'jose';
import { VERIFIED_JWTS_MAX_BYTES, VERIFIED_JWTS_MAX_COUNT } from '../config/limits.ts';
import type { CredentialHeader, IssuerPolicy } from '../config/issuers.ts';
import { createBoundedMap } from '../kit/bounded-map.ts';
import type { Identity } from './identity.ts';

/** A JWT whose signature was verified, and what it was verified with. */
export interface VerifiedJwt {
  readonly header: CredentialHeader;
  readonly policy: IssuerPolicy;
  /** While these are the issuer's current keys, its signature is good. */
  readonly keys: LocalJWKSet;
  readonly identity: Identity;
}

/**
 * The JWTs that this isolate has verified: an app sends the same one for minutes, and its signature does not change. Held
 * in memory alone, and no more of them than VERIFIED_JWTS_MAX_COUNT and VERIFIED_JWTS_MAX_BYTES allow.
 */
export interface VerifiedJwts {
  /** Null: not verified yet, or so near to one of its times that it is verified again. */
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

/** Without the tolerance that verification grants to clocks: what needs it is verified again, and so judged in one place. */
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
