import { sql, type SQL } from 'drizzle-orm';
import { COUNT_TOKENS_AGAIN_AFTER_MS, STATUS_OWNERS_MAX_COUNT } from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { openCreates, tokenCounts } from '../db/schema.ts';

// How many live tokens an owner has. Triggers keep the count (`drizzle/0008_token_counts.sql`). Here it is read, corrected for what has
// expired since, and compared with a limit. Whoever has a batch for these queries sends them.

/** An owner of tokens, in all workspaces: issuer and subject together. */
export interface Owner {
  readonly issuer: string;
  readonly subject: string;
}

/** The limits of a create. */
export interface TokenLimit {
  /** The most live tokens under which any role of the caller allows this create. */
  readonly here: number;
  /** The most under which any role of the caller allows some create: what `/status` holds the count against. */
  readonly anywhere: number;
}

/** A token that is reserved. */
export interface Reservation {
  readonly owner: Owner;
  readonly limit: TokenLimit;
  /** The audit event of the create, whose row is committed in the same batch. */
  readonly eventId: string;
  /** The hash of the idempotency key that the batch has claimed before; null: none. A create whose key another one holds mints nothing. */
  readonly keyHash: string | null;
  /** The condition under which the token is reserved. */
  readonly guard: SQL;
  readonly nowMs: number;
}

/** The row that the last query of `reserveToken` gives. */
interface HeldRow {
  /** Tokens that the owner has beside the one that is reserved, its other creates under way included. */
  readonly held: number;
  /** 1: the token is reserved. */
  readonly reserved: number;
}

const isOwner = ({ issuer, subject }: Owner): SQL => sql`owner_issuer = ${issuer} and owner_subject = ${subject}`;
const openOf = (owner: Owner): SQL => sql`(select count(*) from open_creates where ${isOwner(owner)})`;
const liveOf = (owner: Owner): SQL => sql`coalesce((select live from token_counts where ${isOwner(owner)}), 0)`;

/** Counts the tokens of an owner, `t`, that are not known to have ended and that fit a condition. It reads `tokens_owner_live` alone. */
const countTokens = (issuer: SQL, subject: SQL, condition: SQL): SQL =>
  sql`(select count(*) from tokens as t where t.owner_issuer = ${issuer} and t.owner_subject = ${subject}
    and t.revoked_at is null and ${condition})`;

/** How many tokens a row of `token_counts` counts too many; below 0: too few, since a clock ran ahead when they were counted. */
const sinceCounted = (nowMs: number): SQL => {
  const between = (from: SQL, to: SQL): SQL =>
    countTokens(
      sql.raw('token_counts.owner_issuer'),
      sql.raw('token_counts.owner_subject'),
      sql`t.expires_at > ${from} and t.expires_at <= ${to}`,
    );
  const [now, counted] = [sql`${nowMs}`, sql.raw('token_counts.counted_at')];
  return sql`${between(counted, now)} - ${between(now, counted)}`;
};

/**
 * Reserves a token for a create, in the batch that commits its row, where its owner has fewer than the limit. D1 runs one batch after
 * the other, so of two creates at once the second counts the first. A trigger gives the reservation back when the row is settled.
 *
 * At the limit the live tokens are counted, and the count is corrected before it decides. Above four fifths of the limit that is done
 * every COUNT_TOKENS_AGAIN_AFTER_MS, so that `/status` names nobody for tokens that have expired.
 */
