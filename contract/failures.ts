import * as z from 'zod';
import type { Failure, RateWindow } from '../src/failures.ts';
import { toWireError } from '../src/http/wire-errors.ts';
import { ERROR_CODES } from '../src/vocabulary.ts';
import { type HeaderName, isHeaderName } from './headers.ts';
import { component, say, uuid } from './schema.ts';

export type FailureKind = Failure['kind'];

/** Failures of one kind. The compiler takes 25 seconds over `Failure & { kind: Kind }`, since it tries each pair of kinds. */
type FailureOf<Kind extends FailureKind, Any = Failure> = Any extends { kind: FailureKind }
  ? Kind extends Any['kind']
    ? Any & { kind: Kind }
    : never
  : never;

const CALLER_WINDOW: RateWindow = { policy: 'caller', limit: 100, windowSeconds: 10, untilMs: 1_796_000_000_000 };
const PIPEOPS_WINDOW: RateWindow = { policy: 'pipeops', limit: 100, windowSeconds: 60, untilMs: 1_796_000_000_000 };
const HELD_BY = '186564da-034d-4f28-8ae4-8230632a6738';

/**
 * A failure of each kind, and two where their answers have other headers. Status, code, message and headers of the contract come from
 * what the Worker itself makes of them.
 */
const SAMPLES: {
  readonly [Kind in FailureKind]: readonly [FailureOf<Kind>, ...FailureOf<Kind>[]];
} = {
  invalid_json: [{ kind: 'invalid_json' }],
  unsupported_media_type: [{ kind: 'unsupported_media_type' }],
  body_too_large: [{ kind: 'body_too_large', maxBytes: 16 * 1024 }],
  too_many_tokens: [{ kind: 'too_many_tokens', maxCount: 1_000 }],
  id_reused: [{ kind: 'id_reused' }],
  invalid_request: [{ kind: 'invalid_request', errors: { lmit: ['Unknown parameter. Known: limit, cursor.'] } }],
  validation_failed: [{ kind: 'validation_failed', errors: { scopes: ['Name at least one scope or a preset.'] } }],
  route_not_found: [{ kind: 'route_not_found' }],
  method_not_allowed: [{ kind: 'method_not_allowed', allowed: ['GET', 'POST'] }],
  credentials_missing: [{ kind: 'credentials_missing' }],
  token_rejected: [{ kind: 'token_rejected', reason: 'expired' }],
  issuer_unavailable: [{ kind: 'issuer_unavailable', issuer: 'https://issuer.example', retryAfterSeconds: 60 }],
  cross_site: [{ kind: 'cross_site' }],
  session_ended: [{ kind: 'session_ended' }],
  sign_in_not_configured: [{ kind: 'sign_in_not_configured' }],
  sealing_not_configured: [{ kind: 'sealing_not_configured' }],
  not_sealed: [{ kind: 'not_sealed' }],
  log_not_stopped: [{ kind: 'log_not_stopped' }],
  log_file_not_found: [{ kind: 'log_file_not_found' }],
  log_damaged: [{ kind: 'log_damaged' }],
  sign_in_failed: [{ kind: 'sign_in_failed', reason: 'cookie_missing' }],
  sign_in_refused: [{ kind: 'sign_in_refused', reason: 'provider' }],
  rate_limited: [{ kind: 'rate_limited', retryAfterSeconds: 10, window: CALLER_WINDOW }],
  signature_rejected: [{ kind: 'signature_rejected', reason: 'signature_invalid' }],
  keys_unavailable: [{ kind: 'keys_unavailable', retryAfterSeconds: 60 }],
  no_role: [{ kind: 'no_role' }],
  subject_blocked: [{ kind: 'subject_blocked' }],
  forbidden: [
    {
      kind: 'forbidden',
      reason: 'scopes',
      permission: 'tokens:create',
      shortfall: { of: 'scopes', role: 'ci', scopes: ['api:read'] },
    },
  ],
  token_limit_reached: [{ kind: 'token_limit_reached', limit: 2_000 }],
  token_not_found: [{ kind: 'token_not_found', reason: 'unknown' }],
  idempotency_key_reused: [{ kind: 'idempotency_key_reused', heldBy: HELD_BY }],
  idempotency_in_flight: [{ kind: 'idempotency_in_flight', heldBy: HELD_BY }],
  idempotency_no_replay: [{ kind: 'idempotency_no_replay', heldBy: HELD_BY }],
  idempotency_token_gone: [{ kind: 'idempotency_token_gone', heldBy: HELD_BY }],
  rotation_in_flight: [{ kind: 'rotation_in_flight' }],
  not_rotatable: [
    { kind: 'not_rotatable', reason: 'rotated', successor: '5e0cd5b1-7d3a-4f0e-9f3a-0f2f6a8f3f0e' },
    { kind: 'not_rotatable', reason: 'suspended' },
  ],
  audit_unavailable: [{ kind: 'audit_unavailable' }],
  audit_event_not_found: [{ kind: 'audit_event_not_found' }],
  delivery_not_found: [{ kind: 'delivery_not_found' }],
  upstream_timeout: [{ kind: 'upstream_timeout' }],
  upstream_unreachable: [{ kind: 'upstream_unreachable' }],
  upstream_error: [{ kind: 'upstream_error', status: 503 }],
  upstream_invalid_response: [{ kind: 'upstream_invalid_response', status: 302 }],
  upstream_credential_rejected: [{ kind: 'upstream_credential_rejected', status: 401 }],
  upstream_forbidden: [{ kind: 'upstream_forbidden', status: 403 }],
  upstream_rate_limited: [
    { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 30, window: PIPEOPS_WINDOW },
    { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 30 },
  ],
  upstream_not_found: [{ kind: 'upstream_not_found', status: 404 }],
  upstream_rejected: [{ kind: 'upstream_rejected', status: 422, fields: ['scopes'] }],
  upstream_disobeyed: [{ kind: 'upstream_disobeyed', status: 200, detail: {} }],
  outcome_unknown: [{ kind: 'outcome_unknown', cause: { kind: 'upstream_timeout' } }],
  revocation_pending: [{ kind: 'revocation_pending', status: 404 }],
  overtaken: [{ kind: 'overtaken', status: 200, order: HELD_BY }],
  not_ready: [
    { kind: 'not_ready', names: ['d1'] },
    { kind: 'not_ready', names: ['schema_outdated'] },
  ],
  configuration_invalid: [{ kind: 'configuration_invalid' }],
  internal_error: [{ kind: 'internal_error' }],
};

