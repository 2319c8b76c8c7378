import { RECONCILE_GIVE_UP_SECONDS, OUTCOME_DETAIL_MAX_BYTES } from '../config/limits.ts';
import type { AuditEventRow } from '../db/schema.ts';
import type { TokenList, UpstreamToken } from '../pipeops/types.ts';
import type { ErrorCode } from '../vocabulary.ts';
import { byteLength } from '../text/caps.ts';
import type { EventOutcome } from './events.ts';
import { markerOf, stripMarker } from './marker.ts';
import { parseStored } from './stored-json.ts';

/** What is to be done about an attempt whose outcome is unknown. */
export type Judgement =
  | { readonly verdict: 'settle'; readonly outcome: EventOutcome }
  /** The create took effect and nobody got its secret: the token must go before the row is settled. */
  | { readonly verdict: 'revoke'; readonly tokenId: string; readonly outcome: EventOutcome }
  | { readonly verdict: 'wait' };

const WAIT: Judgement = { verdict: 'wait' };

/** A settlement states what was seen afterwards, not that the request caused it. */
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
 * Only the marker counts: nothing is ever revoked because it looks alike. Absence proves something only if the list is
 * complete and shows that PipeOps still returns names as we sent them: it is empty, or carries another marker of ours.
 */
export function judgeCreate(row: AuditEventRow, list: TokenList, nowMs: number): Judgement {
  const minted = list.tokens.find((token) => row.marker !== null && markerOf(token.name) === row.marker);
  if (minted !== undefined) {
    const outcome = settledAs('undelivered', {}, minted.id);
    return minted.isRevoked ? { verdict: 'settle', outcome } : { verdict: 'revoke', tokenId: minted.id, outcome };
  }
  const namesAreReturned = list.tokens.length === 0 || list.tokens.some((token) => markerOf(token.name) !== null);
  if (list.complete && namesAreReturned) return { verdict: 'settle', outcome: settledAs('not_applied') };
  return giveUp(row, nowMs, candidates(row, list));
}

/**
 * Judges an open revoke by reading the token back; null where PipeOps no longer has it. One by `system` is a compensating
 * revoke, which nobody will repeat: it is driven to its end.
 */
export function judgeRevoke(row: AuditEventRow, token: UpstreamToken | null): Judgement {
  const gone = token === null || token.isRevoked;
  if (!gone && row.actor_type === 'system') return { verdict: 'revoke', tokenId: token.id, outcome: settledAs(null) };
  return { verdict: 'settle', outcome: settledAs(gone ? null : 'not_applied') };
}

/**
 * Judges an open update by reading the token back. A field that PipeOps leaves out proves nothing, so the row waits.
 *
 * @param descriptionSha256 the digest of what its description says now; null if it is left out.
 */
export function judgeUpdate(
  row: AuditEventRow,
  token: UpstreamToken | null,
  descriptionSha256: string | null,
  nowMs: number,
): Judgement {
  if (token === null) return { verdict: 'settle', outcome: settledAs('not_applied') };
  const asked = parseStored(row.detail);
  const isWanted = [
    asked['name'] === undefined || row.token_name === stripMarker(token.name),
    asked['scopes'] === undefined || sameSet(asked['scopes'], token.scopes),
    asked['is_active'] === undefined || token.isActive === null || asked['is_active'] === token.isActive,
    descriptionSha256 === null || (asked['description_sha256'] ?? descriptionSha256) === descriptionSha256,
  ];
  if (!isWanted.every(Boolean)) return { verdict: 'settle', outcome: settledAs('not_applied') };
  const isSilent =
    (asked['is_active'] !== undefined && token.isActive === null) ||
    (asked['description_sha256'] !== undefined && descriptionSha256 === null);
  return isSilent ? giveUp(row, nowMs) : { verdict: 'settle', outcome: settledAs(null) };
}

/** Waits for a better answer, and after a day leaves the row to a person. */
export function giveUp(row: AuditEventRow, nowMs: number, candidateIds: readonly string[] = []): Judgement {
  if (nowMs - row.occurred_at < RECONCILE_GIVE_UP_SECONDS * 1000) return WAIT;
  const detail = candidateIds.length > 0 ? { candidates: candidateIds } : {};
  return { verdict: 'settle', outcome: settledAs('outcome_unknown', detail) };
}

/** Tokens of the same name, as many as the row has room for: for a person to look at. */
function candidates(row: AuditEventRow, list: TokenList): readonly string[] {
  const alike = list.tokens.filter((token) => !token.isRevoked && stripMarker(token.name) === row.token_name);
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
