import { UPSTREAM_WAIT_DEFAULT_MS } from '../config/limits.ts';
import { codeOf, type Failure, type FieldErrors } from '../failures.ts';
import { IDEMPOTENCY_KEY } from '../idempotency/header.ts';
import { adviceOn } from '../identity/jwt.ts';
import { rateHeaders } from './rate-headers.ts';
import { anothersRotation, notRotatable } from './rotation-errors.ts';
import { sessionError } from './session-errors.ts';
import { trailError } from './trail-errors.ts';
import { describeShortfall } from '../policy/shortfall.ts';
import type { ErrorCode } from '../vocabulary.ts';

/** A failure as the caller sees it. It is generic, and its message says what to do next. */
interface WireError {
  readonly status: 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 422 | 429 | 500 | 502 | 503 | 504;
  readonly code: ErrorCode;
  readonly message: string;
  readonly errors?: FieldErrors;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The answer to a failure. This is the one place where an internal failure becomes an answer. */
export function toWireError(failure: Failure): WireError {
  const { status, ...told } = answerTo(failure);
  return { status, code: codeOf(failure), ...told };
}

/**
 * The body of an answer to a failure, in PipeOps' envelope. `status: "error"` is a string, since PipeOps' own clients read no other
 * type there. `help` is a path of the deployment that answers, whose page is of its own version.
 *
 * @param eventId the event in the trail that is about the request, or null if there is none.
 */
export const failureBody = ({ code, message, errors }: WireError, requestId: string, eventId: string | null) => ({
  success: false,
  status: 'error',
  message,
  code,
  request_id: requestId,
  ...(eventId !== null && { event_id: eventId }),
  ...(errors !== undefined && { errors }),
  help: `/docs/errors#${code}`,
});

/** An answer without its code, which `codeOf` gives. */
export type Answer = Omit<WireError, 'code'>;

/** RFC 6750 §3: where no credentials were sent the challenge carries no error code. */
const CHALLENGE = 'Bearer realm="countersign"';

function answerTo(failure: Failure): Answer {
  switch (failure.kind) {
    case 'invalid_json':
      return {
        status: 400,
        message: 'The body is not a JSON object. Send one object in UTF-8 with no more than eight levels of nesting.',
      };
    case 'invalid_request':
      return {
        status: 400,
        message: firstProblem(failure.errors, 'The request is not understood.'),
        errors: failure.errors,
      };
    case 'unsupported_media_type':
      return { status: 415, message: 'Send the body as JSON, with "Content-Type: application/json".' };
    case 'body_too_large':
      return { status: 413, message: `The body is too large. Send at most ${failure.maxBytes / 1024} KiB.` };
    case 'too_many_tokens':
      return {
        status: 413,
        message: `Too many tokens at once. Send at most ${failure.maxCount}, and the others after them.`,
      };
    case 'id_reused':
      return {
        status: 409,
        message:
          'A delivery of this id was accepted before, and it ordered something else. It is recorded and nothing is done: send this under an id of its own.',
      };
    case 'validation_failed':
      return {
        status: 422,
        message: firstProblem(failure.errors, 'The request is not acceptable.'),
        errors: failure.errors,
      };
    case 'route_not_found':
      return { status: 404, message: 'There is nothing at this path.' };
    case 'method_not_allowed':
      return {
        status: 405,
        message: `This path takes ${failure.allowed.join(', ')}.`,
        headers: { Allow: failure.allowed.join(', ') },
      };
    case 'credentials_missing':
      return {
        status: 401,
        message: 'Send a JWT of a configured issuer as "Authorization: Bearer <JWT>".',
        headers: { 'WWW-Authenticate': CHALLENGE },
      };
    case 'token_rejected':
      return invalidToken(adviceOn(failure.reason));
    case 'issuer_unavailable':
      return {
        status: 503,
        message:
          'The keys of your issuer cannot be read at the moment, or were read less than a minute ago and lack yours. Try again after "Retry-After".',
        headers: { 'Retry-After': String(failure.retryAfterSeconds) },
      };
    case 'signature_rejected':
      return {
        status: 401,
        message:
          'The signature is not accepted. Sign the body as it is sent, with a current secret and the time of now.',
        // RFC 9110 §15.5.2 requires a challenge. The scheme is this service's own.
        headers: { 'WWW-Authenticate': 'Webhook-Signature realm="countersign"' },
      };
    case 'keys_unavailable':
      return {
        status: 503,
        message:
          'The public keys of this source cannot be read at the moment, or were read less than a minute ago and lack this one. Send this again after "Retry-After".',
        headers: { 'Retry-After': String(failure.retryAfterSeconds) },
      };
    case 'subject_blocked':
      return {
        status: 403,
        message:
          'Your access was withdrawn. If you should have it, ask the operators of this service to reinstate you.',
      };
    case 'cross_site':
    case 'session_ended':
    case 'sign_in_not_configured':
    case 'sign_in_failed':
    case 'sign_in_refused':
      return sessionError(failure, CHALLENGE);
    case 'no_role':
      return {
        status: 403,
        message: 'Your JWT is valid, but no binding gives it a role. Ask the operators of this service for one.',
      };
    case 'rate_limited':
      return {
        status: 429,
        message: 'Too many requests of this caller. Try again after "Retry-After".',
        headers: {
          'Retry-After': String(failure.retryAfterSeconds),
          ...rateHeaders(failure.window, failure.retryAfterSeconds),
        },
      };
    case 'forbidden':
      if (failure.permission === 'tokens:rotate' && failure.reason === 'ownership') return anothersRotation;
      return {
        status: 403,
        message: `None of your roles ${whatIsMissing(failure)}. GET /api/v1/whoami shows what they allow.`,
      };
    case 'token_limit_reached':
      return {
        status: 403,
        message: `You hold as many live tokens as your roles allow (${failure.limit}). Revoke one that nobody needs (DELETE /api/v1/service-account-tokens/{id}), or wait until one expires. GET /api/v1/whoami shows how many you hold.`,
      };
    case 'token_not_found':
    case 'upstream_not_found':
      return { status: 404, message: 'There is no such token in this workspace, or it is not within your reach.' };
    case 'delivery_not_found':
    case 'audit_event_not_found':
    case 'sealing_not_configured':
    case 'not_sealed':
    case 'log_not_stopped':
    case 'log_file_not_found':
    case 'log_damaged':
      return trailError(failure);
    case 'idempotency_key_reused':
      return {
        status: 422,
        message: 'Another request was sent with this Idempotency-Key. Send a new one with each new request.',
        errors: heldBy(failure.heldBy),
      };
    case 'idempotency_in_flight':
      return {
        status: 409,
        message:
          'The first request with this Idempotency-Key is under way, or what became of it is not known yet. Send this again with the same key: within minutes it is settled.',
        errors: heldBy(failure.heldBy),
        headers: { 'Retry-After': '5' },
      };
    case 'idempotency_no_replay':
      return {
        status: 409,
        message:
          'The first request with this Idempotency-Key is over and its answer cannot be given again. Look up its event in the trail, and send a new key to mint another token.',
        errors: heldBy(failure.heldBy),
      };
    case 'idempotency_token_gone':
      return {
        status: 409,
        message:
          'The token of the first request with this Idempotency-Key is revoked, expired or suspended by now. Send a new key to mint another.',
        errors: heldBy(failure.heldBy),
      };

    case 'rotation_in_flight':
      return {
        status: 409,
        message:
          'Another rotation of this token is under way, or what became of it is not known yet. Within minutes it is settled: try again after "Retry-After".',
        headers: { 'Retry-After': '5' },
      };
    case 'not_rotatable':
      return notRotatable(failure);

    case 'audit_unavailable':
      return {
        status: 503,
        message: 'The audit trail did not confirm this request, so nothing is handed out. Try again shortly.',
        headers: { 'Retry-After': '5' },
      };
    case 'upstream_timeout':
      return { status: 504, message: 'PipeOps did not answer in time. Try again.' };
    case 'upstream_unreachable':
      return { status: 502, message: 'The connection to PipeOps broke. Try again.' };
    case 'upstream_error':
      return { status: 502, message: 'PipeOps failed. Try again shortly.' };
    case 'upstream_invalid_response':
      return {
        status: 502,
        message: 'PipeOps gave an answer that cannot be read. If it stays so, tell the operators of this service.',
      };
    case 'upstream_credential_rejected':
      return {
        status: 502,
        message: 'PipeOps refused the credential of this service, not yours. Tell its operators to renew it.',
      };
    case 'upstream_forbidden':
      return { status: 502, message: 'PipeOps does not let this service act in this workspace. Tell its operators.' };
    case 'upstream_rate_limited':
      return upstreamRateLimited(failure);
    case 'upstream_rejected':
      return upstreamRejected(failure.fields);
    case 'upstream_disobeyed':
      return {
        status: 502,
        message:
          'PipeOps did something else than it was asked to do. Look up the event id in the trail, and read the token before you repeat this.',
      };
    case 'revocation_pending':
      return {
        status: 409,
        message:
          'PipeOps did not find the token, which does not prove that it is gone. It is driven to its end from here: look up the event id in the trail, and do not repeat this.',
      };
    case 'overtaken':
      return {
        status: 409,
        message:
          'The token was ordered to be revoked or suspended meanwhile, so this change is undone. Look up the event id in the trail, and do not repeat this.',
      };
    case 'outcome_unknown':
      return {
        status: 504,
        message:
          'PipeOps was asked, and what became of it is not known yet. GET /api/v1/audit/events/{event_id} tells it within minutes: ask there before you repeat this. A create with an "Idempotency-Key" can be repeated with the same key.',
      };
    case 'not_ready':
      return notReady(failure);
    case 'configuration_invalid':
      return {
        status: 500,
        message: 'This service is not configured correctly. Its operators find the reason in its log.',
      };
    case 'internal_error':
      return { status: 500, message: 'Something went wrong here. Tell the operators of this service the request id.' };
  }
}

/** A migration is applied by a person, so nobody is told to try again within seconds. */
function notReady({ names, advice }: Extract<Failure, { kind: 'not_ready' }>): Answer {
  const message = `Not ready: ${names.join(', ')}.`;
  const errors = advice === undefined ? {} : { errors: advice };
  if (!names.includes('schema_outdated')) return { status: 503, message, ...errors, headers: { 'Retry-After': '5' } };
  return {
    status: 503,
    message: `${message} The database of this service lacks a migration. Tell its operators to apply it: until then, trying again does not help.`,
    ...errors,
  };
}

/** @param advice what the caller is told of its JWT, in the characters of RFC 6750 §3; null if it is told nothing. */
function invalidToken(advice: string | null): Answer {
  const description = advice ?? 'The JWT is not accepted';
  return {
    status: 401,
    message: advice ?? 'The JWT is not accepted. Get a fresh one from a configured issuer, for this audience.',
    headers: { 'WWW-Authenticate': `${CHALLENGE}, error="invalid_token", error_description="${description}"` },
  };
}

/**
 * Tells only what follows from the caller's roles: that none has the permission, or a shortfall. Any other reason stays in the
 * trail.
 */
function whatIsMissing({ reason, permission, shortfall }: Extract<Failure, { kind: 'forbidden' }>): string {
  if (reason === 'permission') return `has the permission ${permission}`;
  const why = shortfall ? `: ${describeShortfall(shortfall)}` : ` (${permission})`;
  return `allows the whole of this request${why}`;
}

/** A 429 with the headers of PipeOps' own, which its clients know how to wait for. */
function upstreamRateLimited({
  retryAfterSeconds,
  window,
}: Extract<Failure, { kind: 'upstream_rate_limited' }>): Answer {
  const waitSeconds = retryAfterSeconds ?? UPSTREAM_WAIT_DEFAULT_MS / 1000;
  return {
    status: 429,
    message:
      window === undefined
        ? 'PipeOps asks this service to wait. Try again after "Retry-After".'
        : 'What is left of the calls that PipeOps allows is kept for revocation. Try again after "Retry-After".',
    headers: {
      'Retry-After': String(waitSeconds),
      ...(window !== undefined && rateHeaders(window, waitSeconds)),
    },
  };
}

function upstreamRejected(fields: readonly string[]): Answer {
  const errors = Object.fromEntries(fields.map((field) => [field, ['PipeOps does not accept this value.']]));
  return {
    status: 422,
    message: firstProblem(errors, 'PipeOps does not accept this request. Check it against its documentation.'),
    ...(fields.length > 0 && { errors }),
  };
}

/** Names the event of the first request with a key. The event of this request has a field and a header of its own. */
const heldBy = (eventId: string): FieldErrors => ({ [IDEMPOTENCY_KEY]: [`Held by the request of event ${eventId}.`] });

/**
 * The first problem of a request as one line, such as `scopes: name at least one scope or a preset.` PipeOps' own clients show
 * `message` and nothing else.
 *
 * @param otherwise the line for errors that name no field.
 */
function firstProblem(errors: FieldErrors, otherwise: string): string {
  const [field, texts = []] = Object.entries(errors)[0] ?? [];
  const [text] = texts;
  return field === undefined || text === undefined ? otherwise : `${field}: ${text.replace(FIRST_WORD, lowerCase)}`;
}

/** A first word that has a capital only because it begins a sentence: not `PipeOps`, not `RFC`. */
const FIRST_WORD = /^[A-Z][a-z]*(?![A-Za-z])/;
const lowerCase = (word: string): string => word.toLowerCase();
