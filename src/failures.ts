import type { Shortfall } from './policy/shortfall.ts';
import type { ErrorCode, Permission } from './vocabulary.ts';

/** Problems per field of a request: the key is the field or parameter as the caller wrote it. */
export type FieldErrors = Readonly<Record<string, readonly string[]>>;

/** A limit of ours that is reached: nothing is left of it for this caller until `untilMs`. */
export interface RateWindow {
  /** `caller`: requests of one caller. `pipeops`: calls to PipeOps, of which the last are kept for what cannot wait. */
  readonly policy: 'caller' | 'pipeops';
  /** Requests or calls within `windowSeconds`. */
  readonly limit: number;
  readonly windowSeconds: number;
  /** Milliseconds since the epoch. */
  readonly untilMs: number;
}

/** The request cannot be understood or must not be passed on. */
export type RequestFailure =
  | { kind: 'invalid_json' }
  | { kind: 'unsupported_media_type' }
  | { kind: 'body_too_large'; maxBytes: number }
  /** A webhook that names more tokens than one delivery may: 413. */
  | { kind: 'too_many_tokens'; maxCount: number }
  /** A webhook under the id of another delivery that ordered something else: 409. */
  | { kind: 'id_reused' }
  /** Unknown or contradictory fields and parameters, bad ids: 400. The problem that the caller is told first stands first. */
  | { kind: 'invalid_request'; errors: FieldErrors }
  /** Fields that are known and whose values are not acceptable: 422. */
  | { kind: 'validation_failed'; errors: FieldErrors }
  | { kind: 'route_not_found' }
  | { kind: 'method_not_allowed'; allowed: readonly string[] };

/** The caller's JWT is not accepted. `reason` goes to the log and the trail; `adviceOn` says of which the caller hears. */
export type AuthFailure =
  | { kind: 'credentials_missing' }
  | { kind: 'token_rejected'; reason: TokenRejection; issuer?: string }
  /** The issuer's keys cannot be had, or may not be read again yet: our failure, not the caller's. */
  | { kind: 'issuer_unavailable'; issuer: string; retryAfterSeconds: number }
  | { kind: 'cross_site' }
  | { kind: 'rate_limited'; retryAfterSeconds: number; window: RateWindow };

/** A webhook that its source did not sign as it must. `reason` goes to the log and the trail, never to the sender. */
export type SignatureFailure =
  | { kind: 'signature_rejected'; reason: SignatureRejection }
  /** The keys of the source cannot be had, or may not be read again yet: our failure, not the sender's. */
  | { kind: 'keys_unavailable'; retryAfterSeconds: number };

export type SignatureRejection =
  | 'signature_missing'
  | 'signature_malformed'
  | 'signature_invalid'
  | 'timestamp_stale'
  | 'timestamp_future'
  | 'key_unknown'
  | 'body_unreadable';

export type TokenRejection =
  | 'credentials_ambiguous'
  | 'too_large'
  | 'malformed'
  | 'algorithm_not_allowed'
  | 'critical_header'
  | 'issuer_unknown'
  | 'wrong_header'
  | 'key_unknown'
  | 'signature_invalid'
  | 'type_not_accepted'
  | 'audience_mismatch'
  | 'claim_missing'
  | 'claim_malformed'
  | 'subject_empty'
  | 'expired'
  | 'not_yet_valid'
  | 'issued_in_future'
  | 'too_old';

/** What a caller may not do. `reason` is the true one and stays in the trail. */
export type PolicyFailure =
  | { kind: 'no_role' }
  /** Offboarded by a webhook, and not reinstated. */
  | { kind: 'subject_blocked' }
  /** `shortfall` is what the caller is told of it; absent or null: the permission alone. */
  | { kind: 'forbidden'; reason: DenialReason; permission: Permission; shortfall?: Shortfall | null }
  /** A role allows the create, but its owner holds `limit` live tokens: as many as any such role lets it hold. */
  | { kind: 'token_limit_reached'; limit: number }
  /** Shown as the same 404 as an unknown id. */
  | { kind: 'token_not_found'; reason: 'unknown' | 'not_readable' };

export type DenialReason =
  | 'permission'
  | 'workspace'
  | 'ownership'
  | 'scopes'
  | 'preset_unknown'
  | 'lifetime'
  | 'suspended';

