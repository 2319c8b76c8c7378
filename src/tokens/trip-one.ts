import type { SQL } from 'drizzle-orm';
import type { AttemptRoom } from '../audit/event-queries.ts';
import type { EventSubject } from '../audit/events.ts';
import type { TokenRow } from '../db/schema.ts';
import type { AuditFailure } from '../failures.ts';
import { claimKey } from '../idempotency/claims.ts';
import type { KeyedRequest } from '../idempotency/keyed-request.ts';
import type { Holder } from '../idempotency/replay.ts';
import type { Allowance } from '../pipeops/allowance.ts';
import { selectLimits } from '../pipeops/limits-table.ts';
import type { Purpose } from '../pipeops/quota-windows.ts';
import type { RequestContext } from '../request-context.ts';
import { ok, type Result } from '../result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { selectToken } from './inventory.ts';
import type { KeyedAttempt } from './refusal.ts';

/** What trip 1 found. */
export interface Beginning {
  /** Null: nothing was written, since the caller has no room for another row in this minute. */
  readonly attempt: KeyedAttempt | null;
  readonly blocked: boolean;
  readonly known: TokenRow | undefined;
  /** Another create that holds the key of this one. */
  readonly holder: Holder | null;
}

/** What trip 1 needs to know of a mutation. */
export interface BeginningTerms {
  readonly subject: EventSubject & { readonly workspaceUuid: string };
  readonly keyed: KeyedRequest | null;
  /** Of its row. */
  readonly eventId: string;
  readonly purpose: Purpose;
  /** How many calls are reserved; 0: those of an earlier trip 1 are there. */
  readonly calls: number;
  readonly allowance: Allowance;
}

/**
 * Trip 1: the attempt, with the token that it is about or with the claim of its key, what others know of the quota, and the calls
 * that it makes, which are reserved. Whatever else it writes beside the row stands or falls with that.
 *
 * @param room see `Recorder.attempt`.
 */
export async function begin(
  { recorder, database, runtime, quota }: TokenDependencies,
  context: RequestContext,
  { subject, keyed, eventId, purpose, calls, allowance }: BeginningTerms,
  room: AttemptRoom,
): Promise<Result<Beginning, AuditFailure>> {
  const { workspaceUuid, tokenId } = subject;
  const nowMs = runtime.now();
  const limits = selectLimits(database, nowMs, workspaceUuid);
  const asked = tokenId === null ? calls : { calls, token: { workspaceUuid, tokenId } };
  const reservation = quota.reserve(database, purpose, asked, nowMs);
  if (keyed === null) {
    const token = tokenId === null ? [] : [selectToken(database, { workspaceUuid, tokenId })];
    const reads = [limits, ...reservation.queries, ...token] as const;
    const begun = await recorder.attempt(context, subject, () => reads, { room, eventId });
    if (!begun.ok) return begun;
    const { attempt, rows, blocked } = begun.value;
    quota.learn(rows[0], runtime.now());
    const known = rows[3]?.[0];
    allowance.add(reservation.grant(rows[1], { isKnown: tokenId === null || known !== undefined }));
    return ok({ attempt: attempt && { ...attempt, keyed }, blocked, known, holder: null });
  }
  const writes = (guard: SQL) =>
    [...claimKey(database, keyed, eventId, nowMs, guard), limits, ...reservation.queries] as const;
  const begun = await recorder.attempt(context, subject, writes, { room, eventId });
  if (!begun.ok) return begun;
  const { attempt, rows, blocked } = begun.value;
  quota.learn(rows[3], runtime.now());
  allowance.add(reservation.grant(rows[4]));
  const holder = rows[2].find(({ event_id: heldBy }) => heldBy !== eventId) ?? null;
  return ok({ attempt: attempt && { ...attempt, keyed }, blocked, known: undefined, holder });
}
