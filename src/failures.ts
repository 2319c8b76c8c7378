import type { Shortfall } from './policy/shortfall.ts';
import type { ErrorCode, NotReadyReason, Permission } from './vocabulary.ts';

/** The problems of a request by field or parameter, each named as the caller wrote it. */
export type FieldErrors = Readonly<Record<string, readonly string[]>>;

/** A limit of this service that is reached: nothing is left of it for this caller until `untilMs`. */
export interface RateWindow {
  /** `caller` limits the requests of one caller. `pipeops` limits calls to PipeOps, the last of which are kept for revocation. */
  readonly policy: 'caller' | 'pipeops';
  /** How many requests or calls there may be within `windowSeconds`. */
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
  /** A webhook names more tokens than one delivery may: 413. */
  | { kind: 'too_many_tokens'; maxCount: number }
  /** A webhook has the id of another delivery, which ordered something else: 409. */
  | { kind: 'id_reused' }
  /**
   * Fields or parameters are unknown or contradict each other, or ids are bad: 400. The problem that the caller is told first
   * stands first.
   */
  | { kind: 'invalid_request'; errors: FieldErrors }
  /** Fields are known and their values are not acceptable: 422. */
  | { kind: 'validation_failed'; errors: FieldErrors }
  | { kind: 'route_not_found' }
  | { kind: 'method_not_allowed'; allowed: readonly string[] };

/** The caller's JWT is not accepted. `reason` goes to the log and the trail; `adviceOn` decides which reasons the caller hears. */
export type AuthFailure =
  | { kind: 'credentials_missing' }
  | { kind: 'token_rejected'; reason: TokenRejection; issuer?: string }
  /** The issuer's keys cannot be read, or must not be read again yet. The failure is ours and not the caller's. */
  | { kind: 'issuer_unavailable'; issuer: string; retryAfterSeconds: number }
  | { kind: 'cross_site' }
  /** The browser session of the request is over, or its cookie was not made here. */
  | { kind: 'session_ended' }
  | { kind: 'rate_limited'; retryAfterSeconds: number; window: RateWindow };

/** Nobody signed in. `reason` goes to the log and the trail, and never to the browser. */
export type SignInFailure =
  /** No issuer of the policy has a `clientId`. */
  | { kind: 'sign_in_not_configured' }
  /** What the browser came back with belongs to no sign-in that it began here, or was used before. */
  | { kind: 'sign_in_failed'; reason: SignInFault; issuer?: string }
  /** The provider says no, or its ID token cannot be accepted. */
  | { kind: 'sign_in_refused'; reason: SignInRefusal; issuer?: string };

export type SignInFault =
  | 'cookie_missing'
  | 'cookie_unacceptable'
  | 'expired'
  | 'answer_unacceptable'
  | 'code_unacceptable'
  | 'nonce_mismatch'
  | 'replayed';

/** `provider`: it answered with an error. `client`: it does not accept our client. `too_large`: the claims do not fit into a cookie. */
export type SignInRefusal = 'provider' | 'client' | TokenRejection;

/** A webhook is not signed as it must be. `reason` goes to the log and the trail, and never to the sender. */
export type SignatureFailure =
  | { kind: 'signature_rejected'; reason: SignatureRejection }
  /** The sender's keys cannot be read, or must not be read again yet. The failure is ours and not the sender's. */
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

/** The caller may not do what it asked for. `reason` is the true one and stays in the trail. */
export type PolicyFailure =
  | { kind: 'no_role' }
  /** The caller was offboarded by a webhook, and not reinstated. */
  | { kind: 'subject_blocked' }
  /** `shortfall` is what the caller is told. Where it is absent or null, the caller is told the permission alone. */
  | { kind: 'forbidden'; reason: DenialReason; permission: Permission; shortfall?: Shortfall | null }
  /** A role allows the create, but the caller holds `limit` live tokens, which is as many as any such role lets it hold. */
  | { kind: 'token_limit_reached'; limit: number }
  /** The caller sees one 404 for both reasons. */
  | { kind: 'token_not_found'; reason: 'unknown' | 'not_readable' };

export type DenialReason =
  | 'permission'
  | 'workspace'
  | 'ownership'
  | 'scopes'
  | 'preset_unknown'
  | 'lifetime'
  | 'overlap'
  | 'suspended';

/** Why a token cannot be rotated. `overtaken`: it was revoked, suspended or ordered while its successor was minted, or its owner blocked. */
export type RotationObstacle =
  | 'rotated'
  | 'revoked'
  | 'expired'
  | 'suspended'
  | 'ordered'
  | 'not_recorded'
  | 'overtaken';

/** A token of the caller is not in a state to be rotated. */
export type RotationFailure =
  /** Another rotation of it is under way, or what became of it is not known yet. */
  | { kind: 'rotation_in_flight' }
  /** `successor` is the token that has taken its place. */
  | { kind: 'not_rotatable'; reason: 'rotated'; successor: string }
  | { kind: 'not_rotatable'; reason: Exclude<RotationObstacle, 'rotated'> };

/** Another create holds the `Idempotency-Key` of this one, and its answer cannot be given again. `heldBy` is its event id. */
export type IdempotencyFailure = {
  kind: 'idempotency_key_reused' | 'idempotency_in_flight' | 'idempotency_no_replay' | 'idempotency_token_gone';
  heldBy: string;
};

/** D1 did not take, or did not confirm, a row that had to be recorded. */
export type AuditFailure = { kind: 'audit_unavailable' };

/** A row of a caller was not recorded: D1 failed, the caller was offboarded, its session is over, or it has used up its rows of this minute. */
export type RecordFailure = AuditFailure | CallerBar | Extract<AuthFailure, { kind: 'rate_limited' }>;

/** Why D1 keeps a caller out that policy would let in: it was offboarded, or its browser session is over. */
export interface CallerBar {
  readonly kind: 'subject_blocked' | 'session_ended';
}

/** A question about the trail or about a delivery has no answer. */
export type TrailFailure =
  | AuditFailure
  | { kind: 'audit_event_not_found' }
  | { kind: 'delivery_not_found' }
  /** The Worker has no key to seal the trail with. */
  | { kind: 'sealing_not_configured' }
  /** No checkpoint covers the event yet. */
  | { kind: 'not_sealed' }
  /** There is no such log, or no published checkpoint of it covers such a file. */
  | { kind: 'log_file_not_found' }
  /** What is stored of the log does not lead to its signed checkpoint, or not all of it is there. */
  | { kind: 'log_damaged' }
  /** The log still grows, so none follows it. */
  | { kind: 'log_not_stopped' };

/** PipeOps did not do, or may not have done, what it was asked. `status` is its HTTP status. */
export type UpstreamFailure =
  /** PipeOps did not answer within our deadline, so the outcome is unknown. */
  | { kind: 'upstream_timeout' }
  /** The connection broke, so the outcome is unknown. */
  | { kind: 'upstream_unreachable' }
  /** PipeOps answered 5xx or 408, so the outcome is unknown. */
  | { kind: 'upstream_error'; status: number }
  /** PipeOps answered 3xx, or 2xx with a body of no known form, so the outcome is unknown. */
  | { kind: 'upstream_invalid_response'; status: number }
  /** PipeOps answered 401 or 419 to every credential that we have. */
  | { kind: 'upstream_credential_rejected'; status: number }
  | { kind: 'upstream_forbidden'; status: number }
  /**
   * With `window`, PipeOps was not asked, since the rest of its limit is kept for revocation. Without it, PipeOps said so
   * itself.
   */
  | { kind: 'upstream_rate_limited'; status: number; retryAfterSeconds: number | null; window?: RateWindow }
  | { kind: 'upstream_not_found'; status: number }
  /** PipeOps answered another 4xx. `fields` are the fields of ours that it complained about; its words are not passed on. */
  | { kind: 'upstream_rejected'; status: number; fields: readonly string[] }
  /** PipeOps answered 2xx and did something else: it granted more, or did not suspend. */
  | { kind: 'upstream_disobeyed'; status: number; detail: Readonly<Record<string, unknown>> };

/** PipeOps answered 404 to a revoke, which proves nothing by itself. An order goes on until the token is known to be gone. */
type RevocationPending = { kind: 'revocation_pending'; status: number };

/**
 * A change was made to a token that was meanwhile ordered to be revoked or suspended, or whose owner was offboarded. An order undoes
 * the change; `order` is its id.
 */
type Overtaken = { kind: 'overtaken'; status: number | null; order: string };

/** A mutation was sent, and nobody knows yet what became of it. */
type OutcomeUnknown = { kind: 'outcome_unknown'; cause: UpstreamFailure | { kind: 'unrecorded' } };

/** Every way in which a request can fail. */
export type Failure =
  | RequestFailure
  | AuthFailure
  | SignInFailure
  | SignatureFailure
  | PolicyFailure
  | TrailFailure
  | UpstreamFailure
  | OutcomeUnknown
  | RevocationPending
  | Overtaken
  | RotationFailure
  | IdempotencyFailure
  /** `advice` says what to do about each reason; it is for those who run this service. */
  | { kind: 'not_ready'; names: readonly NotReadyReason[]; advice?: FieldErrors }
  | { kind: 'configuration_invalid' }
  | { kind: 'internal_error' };

/** The codes of failures whose code is not their kind, since failures that differ inside look alike from outside. */
const CODES: Readonly<Record<Exclude<Failure['kind'], ErrorCode>, ErrorCode>> = {
  route_not_found: 'not_found',
  token_not_found: 'not_found',
  upstream_not_found: 'not_found',
  delivery_not_found: 'not_found',
  audit_event_not_found: 'not_found',
  log_file_not_found: 'not_found',
  credentials_missing: 'unauthenticated',
  token_rejected: 'invalid_token',
  signature_rejected: 'invalid_signature',
  overtaken: 'revocation_pending',
};

const hasOtherCode = (kind: Failure['kind']): kind is keyof typeof CODES => Object.hasOwn(CODES, kind);

/** The `code` of a failure: in its answer, and in its row of the trail. */
export const codeOf = ({ kind }: Failure): ErrorCode => (hasOtherCode(kind) ? CODES[kind] : kind);
