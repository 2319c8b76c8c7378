import {
  allowInsecureRequests,
  type AuthorizationServer,
  authorizationCodeGrantRequest,
  calculatePKCECodeChallenge,
  type Client,
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  clockSkew,
  clockTolerance,
  customFetch,
  AuthorizationResponseError,
  JWT_CLAIM_COMPARISON,
  JWT_TIMESTAMP_CHECK,
  None,
  OperationProcessingError,
  processAuthorizationCodeResponse,
  ResponseBodyError,
  validateAuthResponse,
  WWWAuthenticateChallengeError,
} from 'oauth4webapi';
import { isHttpLoopback } from '../../config/fields.ts';
import type { IssuerPolicy } from '../../config/issuers.ts';
import {
  PROVIDER_COOLDOWN_MS,
  PROVIDER_MAX_AGE_MS,
  PROVIDER_STALE_MAX_MS,
  TOKEN_ENDPOINT_MAX_BYTES,
  TOKEN_ENDPOINT_TIMEOUT_MS,
} from '../../config/session-limits.ts';
import type { AuthFailure, SignInFailure } from '../../failures.ts';
import { algorithmNames } from '../../identity/jwt.ts';
import { fetchDiscovery, inTime, isSecure } from '../../identity/jwks.ts';
import { readBody } from '../../kit/bytes.ts';
import { underDeadline, untilAborted } from '../../kit/deadline.ts';
import { isObject } from '../../kit/json.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { SignIn } from './flow.ts';

/** An issuer by which people sign in. */
export interface SignInIssuer {
  readonly policy: IssuerPolicy;
  readonly clientId: string;
  /** Null: a public client, whose sign-ins PKCE protects. */
  readonly clientSecret: string | null;
}

type ProviderFailure = SignInFailure | Extract<AuthFailure, { kind: 'issuer_unavailable' }>;

/** An OpenID provider. No method throws for anything that the provider or the network does. */
export interface Provider {
  readonly issuer: SignInIssuer;
  /** Where a browser begins a sign-in (OIDC Core §3.1.2.1), with PKCE by S256 (RFC 7636). */
  authorizationUrl(signIn: SignIn): Promise<Result<string, ProviderFailure>>;
  /** Exchanges the code that a browser brought for an ID token, whose claims, but not its signature, are checked. */
  exchange(callback: URLSearchParams, signIn: SignIn): Promise<Result<string, ProviderFailure>>;
  /** Where a browser ends the provider's own session (RP-Initiated Logout 1.0 §2); null if it has no such place, or does not answer. */
  logoutUrl(returnTo: string): Promise<string | null>;
}

/** What is used of a provider's metadata (OIDC Discovery 1.0 §3). */
interface Metadata {
  readonly server: AuthorizationServer & {
    readonly authorization_endpoint: string;
    readonly token_endpoint: string;
  };
  readonly endSession: string | null;
}

