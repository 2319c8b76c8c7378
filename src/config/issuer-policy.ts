import type { JSONWebKeySet } from 'jose';
import type { Identity } from '../identity/types.ts';

/** The signature algorithms that an issuer may use. None is symmetric: RFC 8725 §3.1 and §3.2. */
export const SIGNATURE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

/** The request headers that a JWT is read from. */
export const CREDENTIAL_HEADERS = ['Authorization', 'Cf-Access-Jwt-Assertion'] as const;
export type CredentialHeader = (typeof CREDENTIAL_HEADERS)[number];

/** The types of JWT that are credentials where an issuer names none: a plain JWT (RFC 7519 §5.1), an access token (RFC 9068 §2.1). */
export const DEFAULT_TYPES = ['JWT', 'at+jwt'] as const;

/**
 * A JWT's `typ` as a whole media type: one without a slash is short for one under `application/` (RFC 7515 §4.1.9), and the case
 * of letters does not count (RFC 2045 §5.1).
 */
export function mediaTypeOf(typ: string): string {
  const lower = typ.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return lower.includes('/') ? lower : `application/${lower}`;
}

/** Where an issuer's public keys come from. */
export type IssuerKeys =
  | { readonly kind: 'inline'; readonly jwks: JSONWebKeySet }
  | { readonly kind: 'uri'; readonly jwksUri: string }
  /** OIDC Discovery 1.0: the issuer's own document names the `jwks_uri`. */
  | { readonly kind: 'discovery' };

/**
 * One entry of the operator's `issuers`, defaults filled in.
 *
 * An issuer with two kinds of caller is listed twice, with a different audience, `subject` claim or type of JWT: Cloudflare Access
 * signs a user's JWT with `sub` and a service token's with an empty `sub` and a `common_name`. The first entry in file
 * order that fits a JWT judges it. Entries of one issuer should have the same `keys`, and subject claims whose values
 * cannot coincide, because tokens belong to issuer and subject together.
 */
export interface IssuerPolicy {
  /** Compared with `iss` character by character (RFC 7519 §4.1.1). */
  readonly issuer: string;
  /** The JWT must be for one of these, character by character. At least one. */
  readonly audience: readonly string[];
  /** `EdDSA` also stands for its newer name `Ed25519` (RFC 9864). At least one. */
  readonly algorithms: readonly SignatureAlgorithm[];
  readonly keys: IssuerKeys;
  /** The claim that owns tokens, named as `readClaim` reads it. */
  readonly subject: string;
  /** The claim that is shown, named likewise; null: none. */
  readonly label: string | null;
  readonly actorType: Identity['actorType'];
  /** Oldest `iat` accepted. */
  readonly maxAgeSeconds: number;
  /** By how much the issuer's clock may differ from ours. */
  readonly clockToleranceSeconds: number;
  /** The types of JWT that are credentials, as whole media types in lower case. */
  readonly acceptTyp: readonly string[];
  /** The only header in which this issuer's JWTs are accepted. */
  readonly header: CredentialHeader;
}
