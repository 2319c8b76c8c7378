import { and, eq, sql, type SQL } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { tokens, type TokenRow } from '../db/schema.ts';
import type { KnownToken } from '../policy/types.ts';
import type { TokenRef } from '../pipeops/types.ts';

// Queries on our table of tokens and their owners. They are built here and sent by whoever has a batch to put them in.

export const isToken = (ref: TokenRef): SQL | undefined =>
  and(eq(tokens.workspace_uuid, ref.workspaceUuid), eq(tokens.token_id, ref.tokenId));

/** The row of one token, in the workspace that it is asked for in and no other. */
export const selectToken = ({ build }: Database, ref: TokenRef) => build.select().from(tokens).where(isToken(ref));

/** All rows of a workspace, for lists. */
export const selectWorkspace = ({ build }: Database, workspaceUuid: string) =>
  build.select().from(tokens).where(eq(tokens.workspace_uuid, workspaceUuid));

/** Enters a token, once, where `guard` holds. */
export function insertToken({ build }: Database, row: TokenRow, guard: SQL) {
  const { workspace_uuid, token_id, owner_issuer, owner_subject, marker, create_event_id, ...times } = row;
  return build
    .insert(tokens)
    .select(
      sql`select ${workspace_uuid}, ${token_id}, ${owner_issuer}, ${owner_subject}, ${marker}, ${create_event_id}, ${times.created_at}, ${times.expires_at}, ${times.revoked_at} where ${guard}`,
    )
    .onConflictDoNothing();
}

/** Notes that a token is gone, where `guard` holds. The first such time stays. */
export const markRevoked = ({ build }: Database, ref: TokenRef, nowMs: number, guard: SQL) =>
  build
    .update(tokens)
    .set({ revoked_at: sql`coalesce(${tokens.revoked_at}, ${nowMs})` })
    .where(and(isToken(ref), guard));

/** What a decision needs to know of an inventory row. */
export const knownToken = (row: TokenRow): KnownToken => ({
  tokenId: row.token_id,
  workspaceUuid: row.workspace_uuid,
  owner:
    row.owner_issuer === null || row.owner_subject === null
      ? null
      : { issuer: row.owner_issuer, subject: row.owner_subject },
});
