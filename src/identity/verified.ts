import type { LocalJWKSet } from 'jose';
import { VERIFIED_JWTS_MAX_COUNT } from '../config/limits.ts';
import type { CredentialHeader, IssuerPolicy } from './issuer-policy.ts';
import type { Identity } from './types.ts';

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
 * in memory alone, and only as many as an isolate can have callers.
 */
export interface VerifiedJwts {
  /** Null: not verified yet, or so near to one of its times that it is verified again. */
  get(token: string, nowMs: number): VerifiedJwt | null;
  put(token: string, verified: VerifiedJwt): void;
}

export function createVerifiedJwts(): VerifiedJwts {
  const held = new Map<string, VerifiedJwt>();
  return {
    get: (token, nowMs) => {
      const verified = held.get(token);
      return verified !== undefined && isBetweenItsTimes(verified, nowMs) ? verified : null;
    },
    put: (token, verified) => {
      held.set(token, verified);
      const [oldest] = held.keys();
      if (held.size > VERIFIED_JWTS_MAX_COUNT && oldest !== undefined) held.delete(oldest);
    },
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
