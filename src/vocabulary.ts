/**
 * The closed lists of names: events, permissions, states and error codes. They are stored in the trail and read by callers' programs,
 * so an entry may be added and never changes its meaning.
 */

/** What an event of the trail is about. */
export const AUDIT_ACTIONS = [
  'service_account_token.create',
  'service_account_token.list',
  'service_account_token.get',
  'service_account_token.update',
  'service_account_token.revoke',
  'service_account_token.expiring',
  'audit.query',
  'audit.export',
  'audit.count',
  'audit.settled',
  'auth.reject',
  'status.read',
  'workspace.list',
  'inventory.query',
  'webhook.receive',
  'webhook.query',
  'webhook.retry',
  'subject.block',
  'subject.reinstate',
  'subject.query',
  'revocation.order',
  'credential.renew',
  'session.start',
  'session.end',
  'trail.resume',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** How far an event is. An attempt is settled once, as a success or a failure. */
export const AUDIT_STATUSES = ['attempted', 'success', 'failure'] as const;
export type AuditStatus = (typeof AUDIT_STATUSES)[number];

/** PipeOps' actor types. A `webhook` and the `system` are never callers. */
export const ACTOR_TYPES = ['user', 'service_account', 'webhook', 'system'] as const;
export type ActorType = (typeof ACTOR_TYPES)[number];

/** What a role of the policy may grant. */
export const PERMISSIONS = [
  'tokens:create',
  'tokens:read',
  'tokens:update',
  'tokens:revoke',
  'tokens:rotate',
  'audit:read',
  'trail:resume',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** Those that are about the trail as a whole, and so count only in a role over all workspaces and any token. */
export const TRAIL_PERMISSIONS = ['audit:read', 'trail:resume'] as const satisfies readonly Permission[];

/** The events of webhooks. The policy allows each source its events by name. */
export const WEBHOOK_EVENTS = ['token.revoke', 'token.leaked', 'subject.offboarded', 'subject.reinstated'] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** Why a delivery whose signature is good leads to nothing. Each is the error code of its row. */
export const IGNORED_DELIVERIES = ['event_not_allowed', 'event_unknown'] as const;

/**
 * What a token is that a delivery named. `matched`: it is ours and in a workspace of the source. `unmatched`: it is none of ours.
 * `out_of_scope`: it is ours and in another workspace.
 */
export const ITEM_FINDINGS = ['matched', 'unmatched', 'out_of_scope'] as const;

/** What becomes of a leaver's tokens. A role with `tokens: 'any'` can resume a suspended one. */
export const REVOCATION_MODES = ['revoke', 'suspend'] as const;
export type RevocationMode = (typeof REVOCATION_MODES)[number];

/** Why a token is suspended. A resume lifts only the reasons that its caller may lift. */
export const SUSPENSION_REASONS = ['owner', 'administrator', 'offboarding', 'leak', 'unused'] as const;
export type SuspensionReason = (typeof SUSPENSION_REASONS)[number];

/**
 * How the end of a token is known. `acknowledged`: PipeOps answered 2xx to a revoke of ours. `absent`: two looks proved its absence.
 * `listed`: a list said that it is revoked.
 */
export const TOKEN_ENDS = ['acknowledged', 'absent', 'listed'] as const;
export type TokenEnd = (typeof TOKEN_ENDS)[number];

/**
 * What a token is to whoever reads the inventory: the first of these that holds, from the last to the first. `retiring`: it was rotated
 * and is to be revoked.
 */
export const TOKEN_STATES = ['active', 'retiring', 'suspended', 'expired', 'revoked'] as const;
export type TokenState = (typeof TOKEN_STATES)[number];

/** What is known of the use of a token. `unknown`: PipeOps has told nothing, or nothing that can be relied on. */
export const TOKEN_USAGES = ['unknown', 'never_used', 'recent', 'unused'] as const;
export type TokenUsage = (typeof TOKEN_USAGES)[number];

/** What becomes of a token that nobody uses: it is only told, or it is suspended as well. */
export const UNUSED_MODES = ['report', 'suspend'] as const;
export type UnusedMode = (typeof UNUSED_MODES)[number];

/**
 * How far a revocation order is. `scheduled`: its time has not come, and until then it asks for nothing. `open`: PipeOps has not answered 2xx. `acknowledged`: it has. `confirmed`: a later look agreed.
 * `failed`: it was given up. `retried`: another order replaces it. `lifted`: a resume has lifted what it
 * ordered, or the rotation that made it came to nothing.
 */
export const ORDER_STATES = ['scheduled', 'open', 'acknowledged', 'confirmed', 'failed', 'retried', 'lifted'] as const;
export type OrderState = (typeof ORDER_STATES)[number];

/** The result of an order. */
export const ORDER_RESULTS = ['revoked', 'suspended', 'already_gone', 'expired', 'not_found'] as const;
export type OrderResult = (typeof ORDER_RESULTS)[number];

/**
 * What made an order: an event of a webhook, a caller's DELETE, or this service itself, which undoes or repeats something (`system`),
 * ends a token that a successor has replaced (`rotation`), or suspends one that nobody uses (`unused`).
 */
export const ORDER_CAUSES = ['leak', 'command', 'offboarding', 'caller', 'system', 'rotation', 'unused'] as const;
export type OrderCause = (typeof ORDER_CAUSES)[number];

/** Whether a delivery means an owner that it found, or only a former holder of the label. */
export const OWNER_FINDINGS = ['owner', 'also_carried'] as const;

/**
 * What the last list of a workspace was good for. `partial`: PipeOps counts more than it shows, or something could not be read.
 * `unproven`: nothing says whether it is whole. `unavailable`: PipeOps answered 404 for the workspace.
 */
export const LIST_STATES = ['complete', 'partial', 'unproven', 'unavailable'] as const;
export type ListState = (typeof LIST_STATES)[number];

/**
 * What is wrong with PipeOps, or with our standing there, by what calls came to. `upstream_unreachable`: it does not answer, or with
 * a 5xx or what nobody can read. `upstream_rate_limited`: it answers 429. `upstream_forbidden`: it does not let us act in a workspace.
 * `admin_credential_rejected`: it answers 401 or 419 to a credential.
 */
export const UPSTREAM_TROUBLES = [
  'upstream_unreachable',
  'upstream_rate_limited',
  'upstream_forbidden',
  'admin_credential_rejected',
] as const;
export type UpstreamTrouble = (typeof UPSTREAM_TROUBLES)[number];
export const UPSTREAM_OUTCOMES = ['success', ...UPSTREAM_TROUBLES] as const;

/** Why the service does nothing, as `/readyz` names it. */
export const NOT_READY_REASONS = ['d1', 'schema_outdated'] as const;
export type NotReadyReason = (typeof NOT_READY_REASONS)[number];

/** What works and needs somebody to look into it, as `/readyz` names it. */
export const DEGRADED_REASONS = [
  'admin_credential_expiring',
  'admin_credential_expired',
  'admin_credential_renewal_lost',
  ...UPSTREAM_TROUBLES,
  'd1_size',
  'fingerprint_keys',
  'revocation_orders',
  'revocation_contradicted',
  'trail_unsealed',
  'trail_forked',
  'trail_rolled_back',
  'trail_unauthentic',
] as const;
export type DegradedReason = (typeof DEGRADED_REASONS)[number];

/**
 * The rows of D1 that carry a MAC of this service: an attempt that reconciliation meets, the archived keys of an origin, the owner of a
 * token, and a row of the trail that is sealed.
 */
export const MAC_KINDS = ['attempt', 'jwks', 'owner', 'row'] as const;
export type MacKind = (typeof MAC_KINDS)[number];

/**
 * Why the admin credential cannot renew itself any more. `outcome_unknown`: an exchange may have spent the refresh token.
 * `refused`: PipeOps does not accept it. `rolled_back`: D1 holds an older one than was used already. `replaced`: another
 * configured one has taken over.
 */
export const CREDENTIAL_LOSSES = ['outcome_unknown', 'refused', 'rolled_back', 'replaced'] as const;
export type CredentialLoss = (typeof CREDENTIAL_LOSSES)[number];

/**
 * Why a browser session is over. `replaced`: the same browser has signed in anew. `idle`: it was not used for half an hour.
 * `offboarded`: the access of its subject, or of its label, was withdrawn.
 */
export const SESSION_ENDS = ['logged_out', 'replaced', 'expired', 'idle', 'offboarded'] as const;
export type SessionEnd = (typeof SESSION_ENDS)[number];

/**
 * What a fact of the log says of an event. `recorded`: an attempt as it began. `settled`: what became of it. `final`: the whole of an event
 * that was over when it was sealed. `counted`: the whole of a counted row, which grows no more.
 */
export const FACT_KINDS = ['recorded', 'settled', 'final', 'counted'] as const;
export type FactKind = (typeof FACT_KINDS)[number];

/** What a leaf of the log is: a fact of an event, the beginning of a log that follows another one, or the hand-over to another key. */
export const LOG_LEAF_KINDS = [...FACT_KINDS, 'resumed', 'handover'] as const;
export type LogLeafKind = (typeof LOG_LEAF_KINDS)[number];

/** Which fact of an event a receipt is about: what became of it, or how it was recorded. */
export const RECEIPT_FACTS = ['last', 'recorded'] as const;
export type ReceiptFact = (typeof RECEIPT_FACTS)[number];

/** What an event waits for that the log has passed. `leaf`: the leaf that it had in a log before was never published. */
export const LOG_PENDING = ['settlement', 'close', 'leaf'] as const;

/**
 * Why a log seals nothing any more. `forked`: what is stored is not what was assigned. `rolled_back`: somebody outside D1 knows a larger
 * size than D1. `resumed`: another log has taken its place.
 */
export const LOG_STOPS = ['forked', 'rolled_back', 'resumed'] as const;
export type LogStop = (typeof LOG_STOPS)[number];

/** Why a log follows another one. `key_lost`: this service does not have the key any more that signs the old one. */
export const RESUMED_BECAUSE = ['rolled_back', 'forked', 'key_lost'] as const;
export type ResumedBecause = (typeof RESUMED_BECAUSE)[number];

/**
 * Why a witness or a URL outside has not taken a checkpoint. `unreachable`, `timeout`: it gave no answer. `redirected`, `unexpected_status`:
 * it gave another one than the protocol has. `unknown_log`: it does not know the log (404). `untrusted_key`: it does not trust the key that
 * signed (403). `inconsistent`: it says that the log does not begin with what it has seen of it (422). `other_log`: it says so of the very size
 * that it has. `ahead`: it has a larger size than the log. `conflict`: the size that it has changes while it is asked. `unreadable`: its
 * answer is too long, or no text. `bad_cosignature`: what it signed is not this checkpoint, or not by its key, or not at this time.
 * `no_proof`: the files of the log give no proof for it, or not within the share of the run.
 */
export const ANCHOR_PROBLEMS = [
  'unreachable',
  'timeout',
  'redirected',
  'unexpected_status',
  'unknown_log',
  'untrusted_key',
  'inconsistent',
  'other_log',
  'ahead',
  'conflict',
  'unreadable',
  'bad_cosignature',
  'no_proof',
] as const;
export type AnchorProblem = (typeof ANCHOR_PROBLEMS)[number];

/** The jobs of the cron, in their order. */
export const CRON_JOBS = ['orders', 'attempts', 'sealing', 'credential', 'probe', 'sweeps', 'aging'] as const;
export type CronJob = (typeof CRON_JOBS)[number];

/** The work that one run does at a time: the jobs of the cron, and asking PipeOps about workspaces that are not known here. */
export const LEASED_WORK = [...CRON_JOBS, 'unknown_workspaces'] as const;
export type LeasedWork = (typeof LEASED_WORK)[number];

/**
 * Why an item of a leak report is not acted on, while the others are. `not_an_object`: it is neither an object nor a text. `no_secret`:
 * it names no secret. `unusable_secret`: the secret is no text, or no SHA-256. `beyond_limit`: too many items stand before it.
 */
export const ITEM_REJECTIONS = ['not_an_object', 'no_secret', 'unusable_secret', 'beyond_limit'] as const;
export type ItemRejection = (typeof ITEM_REJECTIONS)[number];

/** The `code` of an answer that is a failure, and the `error_code` of a row of the trail. */
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
  'session_ended',
  'sign_in_failed',
  'sign_in_refused',
  'token_limit_reached',
  'invalid_signature',
  'too_many_tokens',
  'id_reused',
  'idempotency_key_reused',
  'idempotency_in_flight',
  'idempotency_no_replay',
  'idempotency_token_gone',
  'rotation_in_flight',
  'not_rotatable',
  'not_sealed',
  'log_not_stopped',
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
  'sign_in_not_configured',
  'sealing_not_configured',
  'issuer_unavailable',
  'keys_unavailable',
  'audit_unavailable',
  'log_damaged',
  'not_ready',
  'configuration_invalid',
  'internal_error',
  // These stand only in the trail, and say what reconciliation, or a request that lost a race, found.
  'undelivered',
  'not_applied',
  // These stand only in the trail, and say what a list showed that nobody did through this service.
  'gone_upstream',
  'appeared_upstream',
  'reappeared_upstream',
  // These stand only in the trail, and say what became of an order.
  'revocation_contradicted',
  'workspace_unavailable',
  // These stand only in the trail, at a webhook whose signature was good and that did nothing.
  'event_not_allowed',
  'event_unknown',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** What the console's page for signing in is told: the codes of a sign-in that came to nothing. */
export const SIGN_IN_CODES = [
  'sign_in_not_configured',
  'sign_in_failed',
  'sign_in_refused',
  'no_role',
  'subject_blocked',
  'issuer_unavailable',
  'audit_unavailable',
] as const satisfies readonly ErrorCode[];

/**
 * The codes of denials: the caller may not do what it asked for, or there is no such thing. A minute records only a few of them
 * in full.
 */
export const DENIAL_CODES = [
  'forbidden',
  'not_found',
  'subject_blocked',
  'session_ended',
  'token_limit_reached',
] as const satisfies readonly ErrorCode[];
