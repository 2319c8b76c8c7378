import * as z from 'zod';
import {
  CREDENTIAL_EXCHANGE_TIMEOUT_MS,
  CREDENTIAL_PROBE_TIMEOUT_MS,
  CREDENTIAL_TOKEN_MAX_CHARS,
} from '../config/credential-limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import { underDeadline, untilAborted } from '../kit/deadline.ts';
import { isObject } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Trace } from '../kit/trace.ts';
import { failureOf, isOutcomeUnknown } from './failures.ts';
import { tokenUrls } from './requests.ts';
import { discardBody, readJson } from './wire.ts';

/** The OAuth client that a session was made with. */
export interface OAuthClient {
  readonly clientId: string;
  /** Null: a public client, which has none. */
  readonly clientSecret: string | null;
}

/** What an exchange gives. */
export interface RenewedTokens {
  readonly accessToken: string;
  /** Null: the refresh token that was presented goes on (RFC 6749 §6). */
  readonly refreshToken: string | null;
  /** How long the access token lives, in seconds; null: PipeOps does not say. */
  readonly expiresInSeconds: number | null;
}

/** Why an exchange gave nothing. */
export interface ExchangeFailure {
  readonly failure: UpstreamFailure;
  /**
   * `unknown`: PipeOps may have exchanged the refresh token, which is spent then. `refused`: PipeOps does not accept it, and never will.
   * `failed`: PipeOps has not looked at it, so that it may be presented again.
   */
  readonly presented: 'unknown' | 'refused' | 'failed';
  /** The error code of OAuth that PipeOps gave; null: none that is known. */
  readonly oauthError: OAuthError | null;
}

/** PipeOps' OAuth token endpoint. No method throws for anything that PipeOps or the network does. */
export interface TokenEndpoint {
  /**
   * Whether the endpoint answers: anything but 5xx. It sends nothing that could be spent. An exchange that is lost in an outage costs
   * the session, and most outages show themselves to this question first.
   */
  answers(trace: Trace): Promise<boolean>;
  /**
   * Exchanges a refresh token once (RFC 6749 §6), within CREDENTIAL_EXCHANGE_TIMEOUT_MS. It is never repeated: a rotated token is spent
   * as soon as PipeOps has seen it.
   *
   * @param eventId the id of the audit event, sent as `X-Request-Id`.
   */
  exchange(refreshToken: string, eventId: string, trace: Trace): Promise<Result<RenewedTokens, ExchangeFailure>>;
}

type EndpointRuntime = Pick<Runtime, 'fetch' | 'now' | 'timeout' | 'cancel'>;

export function createTokenEndpoint(apiUrl: string, client: OAuthClient, runtime: EndpointRuntime): TokenEndpoint {
  const url = tokenUrls(apiUrl).oauthToken;

  /** Sends one request and reads the answer with `read`, all under one deadline. Null: no answer came. */
  const ask = async <T>(
    ms: number,
    init: RequestInit,
    trace: Trace,
    read: (response: Response, signal: AbortSignal) => Promise<T>,
  ): Promise<Result<T, UpstreamFailure>> =>
    await underDeadline(runtime, ms, async (signal) => {
      const startedAtMs = runtime.now();
      trace.upstreamCalls += 1;
      let answer: Promise<Response> | undefined;
      try {
        answer = runtime.fetch(url, { ...init, redirect: 'manual', signal });
        return ok(await read(await untilAborted(answer, signal), signal));
      } catch {
        answer?.then(discardBody, () => {});
        return err({ kind: signal.aborted ? 'upstream_timeout' : 'upstream_unreachable' });
      } finally {
        trace.upstreamMs += runtime.now() - startedAtMs;
      }
    });

  return {
    answers: async (trace) => {
      const asked = await ask(
        CREDENTIAL_PROBE_TIMEOUT_MS,
        { method: 'GET', headers: HEADERS },
        trace,
        async (response) => {
          discardBody(response);
          return await Promise.resolve(response.status < 500);
        },
      );
      return asked.ok && asked.value;
    },

    exchange: async (refreshToken, eventId, trace) => {
      const init = exchangeRequest(refreshToken, eventId, client);
      const nowMs = runtime.now();
      const asked = await ask(CREDENTIAL_EXCHANGE_TIMEOUT_MS, init, trace, async (response, signal) =>
        response.ok ? await readTokens(response, signal) : err(await refusalOf(response, signal, nowMs)),
      );
      return asked.ok ? asked.value : err(unknown(asked.error));
    },
  };
}

