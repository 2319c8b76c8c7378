import type { AuthFailure } from '../failures.ts';
import type { CredentialHeader } from '../config/issuer-policy.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { JWT_MAX_BYTES } from '../config/limits.ts';

/** A JWT as the request carried it: nothing about it is verified yet. */
export interface Credentials {
  readonly token: string;
  readonly header: CredentialHeader;
}

/**
 * Finds the one JWT of a request. It is looked for in headers alone: a URL ends up in logs (RFC 6750 §2.3).
 *
 * `Authorization` wins; the Access header counts only where there is no `Authorization` at all. Two headers of one name
 * arrive joined by a comma, which no JWT contains. Errors: `credentials_missing`; `credentials_ambiguous`, `malformed`
 * and `too_large` as reasons of `token_rejected`.
 */
export function findCredentials(headers: Headers): Result<Credentials, AuthFailure> {
  const authorization = headers.get('Authorization');
  if (authorization !== null) {
    // More than one, if any of them is ours: which one counts must not be guessed.
    if (/(?:^|,)\s*bearer\b/i.test(authorization) && authorization.includes(','))
      return rejected('credentials_ambiguous');
    // The scheme is case-insensitive: RFC 9110 §11.1.
    const bearer = /^bearer(?: +(?<token>.*))?$/i.exec(authorization);
    if (bearer === null) return err({ kind: 'credentials_missing' });
    return checked(bearer.groups?.['token'] ?? '', 'Authorization');
  }

  const assertion = headers.get('Cf-Access-Jwt-Assertion');
  if (assertion === null || assertion === '') return err({ kind: 'credentials_missing' });
  if (assertion.includes(',')) return rejected('credentials_ambiguous');
  return checked(assertion, 'Cf-Access-Jwt-Assertion');
}

/** Three segments of base64url (RFC 7515 §7.1). jose's decoder would let white space and padding pass. */
const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

function checked(token: string, header: CredentialHeader): Result<Credentials, AuthFailure> {
  if (token.length > JWT_MAX_BYTES) return rejected('too_large');
  if (!COMPACT_JWS.test(token)) return rejected('malformed');
  return ok({ token, header });
}

const rejected = (reason: 'credentials_ambiguous' | 'too_large' | 'malformed'): Result<never, AuthFailure> =>
  err({ kind: 'token_rejected', reason });
