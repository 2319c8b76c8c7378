import { CREATED_SLACK_MS, OUTCOME_DETAIL_MAX_BYTES, RECONCILE_GIVE_UP_SECONDS } from '../../config/limits.ts';
import type { AuditEventRow } from '../../db/schema.ts';
import type { TokenList, UpstreamToken } from '../../pipeops/types.ts';
import { judgeAbsence } from '../../inventory/absence.ts';
import type { ErrorCode, TokenEnd } from '../../vocabulary.ts';
import { byteLength } from '../../kit/bytes.ts';
import { msOrNull } from '../../kit/time.ts';
import type { EventOutcome } from '../event.ts';
import { markerOf, stripMarker } from '../../kit/marker.ts';
import { parseStored } from '../../kit/json.ts';

/** What is to be done about an attempt whose outcome is unknown. */
export type Judgement =
  | {
      readonly kind: 'settle';
      readonly outcome: EventOutcome;
      /** How the end of its token is known, if a revoke turns out to have ended it. */
      readonly end?: TokenEnd;
    }
  /**
   * The token must be revoked before the row is settled: the create took effect and nobody got its secret, or nobody will repeat
   * the revoke.
   */
  | { readonly kind: 'revoke'; readonly tokenId: string; readonly outcome: EventOutcome }
  /** One proof of absence, which does not suffice. The second is due ABSENCE_GAP_MS after it. */
  | { readonly kind: 'unseen'; readonly begunAtMs: number }
  | { readonly kind: 'wait' };

/** An open attempt, with what reconciliation knows of it. */
export type OpenAttempt = AuditEventRow & {
  /** When the first look was begun that proves the absence of what it is about. Null: there was none. */
  readonly unseen_at: number | null;
  /** A later change of its token: `settled`, or `open` if its outcome is not known either. Null: there is none. */
  readonly later_change: 'settled' | 'open' | null;
};

/** A list of a workspace, as far as creates are judged by it. */
export interface CreateLook {
  readonly list: Pick<TokenList, 'tokens'>;
  readonly begunAtMs: number;
  /** Whether absence from it proves nothing. */
  readonly isNoProof: boolean;
  /** The markers in it that rows of ours hold. */
  readonly ourMarkers: ReadonlySet<string>;
}

/** What PipeOps says of one token. */
export type TokenSight =
  | { readonly kind: 'seen'; readonly token: UpstreamToken }
  /** Listed as revoked. */
  | { readonly kind: 'revoked' }
  /** Absent by the rule of absence. */
  | { readonly kind: 'gone' }
  /** Absent in one look, which does not suffice. */
  | { readonly kind: 'unseen'; readonly begunAtMs: number }
  /** PipeOps cannot be asked, or its answers contradict each other. */
  | { readonly kind: 'unknown' };

const WAIT: Judgement = { kind: 'wait' };

/** An outcome as reconciliation settles it. It states what was seen afterwards, not that the request caused it. */
const settledAs = (
  errorCode: ErrorCode | null,
  detail: Readonly<Record<string, unknown>> = {},
  tokenId?: string,
): EventOutcome => ({
  status: errorCode === null ? 'success' : 'failure',
  upstreamStatus: null,
  errorCode,
  ...(tokenId !== undefined && { tokenId }),
  detail: { settled_by: 'reconciliation', ...detail },
});

/**
 * Judges an open create by a list of its workspace that was begun after the attempt was old enough.
 *
 * Only the marker counts: no token is ever revoked because it resembles another. Absence is judged by the rule of absence, and only
 * by lists that show that PipeOps still returns names as we sent them: such a list is empty, or has a marker that a row of ours holds.
 */
export function judgeCreate(row: OpenAttempt, look: CreateLook, nowMs: number): Judgement {
  const { list, begunAtMs, isNoProof, ourMarkers } = look;
  const minted = list.tokens.find((token) => row.marker !== null && markerOf(token.name) === row.marker);
  if (minted !== undefined) {
    const outcome = settledAs('undelivered', {}, minted.id);
    return minted.isRevoked ? { kind: 'settle', outcome } : { kind: 'revoke', tokenId: minted.id, outcome };
  }
  const namesAreReturned =
    list.tokens.length === 0 || list.tokens.some(({ name }) => ourMarkers.has(markerOf(name) ?? ''));
  const isDoubtful = isNoProof || !namesAreReturned || list.tokens.some((token) => mayBeCut(row, token));
  if (isDoubtful) return giveUp(row, nowMs, candidates(row, list));
  const finding = judgeAbsence({ settledAtMs: row.occurred_at, unseenAtMs: row.unseen_at }, begunAtMs);
  if (finding === 'gone') return { kind: 'settle', outcome: settledAs('not_applied') };
  return finding === 'unseen' ? { kind: 'unseen', begunAtMs } : WAIT;
}

/**
 * Judges an open revoke by what PipeOps says of its token. A revoke by `system` is a compensating one, which nobody will repeat, so
 * it is driven to its end.
 */
