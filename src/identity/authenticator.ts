import type { Authenticator } from './types.ts';
import type { AuthFailure, TokenRejection } from '../failures.ts';
import type { IssuerPolicy } from './issuer-policy.ts';
import type { KeySource } from './key-source.ts';
import type { Runtime } from '../runtime.ts';
import { err, type Result } from '../result.ts';
import { choosePolicy, readUnverified } from './unverified-jwt.ts';
import { findCredentials } from './credentials.ts';
import { identityOf } from './identity.ts';
import { isCrossSiteMutation } from './cross-site.ts';
import { verifyJwt } from './verification.ts';

/** Verifies callers' JWTs against the operator's issuers. `issuers` stand in file order. */
export function createAuthenticator(options: {
  readonly issuers: readonly IssuerPolicy[];
  readonly keys: KeySource;
  readonly runtime: Pick<Runtime, 'now'>;
}): Authenticator {
  const { issuers, keys, runtime } = options;

  return {
    authenticate: async (request) => {
      const credentials = findCredentials(request.headers);
      if (!credentials.ok) return credentials;
      const { token, header } = credentials.value;

      const unverified = readUnverified(token);
      if (!unverified.ok) return rejected(unverified.error);
      const policy = choosePolicy(issuers, unverified.value, header);
      if (!policy.ok) {
        return rejected(
          policy.error,
          policy.error === 'wrong_header' ? String(unverified.value.claims['iss']) : undefined,
        );
      }

      const claims = await verify(token, policy.value);
      if (!claims.ok) return claims;
      const identity = identityOf(claims.value, policy.value);
      if (!identity.ok) return rejected(identity.error, policy.value.issuer);

      // Cloudflare derives this header from a cookie, which a browser sends for any site's page.
      if (header === 'Cf-Access-Jwt-Assertion' && isCrossSiteMutation(request)) return err({ kind: 'cross_site' });
      return identity;
    },
  };

  async function verify(
    token: string,
    policy: IssuerPolicy,
  ): Promise<Result<Readonly<Record<string, unknown>>, AuthFailure>> {
    const current = await keys.current(policy);
    if (!current.ok) return err({ kind: 'issuer_unavailable', issuer: policy.issuer });
    let claims = await verifyJwt(token, current.value, policy, runtime.now());

    if (!claims.ok && claims.error === 'key_unknown') {
      const newer = await keys.newerThan(policy, current.value);
      if (!newer.ok) return err({ kind: 'issuer_unavailable', issuer: policy.issuer });
      if (newer.value !== null) claims = await verifyJwt(token, newer.value, policy, runtime.now());
    }
    return claims.ok ? claims : rejected(claims.error, policy.issuer);
  }
}

/** `issuer` is named only where it is one of the operator's: the rest of an unverified token is not repeated anywhere. */
const rejected = (reason: TokenRejection, issuer?: string): Result<never, AuthFailure> =>
  err(issuer === undefined ? { kind: 'token_rejected', reason } : { kind: 'token_rejected', reason, issuer });
