import type { LocalJWKSet } from 'jose';
import type { Authenticator, Identity } from './types.ts';
import type { AuthFailure, TokenRejection } from '../failures.ts';
import type { CredentialHeader, IssuerPolicy } from './issuer-policy.ts';
import type { KeySource } from './key-source.ts';
import type { Runtime } from '../runtime.ts';
import { err, ok, type Result } from '../result.ts';
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
      const identity = (await recognise(token, header)) ?? (await verifyAnew(token, header));
      if (!identity.ok) return identity;

      // Cloudflare derives this header from a cookie, which a browser sends for any site's page.
      if (header === 'Cf-Access-Jwt-Assertion' && isCrossSiteMutation(request)) return err({ kind: 'cross_site' });
      return identity;
    },
  };

  /** A JWT that was verified with the keys that its issuer still has. Null: it must be verified. */
  async function recognise(token: string, header: CredentialHeader): Promise<Result<Identity, AuthFailure> | null> {
    const known = verified.get(token, runtime.now());
    if (known === null || known.header !== header) return null;
    const current = await keys.current(known.policy);
    return current.ok && current.value === known.keys ? ok(known.identity) : null;
  }

  async function verifyAnew(token: string, header: CredentialHeader): Promise<Result<Identity, AuthFailure>> {
    const unverified = readUnverified(token);
    if (!unverified.ok) return rejected(unverified.error);
    const policy = choosePolicy(issuers, unverified.value, header);
    if (!policy.ok) {
      return rejected(
        policy.error,
        policy.error === 'wrong_header' ? String(unverified.value.claims['iss']) : undefined,
      );
    }

    const signed = await verify(token, policy.value);
    if (!signed.ok) return signed;
    const identity = identityOf(signed.value.claims, policy.value);
    if (!identity.ok) return rejected(identity.error, policy.value.issuer);
    verified.put(token, { header, policy: policy.value, keys: signed.value.keys, identity: identity.value });
    return identity;
  }

  async function verify(
    token: string,
    policy: IssuerPolicy,
  ): Promise<Result<{ claims: Readonly<Record<string, unknown>>; keys: LocalJWKSet }, AuthFailure>> {
    const current = await keys.current(policy);
    if (!current.ok) return err({ kind: 'issuer_unavailable', issuer: policy.issuer });
    let used = current.value;
    let claims = await verifyJwt(token, used, policy, runtime.now());

    if (!claims.ok && claims.error === 'key_unknown') {
      const newer = await keys.newerThan(policy, current.value);
      if (!newer.ok) return err({ kind: 'issuer_unavailable', issuer: policy.issuer });
      if (newer.value !== null) {
        used = newer.value;
        claims = await verifyJwt(token, used, policy, runtime.now());
      }
    }
    return claims.ok ? ok({ claims: claims.value, keys: used }) : rejected(claims.error, policy.issuer);
  }
}

/** `issuer` is named only where it is one of the operator's: the rest of an unverified token is not repeated anywhere. */
const rejected = (reason: TokenRejection, issuer?: string): Result<never, AuthFailure> =>
  err(issuer === undefined ? { kind: 'token_rejected', reason } : { kind: 'token_rejected', reason, issuer });