export function judgeRevoke(row: OpenAttempt, sight: TokenSight, nowMs: number): Judgement {
  switch (sight.kind) {
    case 'revoked':
      return { kind: 'settle', outcome: settledAs(null), end: 'listed' };
    case 'gone':
      return { kind: 'settle', outcome: settledAs(null), end: 'absent' };
    case 'seen':
      return row.actor_type === 'system'
        ? { kind: 'revoke', tokenId: sight.token.id, outcome: settledAs(null) }
        : { kind: 'settle', outcome: settledAs('not_applied') };
    case 'unseen':
      return { kind: 'unseen', begunAtMs: sight.begunAtMs };
    case 'unknown':
      return giveUp(row, nowMs);
  }
}

/** Whether a later change has taken an update's place, so that PipeOps cannot tell any more what became of it. */
export const isSuperseded = ({ action, later_change }: OpenAttempt): boolean =>
  action === 'service_account_token.update' && later_change === 'settled';

/** Settles an update that may have been in force before its token went or a later change took its place. */
export const UPDATE_UNKNOWN: Judgement = { kind: 'settle', outcome: settledAs('outcome_unknown') };

/** Settles a renewal of the admin credential that died: PipeOps has no question that would tell whether it exchanged the refresh token. */
export const RENEWAL_UNKNOWN: Judgement = { kind: 'settle', outcome: settledAs('outcome_unknown') };

/**
 * Judges an open update by reading the token back. A field that PipeOps leaves out proves nothing, so the row waits. A value that
 * was not asked for proves nothing either, if it may come from a later update.
 *
 * @param descriptionSha256 the digest of the token's description as it is now. Null: PipeOps leaves it out.
 */
export function judgeUpdate(
  row: OpenAttempt,
  sight: TokenSight,
  descriptionSha256: string | null,
  nowMs: number,
): Judgement {
  switch (sight.kind) {
    case 'revoked':
    case 'gone':
      return UPDATE_UNKNOWN;
    case 'unseen':
      return { kind: 'unseen', begunAtMs: sight.begunAtMs };
    case 'unknown':
      return giveUp(row, nowMs);
    case 'seen':
      return row.later_change === 'settled'
        ? UPDATE_UNKNOWN
        : judgeReadBack(row, sight.token, descriptionSha256, nowMs);
  }
}

function judgeReadBack(
  row: OpenAttempt,
  token: UpstreamToken,
  descriptionSha256: string | null,
  nowMs: number,
): Judgement {
  const asked = parseStored(row.detail);
  const isWanted = [
    asked['name'] === undefined || row.token_name === stripMarker(token.name),
    asked['scopes'] === undefined || sameSet(asked['scopes'], token.scopes),
    asked['is_active'] === undefined || token.isActive === null || asked['is_active'] === token.isActive,
    descriptionSha256 === null || (asked['description_sha256'] ?? descriptionSha256) === descriptionSha256,
  ];
  if (!isWanted.every(Boolean)) {
    return row.later_change === null ? { kind: 'settle', outcome: settledAs('not_applied') } : UPDATE_UNKNOWN;
  }
  const isSilent =
    (asked['is_active'] !== undefined && token.isActive === null) ||
    (asked['description_sha256'] !== undefined && descriptionSha256 === null);
  return isSilent ? giveUp(row, nowMs) : { kind: 'settle', outcome: settledAs(null) };
}

/** Waits for a better answer. After RECONCILE_GIVE_UP_SECONDS it settles the row as unknown and leaves it to a person. */
export function giveUp(row: AuditEventRow, nowMs: number, candidateIds: readonly string[] = []): Judgement {
  if (nowMs - row.occurred_at < RECONCILE_GIVE_UP_SECONDS * 1000) return WAIT;
  const detail = candidateIds.length > 0 ? { candidates: candidateIds } : {};
  return { kind: 'settle', outcome: settledAs('outcome_unknown', detail) };
}

/**
 * Whether a listed token may be that of the create, if PipeOps cuts names and has cut its marker: then the list proves nothing.
 * A token that PipeOps says is older than the attempt is another one.
 */
function mayBeCut(row: AuditEventRow, { name, isRevoked, createdAt }: UpstreamToken): boolean {
  const sent = `${row.token_name ?? ''}${row.marker ?? ''}`;
  const isOlder = (msOrNull(createdAt) ?? Infinity) < row.occurred_at - CREATED_SLACK_MS;
  return !isRevoked && !isOlder && name !== '' && name.length < sent.length && sent.startsWith(name);
}

/** The tokens for a person to look at: those of the create's name, or of what PipeOps may have left of it. The row has room for some. */
function candidates(row: AuditEventRow, list: Pick<TokenList, 'tokens'>): readonly string[] {
  const alike = list.tokens.filter(
    (token) => (!token.isRevoked && stripMarker(token.name) === row.token_name) || mayBeCut(row, token),
  );
  const room =
    OUTCOME_DETAIL_MAX_BYTES - byteLength(JSON.stringify(settledAs('outcome_unknown', { candidates: [] }).detail));
  const ids: string[] = [];
  let used = 0;
  for (const { id } of alike) {
    used += byteLength(JSON.stringify(id)) + 1;
    if (used > room) break;
    ids.push(id);
  }
  return ids;
}

const sameSet = (a: unknown, b: readonly string[]): boolean => {
  const set = new Set(Array.isArray(a) ? a : []);
  return set.size === new Set(b).size && b.every((item) => set.has(item));
};
