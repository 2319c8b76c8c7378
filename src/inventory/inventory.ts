import { and, eq, isNotNull, isNull, sql, type SQL } from 'drizzle-orm';
import * as z from 'zod';
import type { Database } from '../db/database.ts';
import { compiled, selectedRow } from '../db/sql.ts';
import { tokens, type TokenRow } from '../db/schema.ts';
import { parseJson } from '../kit/json.ts';
import type { KnownToken } from '../policy/types.ts';
import type { TokenRef } from '../pipeops/types.ts';
import { SUSPENSION_REASONS, type SuspensionReason, type TokenEnd } from '../vocabulary.ts';

// The inventory: our table of tokens and their owners. Its queries are made here, and sent by whoever has a batch for them.

export const isToken = (ref: TokenRef): SQL | undefined =>
  and(eq(tokens.workspace_uuid, ref.workspaceUuid), eq(tokens.token_id, ref.tokenId));

/** Selects the row of a token in this workspace, and in no other. */
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

/**
 * Enters a token that was minted here, where `guard` holds. A list that fell into its create may have shown it without its marker, so
 * that it was adopted without an owner: then its create takes it over.
 */
export const insertToken = ({ build }: Database, row: typeof tokens.$inferInsert, guard: SQL) =>
  build
    .insert(tokens)
    .select(sql`select ${selectedRow(tokens, row)} where ${guard}`)
    .onConflictDoUpdate({
      target: [tokens.workspace_uuid, tokens.token_id],
      set: {
        owner_issuer: row.owner_issuer,
        owner_subject: row.owner_subject,
        owner_label: row.owner_label,
        owner_mac: row.owner_mac,
        marker: row.marker,
        create_event_id: row.create_event_id,
        created_at: row.created_at,
        expires_at: row.expires_at,
        token_prefix: row.token_prefix,
        fingerprint: row.fingerprint,
        fingerprint_key_id: row.fingerprint_key_id,
        unseen_at: null,
        name: row.name,
        scopes: row.scopes,
        lifetime_seconds: row.lifetime_seconds,
        role: row.role,
        policy_version: row.policy_version,
        replaces: row.replaces,
        expiry_notice_at: row.expiry_notice_at,
      },
      setWhere: isNull(tokens.owner_issuer),
    });

/**
 * Notes that a token has ended, and how that is known, where `guard` holds. An end that proves nothing gives way to one that proves it,
 * and to a revoke that PipeOps acknowledged, which is looked at from then on. The first time of each stays.
 */
export const markRevoked = (
  { build }: Database,
  ref: TokenRef,
  nowMs: number,
  guard: SQL,
  end: TokenEnd = 'acknowledged',
) =>
  build
    .update(tokens)
    .set(
      end === 'acknowledged'
        ? {
            revoked_at: sql`iif(${tokens.ended_by} is ${end}, ${tokens.revoked_at}, ${nowMs})`,
            ended_by: end,
            unseen_at: null,
          }
        : {
            revoked_at: sql`coalesce(${tokens.revoked_at}, ${nowMs})`,
            ended_by: sql`iif(${tokens.ended_by} in ('acknowledged', 'absent'), ${tokens.ended_by}, ${end})`,
            unseen_at: null,
          },
    )
    .where(and(isToken(ref), guard));

/** The reasons as a JSON list. An earlier version of this service wrote the id of a webhook's delivery there. */
const REASONS_LIST = sql`case when json_valid(${tokens.suspended_by}) then ${tokens.suspended_by} else json_array('offboarding') end`;

/** Notes one more reason why the tokens that `where` names are suspended, where `guard` holds. */
export const addSuspension = ({ build }: Pick<Database, 'build'>, where: SQL, reason: SuspensionReason, guard: SQL) =>
  build
    .update(tokens)
    .set({
      suspended_by: sql`case
        when ${tokens.suspended_by} is null then json_array(${reason})
        when exists (select 1 from json_each(${REASONS_LIST}) where value = ${reason}) then ${REASONS_LIST}
        else json_insert(${REASONS_LIST}, '$[#]', ${reason}) end`,
    })
    .where(and(where, guard));

/** Takes reasons away, where `guard` holds. A token with no reason left is not suspended: its column is null. */
export const liftSuspensions = (
  { build }: Pick<Database, 'build'>,
  ref: TokenRef,
  reasons: readonly SuspensionReason[],
  guard: SQL,
) =>
  build
    .update(tokens)
    .set({
      suspended_by: sql`(select nullif(json_group_array(value), '[]') from json_each(${REASONS_LIST})
        where value not in (select value from json_each(${JSON.stringify(reasons)})))`,
    })
    .where(and(isToken(ref), isNotNull(tokens.suspended_by), guard));

/** The reasons why a token is suspended. One that this version does not know counts as one that only a role over any token lifts. */
export const suspensionReasons = ({ suspended_by }: Pick<TokenRow, 'suspended_by'>): readonly SuspensionReason[] =>
  suspended_by === null ? [] : REASONS.parse(parseJson(suspended_by));

const REASONS = z.array(z.enum(SUSPENSION_REASONS).catch('offboarding')).catch(['offboarding']);

/** The condition that a token is suspended for a reason that is none of these. */
export const isSuspendedBeyond = (ref: TokenRef, reasons: readonly SuspensionReason[]): SQL =>
  sql`exists (select 1 from ${tokens} as t,
      json_each(iif(json_valid(coalesce(t.suspended_by, '[]')), coalesce(t.suspended_by, '[]'), '["offboarding"]')) as r
    where t.workspace_uuid = ${ref.workspaceUuid} and t.token_id = ${ref.tokenId}
      and r.value not in (select value from json_each(${JSON.stringify(reasons)})))`;

/** What a decision needs to know of an inventory row. */
export const knownToken = (
  row: Pick<TokenRow, 'token_id' | 'workspace_uuid' | 'owner_issuer' | 'owner_subject' | 'suspended_by'>,
): KnownToken => ({
  tokenId: row.token_id,
  workspaceUuid: row.workspace_uuid,
  owner:
    row.owner_issuer === null || row.owner_subject === null
      ? null
      : { issuer: row.owner_issuer, subject: row.owner_subject },
  suspendedBy: suspensionReasons(row),
});
