/**
 * The closed lists that the service speaks in: event names, permissions and error codes. They are stored in the trail
 * and read by callers' programs, so an entry may be added and never changes its meaning.
 */

export const AUDIT_ACTIONS = [
  'service_account_token.create',
  'service_account_token.list',
  'service_account_token.get',
  'service_account_token.update',
  'service_account_token.revoke',
  'audit.query',
  'audit.export',
  'audit.settled',
  'auth.reject',
  'status.read',
  'workspace.list',
  'webhook.receive',
  'webhook.query',
  'webhook.retry',
  'subject.block',
  'subject.reinstate',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export const AUDIT_STATUSES = ['attempted', 'success', 'failure'] as const;
export type AuditStatus = (typeof AUDIT_STATUSES)[number];

/** PipeOps' own actor types, of which `webhook` and `system` are never a caller. */
export const ACTOR_TYPES = ['user', 'service_account', 'webhook', 'system'] as const;
export type ActorType = (typeof ACTOR_TYPES)[number];

export const PERMISSIONS = ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'audit:read'] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** What a webhook may say. A source is allowed each by name. */
export const WEBHOOK_EVENTS = ['token.revoke', 'token.leaked', 'subject.offboarded', 'subject.reinstated'] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** Why a delivery that is rightly signed leads to nothing: an error code of its row. */
export const IGNORED_DELIVERIES = ['event_not_allowed', 'event_unknown'] as const;

/** What a token that a delivery named is to us: ours and within the source's workspaces, none of ours, or ours elsewhere. */
export const ITEM_FINDINGS = ['matched', 'unmatched', 'out_of_scope'] as const;
export type ItemFinding = (typeof ITEM_FINDINGS)[number];

/** What becomes of a leaver's tokens. A suspended one can be resumed, by a role with `tokens: 'any'`. */
export const REVOCATION_MODES = ['revoke', 'suspend'] as const;
export type RevocationMode = (typeof REVOCATION_MODES)[number];

/** Why a token is suspended: a resume lifts only the reasons that its caller may lift. */
export const SUSPENSION_REASONS = ['owner', 'administrator', 'offboarding', 'leak'] as const;
export type SuspensionReason = (typeof SUSPENSION_REASONS)[number];

/**
 * How the end of a token is known. `acknowledged`: PipeOps said 2xx to a revoke of ours. `absent`: two looks that prove its
 * absence agree. `listed`: a list said that it is revoked.
 */
export const TOKEN_ENDS = ['acknowledged', 'absent', 'listed'] as const;
export type TokenEnd = (typeof TOKEN_ENDS)[number];

/**
 * How far a revocation order is. `open`: PipeOps has not said 2xx. `acknowledged`: it has. `confirmed`: a later look agrees.
 * `failed`: it was given up. `retried`: another order stands in for it. `lifted`: a resume has lifted what it ordered.
 */
export const ORDER_STATES = ['open', 'acknowledged', 'confirmed', 'failed', 'retried', 'lifted'] as const;
export type OrderState = (typeof ORDER_STATES)[number];

/** What an order came to. */
export const ORDER_RESULTS = ['revoked', 'suspended', 'already_gone', 'expired', 'not_found'] as const;
export type OrderResult = (typeof ORDER_RESULTS)[number];

/** What made an order: a webhook's event, a caller's DELETE, or this service itself, which undoes or repeats something. */
export const ORDER_CAUSES = ['leak', 'command', 'offboarding', 'caller', 'system'] as const;
export type OrderCause = (typeof ORDER_CAUSES)[number];

/** Whether an owner that a delivery found is meant by it. */
export const OWNER_FINDINGS = ['owner', 'also_carried'] as const;
export type OwnerFinding = (typeof OWNER_FINDINGS)[number];

/**
 * What the last list of a workspace was good for. `partial`: PipeOps counts more than it shows, or something could not be read.
 * `unproven`: nothing says whether it is whole. `unavailable`: PipeOps answered 404 for the workspace.
 */
export const LIST_STATES = ['complete', 'partial', 'unproven', 'unavailable'] as const;
export type ListState = (typeof LIST_STATES)[number];

/** The jobs of the cron, in their order. */
export const CRON_JOBS = ['orders', 'attempts', 'sweeps'] as const;
export type CronJob = (typeof CRON_JOBS)[number];

/** What one run at a time does: the jobs of the cron, and asking about workspaces of which nothing is known here. */
export const LEASED_WORK = [...CRON_JOBS, 'unknown_workspaces'] as const;
export type LeasedWork = (typeof LEASED_WORK)[number];

/**
 * Why an item of a leak report is not acted on, while the others are. `not_an_object`: it is neither an object nor a text.
 * `no_secret`: it names none. `unusable_secret`: what it names is no text, or no SHA-256. `beyond_limit`: there are too many before it.
 */
export const ITEM_REJECTIONS = ['not_an_object', 'no_secret', 'unusable_secret', 'beyond_limit'] as const;
export type ItemRejection = (typeof ITEM_REJECTIONS)[number];

/** `code` of a failing answer, and `error_code` of an audit row. */
export const ERROR_CODES = [
  // The request is at fault.
  'invalid_json',
  'invalid_request',
  'unsupported_media_type',
  'body_too_large',
  'validation_failed',
  'not_found',
  'method_not_allowed',
  // The caller is at fault.
  'unauthenticated',
  'invalid_token',
  'no_role',
  'forbidden',
  'cross_site',
  'rate_limited',
  'subject_blocked',
  'token_limit_reached',
  'invalid_signature',
  'too_many_tokens',
  'id_reused',
  'idempotency_key_reused',
  'idempotency_in_flight',
  'idempotency_no_replay',
  'idempotency_token_gone',
  // PipeOps, or our standing with it, is at fault.
  'upstream_timeout',
  'upstream_unreachable',
  'upstream_error',
  'upstream_invalid_response',
  'upstream_credential_rejected',
  'upstream_forbidden',
  'upstream_rate_limited',
  'upstream_rejected',
  'upstream_disobeyed',
  'outcome_unknown',
  'revocation_pending',
  // We are at fault.
  'issuer_unavailable',
  'keys_unavailable',
  'audit_unavailable',
  'not_ready',
  'configuration_invalid',
  'internal_error',
  // Only in the trail: what reconciliation, or a request that lost its race, found.
  'undelivered',
  'not_applied',
  // Only in the trail: what a list showed that nobody did through this service.
  'gone_upstream',
  'appeared_upstream',
  'reappeared_upstream',
  // Only in the trail: what became of an order.
  'revocation_contradicted',
  'workspace_unavailable',
  // Only in the trail: a webhook that was rightly signed and did nothing.
  'event_not_allowed',
  'event_unknown',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Those that say that a caller may not do what it asked for, or that there is nothing: of them a minute records a few in full. */
export const DENIAL_CODES = [
  'forbidden',
  'not_found',
  'subject_blocked',
  'token_limit_reached',
] as const satisfies readonly ErrorCode[];
