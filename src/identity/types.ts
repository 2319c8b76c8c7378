import type { Result } from '../kit/result.ts';
import type { AuthFailure } from '../failures.ts';
import type { ActorType } from '../vocabulary.ts';

/** Who a verified JWT names. Nothing here is taken from a token whose signature was not checked. */
export interface Identity {
  readonly issuer: string;
  /** The value of the issuer's `subject` claim: the owner of tokens. */
  readonly subject: string;
  readonly label: string | null;
  readonly actorType: Extract<ActorType, 'user' | 'service_account'>;
  /** All verified claims, for bindings to match on. Never stored, never logged. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface Authenticator {
  /**
   * Verifies the JWT that a request carries.
   *
   * Rejects: no credentials, an unacceptable token (with its reason), an issuer whose keys cannot be had, and a
   * mutation from another site under a cookie-borne header.
   */
  authenticate(request: { method: string; url: string; headers: Headers }): Promise<Result<Identity, AuthFailure>>;
}