export function createProvider(
  issuer: SignInIssuer,
  runtime: Pick<Runtime, 'fetch' | 'now' | 'timeout' | 'cancel' | 'log'>,
): Provider {
  const { policy, clientId, clientSecret } = issuer;
  const name = policy.issuer;
  const unavailable = { kind: 'issuer_unavailable', issuer: name } as const;
  let held: { readonly metadata: Metadata; readonly atMs: number } | null = null;
  let failedAtMs = -Infinity;

  const heldWithin = (ms: number): Metadata | null =>
    held !== null && Math.abs(runtime.now() - held.atMs) < ms ? held.metadata : null;

  const metadata = async (): Promise<Result<Metadata, ProviderFailure>> => {
    const fresh = heldWithin(PROVIDER_MAX_AGE_MS);
    if (fresh !== null) return ok(fresh);
    const nowMs = runtime.now();
    if (Math.abs(nowMs - failedAtMs) >= PROVIDER_COOLDOWN_MS) {
      const read = await inTime(runtime, async (signal) => await fetchDiscovery(name, runtime, signal));
      const parsed = read.ok ? metadataOf(read.value, policy) : null;
      if (parsed !== null) {
        held = { metadata: parsed, atMs: nowMs };
        return ok(parsed);
      }
      failedAtMs = nowMs;
      const reason = read.ok ? 'metadata_unusable' : read.error;
      runtime.log({ level: 'warn', event: 'provider_read_failed', issuer: name, reason });
    }
    const stale = heldWithin(PROVIDER_STALE_MAX_MS);
    return stale === null ? err({ ...unavailable, retryAfterSeconds: PROVIDER_COOLDOWN_MS / 1000 }) : ok(stale);
  };

  const client = (): Client => ({
    client_id: clientId,
    // The library has a clock of its own.
    [clockSkew]: Math.round((runtime.now() - Date.now()) / 1000),
    [clockTolerance]: policy.clockToleranceSeconds,
  });

  /** Sends the request of the library as every request here is sent: with a deadline, without following, and read to a limit. */
  const send =
    (deadline: AbortSignal) =>
    async (url: string, init: { method: 'POST'; headers: Record<string, string>; body: URLSearchParams }) => {
      const { method, headers, body } = init;
      const request = { method, headers, body: body.toString(), redirect: 'manual', signal: deadline } as const;
      const response = await untilAborted(runtime.fetch(url, request), deadline);
      const chunks = response.body === null ? [] : await readBody(response.body, TOKEN_ENDPOINT_MAX_BYTES, deadline);
      if (chunks === null) throw new TypeError('The answer of the token endpoint is too large.');
      return new Response(new Blob([...chunks]), { status: response.status, headers: response.headers });
    };

  const exchange = async (
    { server }: Metadata,
    parameters: URLSearchParams,
    { nonce, verifier, redirect_uri }: SignIn,
    deadline: AbortSignal,
  ): Promise<string | undefined> => {
    const response = await authorizationCodeGrantRequest(
      server,
      client(),
      clientAuth(clientSecret, server),
      parameters,
      redirect_uri,
      verifier,
      { [customFetch]: send(deadline), [allowInsecureRequests]: isHttpLoopback(new URL(name)) },
    );
    const tokens = await processAuthorizationCodeResponse(server, client(), response, {
      expectedNonce: nonce,
      requireIdToken: true,
    });
    return tokens.id_token;
  };

  return {
    issuer,

    authorizationUrl: async ({ state, nonce, verifier, redirect_uri }) => {
      const found = await metadata();
      if (!found.ok) return found;
      const url = new URL(found.value.server.authorization_endpoint);
      const parameters = {
        client_id: clientId,
        response_type: 'code',
        redirect_uri,
        scope: SCOPES,
        state,
        nonce,
        code_challenge: await calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      };
      for (const [key, value] of Object.entries(parameters)) url.searchParams.set(key, value);
      return ok(url.href);
    },

    exchange: async (callback, signIn) => {
      const found = await metadata();
      if (!found.ok) return found;
      let parameters: URLSearchParams;
      try {
        parameters = validateAuthResponse(found.value.server, client(), callback, signIn.state);
      } catch (error) {
        // The provider sent the browser back with an error, such as that the user said no.
        return err(
          error instanceof AuthorizationResponseError ? refused('provider', name) : failed('answer_unacceptable', name),
        );
      }
      if (!parameters.has('code')) return err(failed('answer_unacceptable', name));
      return await underDeadline(runtime, TOKEN_ENDPOINT_TIMEOUT_MS, async (deadline) => {
        try {
          const idToken = await exchange(found.value, parameters, signIn, deadline);
          return idToken === undefined ? err(refused('claim_missing', name)) : ok(idToken);
        } catch (error) {
          runtime.log({ level: 'warn', event: 'sign_in_failed', issuer: name, ...whatFailed(error, deadline) });
          return err(failureOf(error, name) ?? { ...unavailable, retryAfterSeconds: PROVIDER_COOLDOWN_MS / 1000 });
        }
      });
    },

    logoutUrl: async (returnTo) => {
      const found = await metadata();
      if (!found.ok || found.value.endSession === null) return null;
      const url = new URL(found.value.endSession);
      url.searchParams.set('client_id', clientId);
      url.searchParams.set('post_logout_redirect_uri', returnTo);
      return url.href;
    },
  };
}

