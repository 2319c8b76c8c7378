import { and, eq, isNull, ne, or, sql, type SQL } from 'drizzle-orm';
import { CREDENTIAL_LEASE_MS } from '../config/credential-limits.ts';
import type { Database, Query } from '../db/database.ts';
import { type ChainRow, credentialChains } from '../db/credential-schema.ts';
import type { CredentialLoss, ErrorCode } from '../vocabulary.ts';
import type { AccessSpan } from './chain.ts';
import type { Configured } from './sealing.ts';

// The statements about the chains of credentials. Each that writes says in its WHERE what it was decided on, so that of two isolates
// one wins, and so that its batch may be sent again when its answer is lost.

export const selectChain = ({ build }: Database, { chain }: Configured) =>
  build.select().from(credentialChains).where(eq(credentialChains.chain, chain));

/**
 * Claims the refresh token of a chain for one exchange, and gives a row if it did. It takes nothing that another isolate has claimed,
 * or that has changed since `seen` was read.
 *
 * @param seen the chain as it was decided on; null: it had no row.
 */
export function claimChain(
  { build }: Database,
  configured: Configured,
  seen: ChainRow | null,
  eventId: string,
  nowMs: number,
) {
  const claim = {
    client: configured.client,
    attempt_id: eventId,
    tried_at: nowMs,
    lease_until: nowMs + CREDENTIAL_LEASE_MS,
    lost: null,
    lost_at: null,
  };
  const returned = { chain: credentialChains.chain };
  if (seen === null) {
    const first = { ...claim, chain: configured.chain, counter: 0 };
    return build.insert(credentialChains).values(first).onConflictDoNothing().returning(returned);
  }
  return build.update(credentialChains).set(claim).where(isAs(seen)).returning(returned);
}

/** Whether a chain is as it was seen, in everything that a decision rests on. */
const isAs = (seen: ChainRow): SQL | undefined => {
  const { chain, counter, attempt_id, tried_at, lost } = credentialChains;
  return and(
    eq(chain, seen.chain),
    eq(counter, seen.counter),
    sql`${attempt_id} is ${seen.attempt_id} and ${tried_at} is ${seen.tried_at} and ${lost} is ${seen.lost}`,
  );
};

/** Whether an exchange has the claim, as a condition of a batch. */
export const isClaimed = (eventId: string): SQL =>
  sql`exists (select 1 from ${credentialChains} as c where c.attempt_id = ${eventId})`;

const hasClaim = (eventId: string): SQL => eq(credentialChains.attempt_id, eventId);

/** Gives back a claim under which nothing was sent. */
export const releaseClaim = ({ build }: Database, seen: ChainRow | null, eventId: string): Query =>
  build
    .update(credentialChains)
    .set({ attempt_id: seen?.attempt_id ?? null, lost: seen?.lost ?? null, lost_at: seen?.lost_at ?? null })
    .where(hasClaim(eventId));

/** Adds the next link to a chain. */
export const storeLink = (
  { build }: Database,
  eventId: string,
  { sealed, counter, span }: { readonly sealed: string; readonly counter: number; readonly span: AccessSpan },
): Query =>
  build
    .update(credentialChains)
    .set({
      counter,
      sealed,
      issued_at: span.issuedAtMs,
      expires_at: span.expiresAtMs,
      attempt_id: null,
      failed: null,
      lost: null,
      lost_at: null,
    })
    .where(hasClaim(eventId));

/** Whether this very link is in D1, as a condition of a batch. */
export const isStored = (sealed: string): SQL =>
  sql`exists (select 1 from ${credentialChains} as c where c.sealed = ${sealed})`;

/** Erases the tokens of every other chain, where `guard` holds: their session is over, or of no use any more. */
export const eraseOthers = ({ build }: Database, { chain }: Configured, nowMs: number, guard: SQL): Query =>
  build
    .update(credentialChains)
    .set({ sealed: null, attempt_id: null, lost: sql`'replaced'`, lost_at: nowMs })
    .where(
      and(
        ne(credentialChains.chain, chain),
        or(isNull(credentialChains.lost), ne(credentialChains.lost, sql`'replaced'`)),
        guard,
      ),
    );

/**
 * Notes an exchange that gave nothing.
 *
 * @param lost why the chain cannot go on; null: the refresh token may be presented again.
 */
export const noteFailure = (
  { build }: Database,
  eventId: string,
  failed: ErrorCode,
  lost: CredentialLoss | null,
  nowMs: number,
): Query =>
  build
    .update(credentialChains)
    .set({
      failed,
      lost,
      lost_at: lost === null ? null : nowMs,
      // The event whose outcome is unknown stays named.
      ...(lost !== 'outcome_unknown' && { attempt_id: null }),
    })
    .where(and(hasClaim(eventId), isNull(credentialChains.lost)));

/** Notes that D1 holds an older link than an isolate has seen: what it holds is spent. */
export function noteRolledBack(
  { build }: Database,
  { chain, client }: Configured,
  seenCounter: number,
  nowMs: number,
): Query {
  const lost = { lost: 'rolled_back', lost_at: nowMs, attempt_id: null } as const;
  return build
    .insert(credentialChains)
    .values({ chain, client, counter: 0, ...lost })
    .onConflictDoUpdate({
      target: credentialChains.chain,
      set: lost,
      setWhere: sql`${credentialChains.counter} < ${seenCounter} and ${credentialChains.lost} is not 'replaced'`,
    });
}
