import type { LocalJWKSet } from 'jose';
import type { Authenticator, Identity } from './types.ts';
import type { AuthFailure, TokenRejection } from '../failures.ts';
import type { CredentialHeader, IssuerPolicy } from '../config/issuer-policy.ts';
import type { KeySource } from './key-source.ts';
import type { Runtime } from '../kit/runtime.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { choosePolicy, readUnverified } from './unverified-jwt.ts';
import { findCredentials } from './credentials.ts';
import { identityOf } from './identity.ts';
import { isCrossSiteMutation } from './cross-site.ts';
import { verifyJwt } from './verification.ts';
import { createVerifiedJwts } from './verified.ts';

/** Verifies callers' JWTs against the operator's issuers. `issuers` stand in file order. */
export function createAuthenticator(options: {
  readonly issuers: readonly IssuerPolicy[];
  readonly keys: KeySource;
  readonly runtime: Pick<Runtime, 'now'>;
}): Authenticator {
  const { issuers, keys, runtime } = options;
  const verified = createVerifiedJwts();

  return {
    authenticate: async (request) => {
      const credentials = findCredentials(request.headers);
      if (!credentials.ok) return credentials;
      const { token, header } = credentials.value;
      const identity = await identify(token, header);
      if (!identity.ok) return identity;

      // Cloudflare derives this header from a cookie, which a browser sends for any site's page.
      if (header === 'Cf-Access-Jwt-Assertion' && isCrossSiteMutation(request)) return err({ kind: 'cross_site' });
      return identity;
    },
  };

  async function identify(token: string, header: CredentialHeader): Promise<Result<Identity, AuthFailure>> {
    const remembered = verified.get(token, runtime.now());
    const known = remembered?.header === header ? remembered : null;
    const policy = known === null ? policyFor(token, header) : ok(known.policy);
    if (!policy.ok) return policy;
    const { issuer } = policy.value;
    const found = await keys.find(policy.value, async (set) =>
      // What was verified with the keys that its issuer still has need not be verified again.
      known?.keys === set ? ok(known.identity) : await verifyWith(set, token, header, policy.value),
    );
    if (!found.ok) return err({ kind: 'issuer_unavailable', issuer, ...found.error });
    return found.value ?? rejected('key_unknown', issuer);
  }

  function policyFor(token: string, header: CredentialHeader): Result<IssuerPolicy, AuthFailure> {
    const unverified = readUnverified(token);
    if (!unverified.ok) return rejected(unverified.error);
    const policy = choosePolicy(issuers, unverified.value, header);
    if (policy.ok) return policy;
    return rejected(policy.error, policy.error === 'wrong_header' ? String(unverified.value.claims['iss']) : undefined);
  }

  /** Null: `set` lacks the key that the JWT names. */
  async function verifyWith(
    set: LocalJWKSet,
    token: string,
    header: CredentialHeader,
    policy: IssuerPolicy,
  ): Promise<Result<Identity, AuthFailure> | null> {
    const claims = await verifyJwt(token, set, policy, runtime.now());
    if (!claims.ok) return claims.error === 'key_unknown' ? null : rejected(claims.error, policy.issuer);
    const identity = identityOf(claims.value, policy);
    if (!identity.ok) return rejected(identity.error, policy.issuer);
    verified.put(token, { header, policy, keys: set, identity: identity.value });
    return identity;
  }
}

/** `issuer` is named only where it is one of the operator's: the rest of an unverified token is not repeated anywhere. */
const rejected = (reason: TokenRejection, issuer?: string): Result<never, AuthFailure> =>
  err(issuer === undefined ? { kind: 'token_rejected', reason } : { kind: 'token_rejected', reason, issuer });
