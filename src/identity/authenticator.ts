import type { LocalJWKSet } from 'jose';
import type { CredentialHeader, IssuerPolicy } from '../config/issuers.ts';
import { JWT_MAX_BYTES } from '../config/limits.ts';
import type { AuthFailure, TokenRejection } from '../failures.ts';
import { type Identity, identityOf } from './identity.ts';
import { choosePolicy, readUnverified, verifyJwt } from './jwt.ts';
import type { KeySource } from './keys.ts';
import { createVerifiedJwts } from './verified-jwts.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';

export interface Authenticator {
  /**
   * Verifies the JWT of a request and gives the identity that it names.
   *
   * Fails for a request without a JWT, for a JWT that is not acceptable (with the reason), for an issuer whose keys cannot be had,
   * and for a change that another site's page may have made with a cookie.
   */
  authenticate(request: { method: string; url: string; headers: Headers }): Promise<Result<Identity, AuthFailure>>;
}

/** Creates the authenticator for the operator's issuers, which stand in file order. */
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
    const verifying = await keys.find(policy.value, async (set) =>
      // A JWT that was verified with the keys that its issuer still has is not verified again.
      known?.keys === set ? ok(known.identity) : await verifyWith(set, token, header, policy.value),
    );
    if (!verifying.ok) return err({ kind: 'issuer_unavailable', issuer, ...verifying.error });
    return verifying.value ?? rejected('key_unknown', issuer);
  }

  function policyFor(token: string, header: CredentialHeader): Result<IssuerPolicy, AuthFailure> {
    const unverified = readUnverified(token);
    if (!unverified.ok) return rejected(unverified.error);
    const policy = choosePolicy(issuers, unverified.value, header);
    if (policy.ok) return policy;
    return rejected(policy.error, policy.error === 'wrong_header' ? String(unverified.value.claims['iss']) : undefined);
  }

  /** Null if `set` lacks the key that the JWT names. */
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

/**
 * @param issuer one of the operator's. Nothing else of an unverified JWT is repeated anywhere, so a strange issuer is not named.
 */
const rejected = (reason: TokenRejection, issuer?: string): Result<never, AuthFailure> =>
  err(issuer === undefined ? { kind: 'token_rejected', reason } : { kind: 'token_rejected', reason, issuer });

/** A JWT as the request carried it. Nothing about it is verified yet. */
interface Credentials {
  readonly token: string;
  readonly header: CredentialHeader;
}

/**
 * Finds the one JWT of a request. Only headers are read, because a URL ends up in logs (RFC 6750 §2.3).
 *
 * `Authorization` wins: the Access header counts only where there is no `Authorization` at all. Two headers of one name arrive
 * joined by a comma, which no JWT contains.
 *
 * Errors: `credentials_missing`; `token_rejected` with `credentials_ambiguous`, `malformed` or `too_large` as its reason.
 */
export function findCredentials(headers: Headers): Result<Credentials, AuthFailure> {
  const authorization = headers.get('Authorization');
  if (authorization !== null) {
    // Of several credentials, one of them a bearer's, nobody must guess which one counts.
    if (/(?:^|,)\s*bearer\b/i.test(authorization) && authorization.includes(','))
      return rejected('credentials_ambiguous');
    // The scheme is case-insensitive (RFC 9110 §11.1).
    const bearer = /^bearer(?: +(?<token>.*))?$/i.exec(authorization);
    if (bearer === null) return err({ kind: 'credentials_missing' });
    return checked(bearer.groups?.['token'] ?? '', 'Authorization');
  }

  const assertion = headers.get('Cf-Access-Jwt-Assertion');
  if (assertion === null || assertion === '') return err({ kind: 'credentials_missing' });
  if (assertion.includes(',')) return rejected('credentials_ambiguous');
  return checked(assertion, 'Cf-Access-Jwt-Assertion');
}

/** Three segments of base64url (RFC 7515 §7.1). jose's decoder would accept white space and padding. */
const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

function checked(token: string, header: CredentialHeader): Result<Credentials, AuthFailure> {
  if (token.length > JWT_MAX_BYTES) return rejected('too_large');
  if (!COMPACT_JWS.test(token)) return rejected('malformed');
  return ok({ token, header });
}

/** The methods that change nothing here (RFC 9110 §9.2.1). */
const SAFE_METHODS: readonly string[] = ['GET', 'HEAD'];

/**
 * Whether another site's page may have made a change whose JWT Cloudflare took from a cookie.
 *
 * Browsers set `Sec-Fetch-Site` and `Origin` themselves, and a page cannot forge them. At least one must be there, and each that
 * is there must name the same origin. A client that is no browser sends `Sec-Fetch-Site: same-origin` itself.
 */
export function isCrossSiteMutation(request: { method: string; url: string; headers: Headers }): boolean {
  if (SAFE_METHODS.includes(request.method)) return false;
  const fetchSite = request.headers.get('Sec-Fetch-Site');
  const origin = request.headers.get('Origin');
  if (fetchSite === null && origin === null) return true;
  if (fetchSite !== null && fetchSite !== 'same-origin') return true;
  return origin !== null && origin !== new URL(request.url).origin;
}
