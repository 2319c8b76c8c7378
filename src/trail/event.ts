import { ACTOR_ISSUER_MAX_BYTES, ACTOR_LABEL_MAX_BYTES } from '../config/limits.ts';
import type { AuditEventRow } from '../db/schema.ts';
import { codeOf, type Failure } from '../failures.ts';
import type { Identity } from '../identity/identity.ts';
import { cutToBytes } from '../kit/bytes.ts';
import { redact } from '../kit/redaction.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { ActorType, AuditAction, AuditStatus, ErrorCode } from '../vocabulary.ts';

export interface Actor {
  readonly type: ActorType;
  readonly issuer: string | null;
  readonly subject: string | null;
  /** Whole: a row holds a part of it. */
  readonly label: string | null;
  /** When the JWT was issued that names a caller; in no row. */
  readonly issuedAtMs?: number | null;
}

/** Countersign itself: the cron, and whatever no caller asked for. */
export const SYSTEM_ACTOR: Actor = { type: 'system', issuer: null, subject: null, label: null };

/** What is known before anything is done. */
export interface EventSubject {
  readonly action: AuditAction;
  readonly actor: Actor;
  readonly workspaceUuid: string | null;
  readonly tokenId: string | null;
  /** Without the marker. */
  readonly tokenName: string | null;
  /** What was asked for. Never a secret. */
  readonly detail: Readonly<Record<string, unknown>>;
  readonly marker?: string;
}

/** What became of it. */
export interface EventOutcome {
  readonly status: Exclude<AuditStatus, 'attempted'>;
  readonly upstreamStatus: number | null;
  readonly errorCode: ErrorCode | null;
  /** A create learns its token's id only from its outcome. */
  readonly tokenId?: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export type NewAuditRow = Omit<AuditEventRow, 'seq'>;

/** The row of an attempt: it is committed before PipeOps is asked for anything. */
export function attemptedRow(
  eventId: string,
  nowMs: number,
  context: Pick<RequestContext, 'requestId' | 'ip' | 'userAgent'>,
  subject: EventSubject,
): NewAuditRow {
  return {
    id: eventId,
    occurred_at: nowMs,
    settled_at: null,
    action: subject.action,
    status: 'attempted',
    actor_type: subject.actor.type,
    actor_issuer: cap(subject.actor.issuer, ACTOR_ISSUER_MAX_BYTES),
    // Never cut: two subjects must not become one. Identity refuses those that do not fit.
    actor_subject: subject.actor.subject === null ? null : redact(subject.actor.subject),
    actor_label: cap(subject.actor.label, ACTOR_LABEL_MAX_BYTES),
    workspace_uuid: subject.workspaceUuid,
    token_id: subject.tokenId,
    token_name: subject.tokenName,
    request_id: context.requestId,
    ip: context.ip,
    user_agent: context.userAgent,
    upstream_status: null,
    error_code: null,
    detail: JSON.stringify(subject.detail),
    outcome: null,
    count: 1,
    last_at: null,
    read_key: null,
    marker: subject.marker ?? null,
  };
}

/** The row of something that is over when it is recorded: a read, a refusal. */
export function finalRow(
  eventId: string,
  nowMs: number,
  context: Pick<RequestContext, 'requestId' | 'ip' | 'userAgent'>,
  subject: EventSubject,
  outcome: EventOutcome,
): NewAuditRow {
  return { ...attemptedRow(eventId, nowMs, context, subject), ...settledColumns(nowMs, subject.tokenId, outcome) };
}

/** The columns that settling writes, and no others: the update trigger refuses the rest. */
export function settledColumns(nowMs: number, tokenId: string | null, outcome: EventOutcome) {
  return {
    status: outcome.status,
    settled_at: nowMs,
    token_id: tokenId ?? outcome.tokenId ?? null,
    upstream_status: outcome.upstreamStatus,
    error_code: outcome.errorCode,
    outcome: JSON.stringify(outcome.detail),
  };
}
export type SettledColumns = ReturnType<typeof settledColumns>;

const cap = (text: string | null, maxBytes: number): string | null =>
  text === null ? null : cutToBytes(redact(text), maxBytes);

const issuedAtMs = (iat: unknown): number | null => (typeof iat === 'number' ? iat * 1000 : null);

/** A caller as the trail names it. */
export const actorOf = (identity: Identity): Actor => ({
  type: identity.actorType,
  issuer: identity.issuer,
  subject: identity.subject,
  label: identity.label,
  issuedAtMs: issuedAtMs(identity.claims['iat']),
});

/** The outcome that a failure leaves in the trail: the code its caller saw, and the true reason, which it did not. */
export function failureOutcome(failure: Failure): EventOutcome {
  return {
    status: 'failure',
    upstreamStatus: 'status' in failure ? failure.status : null,
    errorCode: codeOf(failure),
    detail: {
      ...('reason' in failure && { reason: failure.reason }),
      ...('limit' in failure && { max_tokens: failure.limit }),
      ...('detail' in failure && failure.detail),
      ...('heldBy' in failure && { idempotent_of: failure.heldBy }),
    },
  };
}

export const successOutcome = (
  upstreamStatus: number | null,
  detail: Readonly<Record<string, unknown>> = {},
): EventOutcome => ({ status: 'success', upstreamStatus, errorCode: null, detail });
