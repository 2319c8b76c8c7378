import { ACTOR_ISSUER_MAX_BYTES, ACTOR_LABEL_MAX_BYTES } from '../config/limits.ts';
import type { AuditEventRow } from '../db/schema.ts';
import { codeOf, type Failure } from '../failures.ts';
import type { Identity, SessionProof } from '../identity/identity.ts';
import { cutToBytes } from '../kit/bytes.ts';
import { parseStored } from '../kit/json.ts';
import { redact } from '../kit/redaction.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { TokenRef } from '../pipeops/types.ts';
import type { ActorType, AuditAction, AuditStatus, ErrorCode } from '../vocabulary.ts';

/** Who did something, as the trail names it. */
export interface Actor {
  readonly type: ActorType;
  readonly issuer: string | null;
  readonly subject: string | null;
  /** The whole label; a row stores as much of it as fits. */
  readonly label: string | null;
  /** When the JWT that names a caller was issued, in milliseconds since the epoch. No row stores it. */
  readonly issuedAtMs?: number | null;
  /** The browser session that a caller comes through. No row stores it. */
  readonly session?: SessionProof | undefined;
}

/** Countersign itself: the cron, and whatever no caller asked for. */
export const SYSTEM_ACTOR: Actor = { type: 'system', issuer: null, subject: null, label: null };

/** A caller as the trail names it. */
export const actorOf = (identity: Identity & Pick<Actor, 'session'>): Actor => ({
  type: identity.actorType,
  issuer: identity.issuer,
  subject: identity.subject,
  label: identity.label,
  issuedAtMs: issuedAtMs(identity.claims['iat']),
  session: identity.session,
});

const issuedAtMs = (iat: unknown): number | null => (typeof iat === 'number' ? iat * 1000 : null);

/** What is known of an event before anything is done. */
export interface EventSubject {
  readonly action: AuditAction;
  readonly actor: Actor;
  readonly workspaceUuid: string | null;
  readonly tokenId: string | null;
  /** The name without its marker. */
  readonly tokenName: string | null;
  /** The token of the actor's own whose name an attempt names, where only D1 knows it. */
  readonly nameOf?: TokenRef;
  /** What was asked for. It never holds a secret. */
  readonly detail: Readonly<Record<string, unknown>>;
  /** The marker that a create sends. */
  readonly marker?: string;
}

/** The subject of an event. Whatever `about` leaves out is null, and its detail is empty. */
export const eventSubject = (
  action: AuditAction,
  actor: Actor,
  about: Partial<Omit<EventSubject, 'action' | 'actor'>> = {},
): EventSubject => ({ action, actor, workspaceUuid: null, tokenId: null, tokenName: null, detail: {}, ...about });

/** What became of an event. */
export interface EventOutcome {
  readonly status: Exclude<AuditStatus, 'attempted'>;
  readonly upstreamStatus: number | null;
  readonly errorCode: ErrorCode | null;
  /** A create learns the id of its token only from its outcome. */
  readonly tokenId?: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** The outcome of something that succeeded. */
export const successOutcome = (
  upstreamStatus: number | null,
  detail: Readonly<Record<string, unknown>> = {},
): EventOutcome => ({ status: 'success', upstreamStatus, errorCode: null, detail });

/** The outcome of a failure: the code that its caller sees, and the true reason, which its caller may not see. */
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

/** Where an event came from: the request, the address and program that sent it, and the version of the policy that it was decided under. */
export type Origin = Pick<RequestContext, 'requestId' | 'ip' | 'userAgent' | 'policyVersion'>;

/** The origin of an event that no caller's address or program caused, though it was noticed while a request was served. */
export const systemOrigin = ({ requestId, policyVersion }: Pick<Origin, 'requestId' | 'policyVersion'>): Origin => ({
  requestId,
  ip: null,
  userAgent: null,
  policyVersion,
});

/** The `detail` of a row that is not inserted yet, as JSON. `rowDetail` alone makes it, so that no writer can leave out the version. */
export type RowDetail = string & { readonly names: 'policy' };

export type NewAuditRow = Omit<AuditEventRow, 'seq' | 'detail'> & { readonly detail: RowDetail };

/** What an event's row says of what was asked for, and of the version of the policy that decided. */
export const rowDetail = (detail: EventSubject['detail'], policyVersion: string): RowDetail =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this is the one place that makes it
  JSON.stringify({ ...detail, policy: policyVersion }) as RowDetail;

/** The version of the policy that a row names. */
export const policyVersionOf = ({ detail }: Pick<NewAuditRow, 'detail'>): string =>
  String(parseStored(detail)['policy']);

/** The row of an attempt, which is committed before PipeOps is asked for anything. */
export function attemptedRow(eventId: string, nowMs: number, origin: Origin, subject: EventSubject): NewAuditRow {
  return {
    id: eventId,
    occurred_at: nowMs,
    settled_at: null,
    action: subject.action,
    status: 'attempted',
    actor_type: subject.actor.type,
    actor_issuer: cap(subject.actor.issuer, ACTOR_ISSUER_MAX_BYTES),
    // A subject is never cut: two subjects must not become one. Identity refuses those that do not fit.
    actor_subject: subject.actor.subject === null ? null : redact(subject.actor.subject),
    actor_label: cap(subject.actor.label, ACTOR_LABEL_MAX_BYTES),
    workspace_uuid: subject.workspaceUuid,
    token_id: subject.tokenId,
    token_name: subject.tokenName,
    request_id: origin.requestId,
    ip: origin.ip,
    user_agent: origin.userAgent,
    upstream_status: null,
    error_code: null,
    detail: rowDetail(subject.detail, origin.policyVersion),
    outcome: null,
    count: 1,
    last_at: null,
    read_key: null,
    marker: subject.marker ?? null,
    closed_at: null,
    recorded_mac: null,
    settled_mac: null,
  };
}

/** The row of something that is over when it is recorded, such as a read or a refusal. */
export function finalRow(
  eventId: string,
  nowMs: number,
  origin: Origin,
  subject: EventSubject,
  outcome: EventOutcome,
): NewAuditRow {
  return { ...attemptedRow(eventId, nowMs, origin, subject), ...settledColumns(nowMs, subject.tokenId, outcome) };
}

/** The columns that settling writes. The update trigger refuses any others. */
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
