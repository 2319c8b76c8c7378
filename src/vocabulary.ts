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

/** What becomes of a leaver's tokens. A suspended one can be resumed, by a role with `tokens: 'any'`. */
export const REVOCATION_MODES = ['revoke', 'suspend'] as const;
export type RevocationMode = (typeof REVOCATION_MODES)[number];

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
  'invalid_signature',
  'too_many_tokens',
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
  'outcome_unknown',
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
  // Only in the trail: a webhook that was rightly signed and did nothing.
  'event_not_allowed',
  'event_unknown',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];