const HEADERS = { Accept: 'application/json', 'User-Agent': 'countersign' } as const;

/**
 * A public client sends JSON, as PipeOps' CLI does. A client with a secret sends a form, as PipeOps' SDK and RFC 6749 §2.3.1 do: no
 * program is known that sends PipeOps the one with the other.
 */
function exchangeRequest(refreshToken: string, eventId: string, { clientId, clientSecret }: OAuthClient): RequestInit {
  const fields = { grant_type: 'refresh_token', refresh_token: refreshToken, client_id: clientId };
  const isForm = clientSecret !== null;
  return {
    method: 'POST',
    headers: {
      ...HEADERS,
      'Content-Type': isForm ? 'application/x-www-form-urlencoded' : 'application/json',
      'X-Request-Id': eventId,
    },
    body: isForm ? new URLSearchParams({ ...fields, client_secret: clientSecret }).toString() : JSON.stringify(fields),
  };
}

const unknown = (failure: UpstreamFailure): ExchangeFailure => ({ failure, presented: 'unknown', oauthError: null });

/** What a header can carry. A service token manages no tokens. */
const token = z
  .string()
  .max(CREDENTIAL_TOKEN_MAX_CHARS)
  .regex(/^[\x21-\x7e]+$/)
  .refine((text) => !text.startsWith('sat_'));
const seconds = z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]).pipe(z.int().positive());
const answered = z
  .object({
    access_token: token,
    // Go writes "" for what is not set.
    refresh_token: z
      .literal('')
      .transform(() => null)
      .or(token)
      .nullish(),
    expires_in: seconds.nullish().catch(null),
  })
  .transform(({ access_token, refresh_token, expires_in }): RenewedTokens => ({
    accessToken: access_token,
    refreshToken: refresh_token ?? null,
    expiresInSeconds: expires_in ?? null,
  }));

/** Reads a 2xx: at the top, as RFC 6749 §5.1 has it, or in PipeOps' envelope. What cannot be read may be a token that is lost. */
async function readTokens(response: Response, signal: AbortSignal): Promise<Result<RenewedTokens, ExchangeFailure>> {
  const body = await readJson(response, signal);
  if (!body.ok) return err(unknown(body.error));
  const inEnvelope = isObject(body.value) && !('access_token' in body.value) ? body.value['data'] : body.value;
  const tokens = answered.safeParse(inEnvelope);
  if (tokens.success) return ok(tokens.data);
  return err(unknown({ kind: 'upstream_invalid_response', status: response.status }));
}

/** The error codes of a token endpoint (RFC 6749 §5.2). */
const OAUTH_ERRORS = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
] as const;
export type OAuthError = (typeof OAUTH_ERRORS)[number];

const oauthErrorOf = (body: unknown): OAuthError | null =>
  OAUTH_ERRORS.find((code) => isObject(body) && body['error'] === code) ?? null;

/**
 * Says what an answer means that is not a 2xx. A 400 or 401 in JSON is about the refresh token, unless it says that it is about the
 * client, which a person can mend. One that is no JSON may be a gateway's. Of the body only the code is used.
 */
async function refusalOf(response: Response, signal: AbortSignal, nowMs: number): Promise<ExchangeFailure> {
  const { status } = response;
  if (status !== 400 && status !== 401) {
    const failure = await failureOf(response, signal, nowMs);
    // No 4xx but 408 exchanges anything, also where a gateway says it in HTML.
    const isKnown = status >= 400 && status < 500 && status !== 408;
    return { failure, presented: isOutcomeUnknown(failure) && !isKnown ? 'unknown' : 'failed', oauthError: null };
  }
  const body = await readJson(response, signal);
  const oauthError = body.ok ? oauthErrorOf(body.value) : null;
  if (body.ok && (oauthError === null || oauthError === 'invalid_grant')) {
    return { failure: { kind: 'upstream_credential_rejected', status }, presented: 'refused', oauthError };
  }
  return { failure: { kind: 'upstream_rejected', status, fields: [] }, presented: 'failed', oauthError };
}
