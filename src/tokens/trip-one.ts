import { sql, type SQL } from 'drizzle-orm';
import type { TokenRow } from '../db/schema.ts';
import type { AuditFailure, CallerBar } from '../failures.ts';
import { claimKey, type Holder } from '../idempotency/keys.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import { selectToken } from '../inventory/inventory.ts';
import { claimRotation, isClaimedBy, type RotatingRow, selectRotating } from '../inventory/rotation.ts';
import { type Owner, type Reservation, reserveToken, tokensBeside } from '../inventory/token-counts.ts';
import { ok, type Result } from '../kit/result.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { CallBucket, ReservedCalls } from '../pipeops/quota-calls.ts';
import { type QuotaNews, selectQuotaNews } from '../pipeops/quota-news.ts';
import type { Purpose } from '../pipeops/quota-windows.ts';
import type { TokenRef } from '../pipeops/types.ts';
import type { EventSubject } from '../trail/event.ts';
import type { Attempt } from '../trail/recorder.ts';
import type { AttemptRoom } from '../trail/statements.ts';
import type { TokenDependencies } from './dependencies.ts';

/** What trip 1 needs to know of a mutation. */
export interface AttemptTerms {
  readonly subject: EventSubject & { readonly workspaceUuid: string };
  /** A create's `Idempotency-Key`; null: none. */
  readonly keyed: KeyedRequest | null;
  /** How long the answer is kept under it. */
  readonly keepKeyMs: number;
  /** The token that is claimed for the create of its successor, which always has a key, and who asks for that; null: none. */
  readonly rotates: { readonly ref: TokenRef; readonly owner: Owner } | null;
  /** The id of the row. */
  readonly eventId: string;
  readonly purpose: Purpose;
  /** How many calls are reserved; 0: an earlier trip 1 has reserved them. */
  readonly calls: number;
  /** Takes the calls that are reserved. */
  readonly reserved: ReservedCalls;
  /** The token that is reserved for the owner of a create; null: none. */
  readonly reserves: Pick<Reservation, 'owner' | 'limit'> | null;
}

/** An attempt, and the idempotency key that its request came with; null: none. */
export interface KeyedAttempt extends Attempt {
  readonly keyed: KeyedRequest | null;
}

/** What trip 1 read and committed. */
export interface Beginning {
  /** Null: nothing was written, since the caller has no room for another row in this minute. */
  readonly attempt: KeyedAttempt | null;
  /** Why the caller is kept out; null if it is not. */
  readonly bar: CallerBar | null;
  /** The token's row in the inventory. */
  readonly known: TokenRow | undefined;
  /** Another create that holds the key of this one; null: none does. */
  readonly holder: Holder | null;
  /** How many tokens the caller has beside the one that is reserved; infinitely many where none could be reserved. */
  readonly heldTokens: number;
  /** The token that a create is to rotate, after it was claimed; null: the inventory has no such token, or it is no rotation. */
  readonly rotating: RotatingRow | null;
}

/**
 * Trip 1, one D1 batch: it commits the `attempted` row, reads the news of the quota and reserves the calls. Of an update or a revoke
 * it also reads the token; of a create it claims the key and reserves the token. Whatever it writes takes effect only with the row.
 *
 * @param room see `Recorder.attempt`.
 */
export async function recordAttempt(
  { recorder, database, runtime, quota, owners }: TokenDependencies,
  context: RequestContext,
  { subject, keyed, keepKeyMs, rotates, eventId, purpose, calls, reserved, reserves }: AttemptTerms,
  room: AttemptRoom,
): Promise<Result<Beginning, AuditFailure>> {
  const { workspaceUuid, tokenId } = subject;
  const nowMs = runtime.now();
  const asked = tokenId === null ? calls : { calls, token: { workspaceUuid, tokenId } };
  const reservation = quota.reserve(database, purpose, asked, nowMs);
  const quotaQueries = [selectQuotaNews(database, nowMs, workspaceUuid), ...reservation.queries] as const;
  const hear = (news: readonly QuotaNews[], buckets: readonly CallBucket[], isKnown = true): void => {
    quota.learn(news, runtime.now());
    reserved.add(reservation.grant(buckets, { isKnown }));
  };
  const withKey = (attempt: Attempt | null): KeyedAttempt | null => attempt && { ...attempt, keyed };

  if (tokenId !== null) {
    const queries = [...quotaQueries, selectToken(database, { workspaceUuid, tokenId })] as const;
    const begun = await recorder.attempt(context, subject, () => queries, { room, eventId });
    if (!begun.ok) return begun;
    const { attempt, rows, bar } = begun.value;
    const [news, buckets, , [row]] = rows;
    const known = row && owners.believed(row);
    hear(news, buckets, known !== undefined);
    return ok({ attempt: withKey(attempt), bar, known, holder: null, heldTokens: Infinity, rotating: null });
  }

  const reserveOwn = (guard: SQL): ReturnType<typeof reserveToken> =>
    reserves === null
      ? []
      : reserveToken(database, { ...reserves, eventId, keyHash: keyed?.keyHash ?? null, guard, nowMs });
  if (keyed === null) {
    const queries = (guard: SQL) => [...quotaQueries, ...reserveOwn(guard)] as const;
    const begun = await recorder.attempt(context, subject, queries, { room, eventId });
    if (!begun.ok) return begun;
    const { attempt, rows, bar } = begun.value;
    const [news, buckets, , ...counts] = rows;
    hear(news, buckets);
    const heldTokens = tokensBeside(counts, attempt !== null);
    return ok({ attempt: withKey(attempt), bar, known: undefined, holder: null, heldTokens, rotating: null });
  }

  const claims = (guard: SQL) => claimKey(database, keyed, eventId, nowMs, keepKeyMs, guard);
  if (rotates === null) {
    const queries = (guard: SQL) => [...quotaQueries, ...claims(guard), ...reserveOwn(guard)] as const;
    const begun = await recorder.attempt(context, subject, queries, { room, eventId });
    if (!begun.ok) return begun;
    const { attempt, rows, bar } = begun.value;
    const [news, buckets, , , , holders, ...counts] = rows;
    hear(news, buckets);
    const heldTokens = tokensBeside(counts, attempt !== null);
    const holder = holderIn(holders, eventId);
    return ok({ attempt: withKey(attempt), bar, known: undefined, holder, heldTokens, rotating: null });
  }

  const { ref, owner } = rotates;
  const queries = (guard: SQL) =>
    [
      ...quotaQueries,
      ...claims(guard),
      claimRotation(database, { ref, eventId, keyHash: keyed.keyHash, owner }, guard),
      selectRotating(database, ref),
      // Of a hundred at once one takes room: the others must not keep their owner from a create.
      ...reserveOwn(sql`${guard} and ${isClaimedBy(ref, eventId)}`),
    ] as const;
  const begun = await recorder.attempt(context, subject, queries, { room, eventId });
  if (!begun.ok) return begun;
  const { attempt, rows, bar } = begun.value;
  const [news, buckets, , , , holders, , [row = null], ...counts] = rows;
  const rotating = row && owners.believed(row);
  hear(news, buckets);
  const heldTokens = tokensBeside(counts, attempt !== null);
  const holder = holderIn(holders, eventId);
  return ok({ attempt: withKey(attempt), bar, known: undefined, holder, heldTokens, rotating });
}

const holderIn = (holders: readonly Holder[], eventId: string): Holder | null =>
  holders.find(({ event_id: heldBy }) => heldBy !== eventId) ?? null;
