import type { SQL } from 'drizzle-orm';
import type { AttemptRoom } from '../trail/statements.ts';
import type { EventSubject } from '../trail/event.ts';
import type { TokenRow } from '../db/schema.ts';
import type { AuditFailure } from '../failures.ts';
import { claimKey, type Holder } from '../idempotency/keys.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import { heldBeside, type Reservation, reserveToken } from '../inventory/token-counts.ts';
import type { CallBucket, ReservedCalls } from '../pipeops/quota-calls.ts';
import { type QuotaNews, selectQuotaNews } from '../pipeops/quota-news.ts';
import type { Purpose } from '../pipeops/quota-windows.ts';
import type { RequestContext } from '../kit/trace.ts';
import { ok, type Result } from '../kit/result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { selectToken } from '../inventory/inventory.ts';
import type { KeyedAttempt } from './refusal.ts';

/** What trip 1 found. */
export interface Beginning {
  /** Null: nothing was written, since the caller has no room for another row in this minute. */
  readonly attempt: KeyedAttempt | null;
  readonly blocked: boolean;
  readonly known: TokenRow | undefined;
  /** Another create that holds the key of this one. */
  readonly holder: Holder | null;
  /** How many tokens the caller holds beside the one that is reserved; infinitely many where none could be. */
  readonly heldTokens: number;
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
  readonly reserved: ReservedCalls;
  /** Of a create that policy may allow. */
  readonly reserves: Pick<Reservation, 'owner' | 'limit'> | null;
}

/**
 * Trip 1: the attempt, with the token that it is about, or with the claim of its key and the token that it reserves, what others know
 * of the quota, and the calls that it makes, which are reserved. Whatever else it writes beside the row stands or falls with that.
 *
 * @param room see `Recorder.attempt`.
 */
export async function begin(
  { recorder, database, runtime, quota }: TokenDependencies,
  context: RequestContext,
  { subject, keyed, eventId, purpose, calls, reserved, reserves }: BeginningTerms,
  room: AttemptRoom,
): Promise<Result<Beginning, AuditFailure>> {
  const { workspaceUuid, tokenId } = subject;
  const nowMs = runtime.now();
  const asked = tokenId === null ? calls : { calls, token: { workspaceUuid, tokenId } };
  const reservation = quota.reserve(database, purpose, asked, nowMs);
  const known = [selectQuotaNews(database, nowMs, workspaceUuid), ...reservation.queries] as const;
  const hear = (told: readonly QuotaNews[], buckets: readonly CallBucket[], isKnown = true): void => {
    quota.learn(told, runtime.now());
    reserved.add(reservation.grant(buckets, { isKnown }));
  };
  if (tokenId !== null) {
    const reads = [...known, selectToken(database, { workspaceUuid, tokenId })] as const;
    const begun = await recorder.attempt(context, subject, () => reads, { room, eventId });
    if (!begun.ok) return begun;
    const { attempt, rows, blocked } = begun.value;
    const [told, buckets, , [token]] = rows;
    hear(told, buckets, token !== undefined);
    return ok({ attempt: attempt && { ...attempt, keyed }, blocked, known: token, holder: null, heldTokens: Infinity });
  }
  const reserve = (guard: SQL): ReturnType<typeof reserveToken> =>
    reserves === null
      ? []
      : reserveToken(database, { ...reserves, eventId, keyHash: keyed?.keyHash ?? null, guard, nowMs });
  if (keyed === null) {
    const writes = (guard: SQL) => [...known, ...reserve(guard)] as const;
    const begun = await recorder.attempt(context, subject, writes, { room, eventId });
    if (!begun.ok) return begun;
    const { attempt, rows, blocked } = begun.value;
    const [told, buckets, , ...held] = rows;
    hear(told, buckets);
    const heldTokens = heldBeside(held, attempt !== null);
    return ok({ attempt: attempt && { ...attempt, keyed }, blocked, known: undefined, holder: null, heldTokens });
  }
  const writes = (guard: SQL) =>
    [...known, ...claimKey(database, keyed, eventId, nowMs, guard), ...reserve(guard)] as const;
  const begun = await recorder.attempt(context, subject, writes, { room, eventId });
  if (!begun.ok) return begun;
  const { attempt, rows, blocked } = begun.value;
  const [told, buckets, , , , holders, ...held] = rows;
  hear(told, buckets);
  const holder = holders.find(({ event_id: heldBy }) => heldBy !== eventId) ?? null;
  const heldTokens = heldBeside(held, attempt !== null);
  return ok({ attempt: attempt && { ...attempt, keyed }, blocked, known: undefined, holder, heldTokens });
}
