import { and, eq, isNotNull, sql, type SQL } from 'drizzle-orm';
import { compiled } from '../db/compiled.ts';
import type { Database } from '../db/database.ts';
import { selectedRow } from '../db/insert-select.ts';
import { tokens, type TokenRow } from '../db/schema.ts';
import type { KnownToken } from '../policy/types.ts';
import type { TokenRef } from '../pipeops/types.ts';

// Queries on our table of tokens and their owners. They are built here and sent by whoever has a batch to put them in.

export const isToken = (ref: TokenRef): SQL | undefined =>
  and(eq(tokens.workspace_uuid, ref.workspaceUuid), eq(tokens.token_id, ref.tokenId));

/** The row of one token, in the workspace that it is asked for in and no other. */
export const selectToken = (database: Database, { workspaceUuid, tokenId }: TokenRef) =>
  SELECT_TOKEN(database, { workspaceUuid, tokenId });

const SELECT_TOKEN = compiled(({ build }) =>
  build
    .select()
    .from(tokens)
    .where(
      and(eq(tokens.workspace_uuid, sql.placeholder('workspaceUuid')), eq(tokens.token_id, sql.placeholder('tokenId'))),
    ),
);

/** All rows of a workspace, for lists. */
export const selectWorkspace = ({ build }: Database, workspaceUuid: string) =>
  build.select().from(tokens).where(eq(tokens.workspace_uuid, workspaceUuid));

/** Enters a token, once, where `guard` holds. */
export const insertToken = ({ build }: Database, row: TokenRow, guard: SQL) =>
  build
    .insert(tokens)
    .select(sql`select ${selectedRow(tokens, row)} where ${guard}`)
    .onConflictDoNothing();

/** Notes that a token is gone, where `guard` holds. The first such time stays. */
export const markRevoked = ({ build }: Database, ref: TokenRef, nowMs: number, guard: SQL) =>
  build
    .update(tokens)
    .set({ revoked_at: sql`coalesce(${tokens.revoked_at}, ${nowMs})` })
    .where(and(isToken(ref), guard));

/** Forgets that a webhook suspended a token, where `guard` holds: somebody who may has resumed it. */
export const clearSuspension = ({ build }: Database, ref: TokenRef, guard: SQL) =>
  build
    .update(tokens)
    .set({ suspended_by: null })
    .where(and(isToken(ref), isNotNull(tokens.suspended_by), guard));

/** What a decision needs to know of an inventory row. */
export const knownToken = (row: TokenRow): KnownToken => ({
  tokenId: row.token_id,
  workspaceUuid: row.workspace_uuid,
  owner:
    row.owner_issuer === null || row.owner_subject === null
      ? null
      : { issuer: row.owner_issuer, subject: row.owner_subject },
  suspended: row.suspended_by !== null,
});