/** Another create holds the `Idempotency-Key` of this one, and its answer is not given again. `heldBy` is its event id. */
export type IdempotencyFailure = {
  kind: 'idempotency_key_reused' | 'idempotency_in_flight' | 'idempotency_no_replay' | 'idempotency_token_gone';
  heldBy: string;
};

/** D1 did not take, or did not confirm, what had to be recorded. */
export type AuditFailure = { kind: 'audit_unavailable' };
/** Of what a caller does that has its row at once: it was offboarded, or has used up its rows of this minute. */
export type RecordFailure = AuditFailure | { kind: 'subject_blocked' } | Extract<AuthFailure, { kind: 'rate_limited' }>;
export type TrailFailure = AuditFailure | { kind: 'audit_event_not_found' } | { kind: 'delivery_not_found' };

/** What PipeOps answered, as far as it can be known. `status` is its HTTP status. */
export type UpstreamFailure =
  /** No answer within our deadline: the outcome is unknown. */
  | { kind: 'upstream_timeout' }
  /** The connection broke: the outcome is unknown. */
  | { kind: 'upstream_unreachable' }
  /** 5xx (or 408): the outcome is unknown. */
  | { kind: 'upstream_error'; status: number }
  /** A 3xx, or a 2xx that is not what the wire promises: the outcome is unknown. */
  | { kind: 'upstream_invalid_response'; status: number }
  /** 401 or 419 with every credential that we hold. */
  | { kind: 'upstream_credential_rejected'; status: number }
  | { kind: 'upstream_forbidden'; status: number }
  /** `window`: PipeOps was not asked, since what is left of its limit is kept for what cannot wait. Absent: it said so itself. */
  | { kind: 'upstream_rate_limited'; status: number; retryAfterSeconds: number | null; window?: RateWindow }
  | { kind: 'upstream_not_found'; status: number }
  /** Any other 4xx. `fields` are those of ours that PipeOps complained about; its words are not passed on. */
  | { kind: 'upstream_rejected'; status: number; fields: readonly string[] }
  /** A 2xx whose answer contradicts what was asked for: a wider grant, a suspension that did not happen. */
  | { kind: 'upstream_disobeyed'; status: number; detail: Readonly<Record<string, unknown>> };

/** PipeOps answered 404 to a revoke, which proves nothing by itself. An order drives it until the token is known to be gone. */
export type RevocationPending = { kind: 'revocation_pending'; status: number };

/**
 * A change was made of a token that was ordered to be revoked or suspended meanwhile, or whose owner was offboarded: an order
 * of its own undoes it. `order` is its id.
 */
export type Overtaken = { kind: 'overtaken'; status: number | null; order: string };

/** A mutation was sent and nobody knows yet what became of it. */
export type OutcomeUnknown = { kind: 'outcome_unknown'; cause: UpstreamFailure | { kind: 'unrecorded' } };

export type Failure =
  | RequestFailure
  | AuthFailure
  | SignatureFailure
  | PolicyFailure
  | TrailFailure
  | UpstreamFailure
  | OutcomeUnknown
  | RevocationPending
  | Overtaken
  | IdempotencyFailure
  /** `names` are those of what is not ready. */
  | { kind: 'not_ready'; names: readonly string[] }
  | { kind: 'configuration_invalid' }
  | { kind: 'internal_error' };

/** The failures whose code is not their kind: what differs inside looks alike from outside. */
const CODES: Readonly<Record<Exclude<Failure['kind'], ErrorCode>, ErrorCode>> = {
  route_not_found: 'not_found',
  token_not_found: 'not_found',
  upstream_not_found: 'not_found',
  delivery_not_found: 'not_found',
  audit_event_not_found: 'not_found',
  credentials_missing: 'unauthenticated',
  token_rejected: 'invalid_token',
  signature_rejected: 'invalid_signature',
  overtaken: 'revocation_pending',
};

const hasOtherCode = (kind: Failure['kind']): kind is keyof typeof CODES => Object.hasOwn(CODES, kind);

/** The `code` of a failure: in its answer, and in its row of the trail. */
export const codeOf = ({ kind }: Failure): ErrorCode => (hasOtherCode(kind) ? CODES[kind] : kind);
