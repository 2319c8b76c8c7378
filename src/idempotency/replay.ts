import type { IdempotencyFailure } from '../failures.ts';
import { parseJson } from '../kit/json.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { RowsOf } from '../db/database.ts';
import type { claimKey } from './keys.ts';
import type { KeyedRequest, KeptRequest } from './keyed-request.ts';

/** The create that holds a key, as trip 1 of another found it. */
export type Holder = RowsOf<ReturnType<typeof claimKey>[2]>[number];

/**
 * The answer of the create that holds the key of this request, to be given once more.
 *
 * Errors, each with the holder's event id: `idempotency_key_reused` if it was another request; `idempotency_in_flight` while
 * its outcome is not known; `idempotency_token_gone` once its token is revoked, expired or suspended, as far as this service
 * knows; `idempotency_no_replay` where its answer is not kept or cannot be opened.
 */
export async function replayOf(
  request: KeyedRequest,
  holder: Holder,
  nowMs: number,
): Promise<Result<unknown, IdempotencyFailure>> {
  const refused = (kind: IdempotencyFailure['kind']) => err({ kind, heldBy: holder.event_id });
  const kept = keptAs(request, holder);
  if (holder.request_fingerprint !== kept.fingerprint) return refused('idempotency_key_reused');
  if (holder.status === 'attempted') return refused('idempotency_in_flight');
  if (holder.status === 'success' && !isLive(holder, nowMs)) return refused('idempotency_token_gone');
  const answer = holder.status === 'success' && holder.sealed !== null ? await kept.unseal(holder.sealed) : null;
  return answer === null ? refused('idempotency_no_replay') : ok(parseJson(answer));
}

/** The form of a request under which its key is held: this version's, or that of an earlier one. */
const keptAs = (request: KeyedRequest, { key_hash: keyHash }: Holder): KeptRequest =>
  request.former?.keyHash === keyHash ? request.former : request;

/** As the inventory knows it. A token that is gone without this service is found by the next list. */
const isLive = ({ token_expires_at: expiresAtMs, revoked_at, suspended_by }: Holder, nowMs: number): boolean =>
  revoked_at === null && suspended_by === null && (expiresAtMs === null || expiresAtMs > nowMs);
