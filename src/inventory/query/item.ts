import { sql, type SQL } from 'drizzle-orm';
import * as z from 'zod';
import type { TokenRow } from '../../db/schema.ts';
import { parseJson } from '../../kit/json.ts';
import { redact } from '../../kit/redaction.ts';
import { rfc3339OrNull } from '../../kit/time.ts';
import type { ListState, TokenState } from '../../vocabulary.ts';
import { suspensionReasons } from '../inventory.ts';
import { type UnusedAfter, usageOf } from '../usage.ts';

// A token of the inventory as its readers see it. Its state is here twice, for one token and as SQL for many; a test holds the two
// together.

type Stated = Pick<TokenRow, 'revoked_at' | 'expires_at' | 'suspended_by' | 'retires_at'>;

export function stateOf(token: Stated, nowMs: number): TokenState {
  if (token.revoked_at !== null) return 'revoked';
  if (token.expires_at !== null && token.expires_at <= nowMs) return 'expired';
  if (token.suspended_by !== null) return 'suspended';
  return token.retires_at === null ? 'active' : 'retiring';
}

/**
 * `stateOf` as SQL.
 *
 * @param name the name under which the statement reads `tokens`.
 */
export function stateSql(name: string, nowMs: number): SQL {
  const column = (of: keyof Stated): SQL => sql.raw(`${name}.${of}`);
  return sql`case when ${column('revoked_at')} is not null then 'revoked'
    when ${column('expires_at')} <= ${nowMs} then 'expired'
    when ${column('suspended_by')} is not null then 'suspended'
    when ${column('retires_at')} is not null then 'retiring' else 'active' end`;
}

/** The columns of a token that an item is made of. */
export const ITEM_COLUMNS = [
  'workspace_uuid',
  'token_id',
  'owner_issuer',
  'owner_subject',
  'owner_label',
  'owner_mac',
  'create_event_id',
  'created_at',
  'expires_at',
  'revoked_at',
  'token_prefix',
  'suspended_by',
  'name',
  'scopes',
  'role',
  'policy_version',
  'replaces',
  'replaced_by',
  'retires_at',
  'last_used_at',
  'usage_seen_at',
  'usage_doubted_at',
] as const satisfies readonly (keyof TokenRow)[];
export type ItemRow = Pick<TokenRow, (typeof ITEM_COLUMNS)[number]>;

/** @param advancedAtMs when a token of its workspace was last seen to have been used; null: never. */
export function presentItem(row: ItemRow, advancedAtMs: number | null, unusedAfter: UnusedAfter, nowMs: number) {
  return {
    id: row.token_id,
    uuid: row.token_id,
    workspace_uuid: row.workspace_uuid,
    name: row.name,
    token_prefix: row.token_prefix,
    scopes: row.scopes === null ? null : storedScopes.parse(parseJson(row.scopes)),
    owner:
      row.owner_issuer === null
        ? null
        : {
            issuer: row.owner_issuer,
            subject: row.owner_subject,
            label: row.owner_label === null ? null : redact(row.owner_label),
          },
    role: row.role,
    policy_version: row.policy_version,
    created_at: rfc3339OrNull(row.created_at),
    expires_at: rfc3339OrNull(row.expires_at),
    last_used_at: rfc3339OrNull(row.last_used_at),
    state: stateOf(row, nowMs),
    usage: usageOf(row, advancedAtMs, unusedAfter, nowMs),
    suspended_by: suspensionReasons(row),
    replaces: row.replaces,
    replaced_by: row.replaced_by,
    retires_at: rfc3339OrNull(row.retires_at),
    create_event_id: row.create_event_id,
  };
}
export type InventoryItem = ReturnType<typeof presentItem>;

const storedScopes = z.array(z.string()).catch([]);

/** What is known of PipeOps about a workspace. */
export interface Knowledge {
  readonly workspace_uuid: string;
  /** When the last list was begun that is kept of it, in milliseconds since the epoch; null: none is. */
  readonly listed_at: number | null;
  readonly list_state: ListState | null;
}

/** How old what is known of PipeOps is, by workspace, each once. */
export const presentKnowledge = (known: readonly Knowledge[]) =>
  [...new Map(known.map((one) => [one.workspace_uuid, one])).values()].map((one) => ({
    workspace_uuid: one.workspace_uuid,
    listed_at: rfc3339OrNull(one.listed_at),
    list_state: one.list_state,
  }));