const isFailureKind = (name: string): name is FailureKind => Object.hasOwn(SAMPLES, name);

export const FAILURE_KINDS: readonly FailureKind[] = Object.keys(SAMPLES).filter(isFailureKind);

/** The answer to a failure of a kind, as an example. */
export const answerTo = (kind: FailureKind) => toWireError(SAMPLES[kind][0]);

/** The headers of the answer to a failure: those that it always has, and those that it may have. */
export function headersOf(kind: FailureKind): {
  readonly always: readonly HeaderName[];
  readonly maybe: readonly HeaderName[];
} {
  const each = SAMPLES[kind].map((sample) => Object.keys(toWireError(sample).headers ?? {}).filter(isHeaderName));
  const all = [...new Set(each.flat())];
  const isInEach = (name: HeaderName): boolean => each.every((names) => names.includes(name));
  return { always: all.filter(isInEach), maybe: all.filter((name) => !isInEach(name)) };
}

/** What any request may meet. */
export const ANYWHERE = ['internal_error', 'configuration_invalid'] as const satisfies readonly FailureKind[];

/** What a request may meet that needs a JWT, before its route is looked at. */
export const WITHOUT_ACCESS = [
  'credentials_missing',
  'token_rejected',
  'no_role',
  'issuer_unavailable',
  'rate_limited',
  'session_ended',
] as const satisfies readonly FailureKind[];

/** What a caller may meet whose request has a row of its own in the trail. */
export const RECORDED = [
  'forbidden',
  'subject_blocked',
  'audit_unavailable',
  'not_ready',
] as const satisfies readonly FailureKind[];

/** What becomes of a body that is JSON. */
export const JSON_BODY = [
  'invalid_json',
  'unsupported_media_type',
  'body_too_large',
  'invalid_request',
  'validation_failed',
] as const satisfies readonly FailureKind[];

/** How asking PipeOps may fail. */
export const UPSTREAM = [
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_error',
  'upstream_invalid_response',
  'upstream_credential_rejected',
  'upstream_forbidden',
  'upstream_rate_limited',
  'upstream_rejected',
  'upstream_not_found',
] as const satisfies readonly FailureKind[];

export const errorCode = component(
  'ErrorCode',
  z.enum(ERROR_CODES),
  'What went wrong. The list may grow; an entry never changes its meaning.',
);

export const failure = component(
  'Failure',
  z.strictObject({
    success: z.literal(false),
    status: say(z.literal('error'), "A text, since PipeOps' own clients read no other type here."),
    message: say(z.string().min(1), 'What to do next, in a sentence for people.'),
    code: errorCode,
    request_id: say(z.string(), 'The id of this request, as `X-Request-Id` has it.'),
    event_id: say(
      uuid(),
      'The event in the trail that is about this request, as `X-Audit-Event-Id` has it.',
    ).optional(),
    errors: say(
      z.record(z.string(), z.array(z.string()).min(1)),
      'All problems of the request, by field or parameter. `message` is the first of them.',
    ).optional(),
    help: say(z.string(), 'Where this service explains the code: what it means, what causes it, what to do.', {
      pattern: '^/docs/errors#[a-z_]+$',
      format: 'uri-reference',
    }),
  }),
  'Every failure of every route.',
);
