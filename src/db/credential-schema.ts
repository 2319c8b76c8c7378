import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { CREDENTIAL_LOSSES, ERROR_CODES } from '../vocabulary.ts';

/**
 * The chains of renewed admin credentials: each configured refresh token begins one, and each renewal makes its next link. A row is
 * never deleted, since it says that its configured token is spent.
 */
export const credentialChains = sqliteTable('credential_chains', {
  /** The digest of the configured refresh token that the chain descends from. */
  chain: text().primaryKey(),
  /** How often it was renewed. At 0 the configured tokens are the current ones. */
  counter: integer().notNull(),
  /** The current tokens as a JWE, which D1 alone cannot open; null at 0, and once another chain has taken over. */
  sealed: text(),
  /** When the current access token was asked for; null at 0. */
  issued_at: integer(),
  /** When it ends; null at 0, and where nobody says. */
  expires_at: integer(),
  /** The id, in the trail, of an exchange that is under way or whose outcome is unknown. Null: the refresh token may be presented. */
  attempt_id: text(),
  /** When the refresh token was last presented. */
  tried_at: integer(),
  /** The digest of the PipeOps and the client that it was presented with. PipeOps' refusal counts for these alone. */
  client: text().notNull(),
  /** Until when the exchange `attempt_id` may be under way. */
  lease_until: integer(),
  /** Why the last exchange failed; null if it did not. */
  failed: text({ enum: ERROR_CODES }),
  /** Why it cannot go on by itself; null if it can. */
  lost: text({ enum: CREDENTIAL_LOSSES }),
  lost_at: integer(),
});

export type ChainRow = typeof credentialChains.$inferSelect;