export function reserveToken(
  { build }: Database,
  { owner, limit, eventId, keyHash, guard, nowMs }: Reservation,
): readonly (Query | Query<HeldRow[]>)[] {
  const { issuer, subject } = owner;
  const held = sql`${liveOf(owner)} + ${openOf(owner)}`;
  const heldByRow = sql`token_counts.live + ${openOf(owner)}`;
  const own = (condition: SQL): SQL => countTokens(sql`${issuer}`, sql`${subject}`, condition);
  const hasExpired = sql`exists (select 1 from tokens as t where t.owner_issuer = ${issuer} and t.owner_subject = ${subject}
    and t.revoked_at is null and t.expires_at > token_counts.counted_at and t.expires_at <= ${nowMs})`;
  const isOld = sql`counted_at <= ${nowMs - COUNT_TOKENS_AGAIN_AFTER_MS}`;
  const isAnothers = sql`exists (select 1 from idempotency_keys where key_hash = ${keyHash} and event_id <> ${eventId})`;
  const isReserved = sql`exists (select 1 from open_creates where ${isOwner(owner)} and event_id = ${eventId})`;
  return [
    build
      .insert(tokenCounts)
      .values({
        owner_issuer: issuer,
        owner_subject: subject,
        live: 0,
        counted_at: 0,
        max_tokens: limit.anywhere,
      })
      .onConflictDoUpdate({
        target: [tokenCounts.owner_issuer, tokenCounts.owner_subject],
        set: { max_tokens: sql`excluded.max_tokens` },
        setWhere: sql`${tokenCounts.max_tokens} is not excluded.max_tokens`,
      }),
    build
      .update(tokenCounts)
      .set({
        live: sql`${own(sql`t.expires_at is null`)} + ${own(sql`t.expires_at > ${nowMs}`)}`,
        counted_at: nowMs,
      })
      .where(
        sql`${isOwner(owner)} and (counted_at > ${nowMs} or ((${heldByRow}) * 5 > ${limit.here} * 4 and ${isOld})
          or (${heldByRow} >= ${limit.here} and ${hasExpired}))`,
      ),
    build
      .insert(openCreates)
      .select(
        sql`select ${issuer}, ${subject}, ${eventId} where ${held} < ${limit.here} and not ${isAnothers} and ${guard}`,
      ),
    build
      .select({
        held: sql<number>`${held} - ${isReserved}`.as('held'),
        reserved: sql<number>`${isReserved}`.as('reserved'),
      })
      .from(sql`(select 1)`),
  ];
}

/**
 * Reads from the rows of `reserveToken` how many tokens the owner has beside the one that is reserved. Where none could be reserved, no
 * number is few enough, whatever roles the owner has by now.
 *
 * @param isWritten whether the create has its row. Without one nothing is reserved yet.
 */
export function tokensBeside(rows: readonly (readonly HeldRow[])[], isWritten: boolean): number {
  const row = rows.at(-1)?.[0];
  if (row === undefined) return Infinity;
  return row.reserved === 1 || !isWritten ? row.held : Infinity;
}

/** Selects what the limits of an owner's roles are compared with: its live tokens and its creates under way, in one row. */
export const selectHeld = ({ build }: Database, owner: Owner, nowMs: number) =>
  build
    .select({
      held: sql<number>`coalesce((select live - (${sinceCounted(nowMs)}) from token_counts where ${isOwner(owner)}), 0)
        + ${openOf(owner)}`.as('held'),
    })
    .from(sql`(select 1)`);

/**
 * Selects the owners whose live tokens are above four fifths of what their roles allow, the most first, and one owner more than are to be
 * shown. An owner whose tokens have expired since they were counted is among them: see `presentNearLimit`.
 */
export const selectNearLimit = ({ build }: Database, nowMs: number) =>
  build
    .select({
      owner_issuer: tokenCounts.owner_issuer,
      owner_subject: tokenCounts.owner_subject,
      max_tokens: sql<number>`max_tokens`.as('max_tokens'),
      live: sql<number>`live - (${sinceCounted(nowMs)})`.as('live'),
    })
    .from(tokenCounts)
    .where(sql`${tokenCounts.live} * 5 > ${tokenCounts.max_tokens} * 4`)
    .orderBy(sql`token_counts.live desc`)
    .limit(STATUS_OWNERS_MAX_COUNT + 1);