/** The claims that people are known and shown by. A provider leaves out what it does not know. */
const SCOPES = 'openid profile email';

/** Reads a discovery document. Null: it names no endpoints that may be used. */
function metadataOf(document: Readonly<Record<string, unknown>>, policy: IssuerPolicy): Metadata | null {
  const endpoint = (name: string): string | null => {
    const url = document[name];
    return typeof url === 'string' && isSecure(url, policy.issuer) ? url : null;
  };
  const [authorization, token] = [endpoint('authorization_endpoint'), endpoint('token_endpoint')];
  if (authorization === null || token === null) return null;
  const methods = document['token_endpoint_auth_methods_supported'];
  return {
    server: {
      issuer: policy.issuer,
      authorization_endpoint: authorization,
      token_endpoint: token,
      // The signature is verified elsewhere, by the algorithms of the policy.
      id_token_signing_alg_values_supported: algorithmNames(policy.algorithms),
      authorization_response_iss_parameter_supported:
        document['authorization_response_iss_parameter_supported'] === true,
      ...(Array.isArray(methods) && { token_endpoint_auth_methods_supported: methods.map(String) }),
    },
    endSession: endpoint('end_session_endpoint'),
  };
}

/** A provider that does not say takes HTTP Basic (OIDC Discovery 1.0 §3). */
function clientAuth(
  secret: string | null,
  { token_endpoint_auth_methods_supported: methods }: AuthorizationServer,
): ClientAuth {
  if (secret === null) return None();
  const isPostAlone = methods !== undefined && !methods.includes('client_secret_basic');
  return isPostAlone ? ClientSecretPost(secret) : ClientSecretBasic(secret);
}

const refused = (reason: Extract<SignInFailure, { kind: 'sign_in_refused' }>['reason'], issuer: string) =>
  ({ kind: 'sign_in_refused', reason, issuer }) as const;
const failed = (reason: Extract<SignInFailure, { kind: 'sign_in_failed' }>['reason'], issuer: string) =>
  ({ kind: 'sign_in_failed', reason, issuer }) as const;

/** What an error of the library means; null if the provider did not answer as a provider does. */
function failureOf(error: unknown, issuer: string): SignInFailure | null {
  if (error instanceof ResponseBodyError) {
    // RFC 6749 §5.2: the code was used before, is too old, or belongs to another verifier or redirect URI.
    return error.error === 'invalid_grant' ? failed('code_unacceptable', issuer) : refused('client', issuer);
  }
  if (error instanceof WWWAuthenticateChallengeError) return refused('client', issuer);
  if (!(error instanceof OperationProcessingError)) return null;
  if (error.code === JWT_TIMESTAMP_CHECK) return refused('expired', issuer);
  const { claims, claim } = isObject(error.cause) ? error.cause : {};
  // What is about no claim is about the answer itself: it has another status than 200, or is no JSON.
  if (claims === undefined) return null;
  if (error.code !== JWT_CLAIM_COMPARISON) return refused('claim_missing', issuer);
  if (claim === 'nonce') return failed('nonce_mismatch', issuer);
  return refused(claim === 'iss' ? 'issuer_unknown' : 'audience_mismatch', issuer);
}

/** For the log: the library's code and the provider's, and never a message, which may quote what was sent. */
const whatFailed = (error: unknown, deadline: AbortSignal): Readonly<Record<string, unknown>> => ({
  code: deadline.aborted
    ? 'timeout'
    : isObject(error) && typeof error['code'] === 'string'
      ? error['code']
      : 'unreachable',
  ...(error instanceof ResponseBodyError && { oauth_error: OAUTH_ERROR.test(error.error) ? error.error : 'unknown' }),
});

const OAUTH_ERROR = /^[a-z_]{1,40}$/;
