import { sql, type SQL } from 'drizzle-orm';
import {
  LEAK_CANDIDATES_MAX_COUNT,
  TOKEN_PREFIX_MAX_CHARS,
  TOKEN_PREFIX_MIN_CHARS,
  WEBHOOK_ITEMS_JSON_MAX_CHARS,
  WEBHOOK_LOCATION_MAX_BYTES,
} from '../../config/limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { tokens, webhookItems } from '../../db/schema.ts';
import { selectedRow } from '../../db/sql.ts';
import { cutToBytes } from '../../kit/bytes.ts';
import { sha256Hex } from '../../kit/digest.ts';
import { redact } from '../../kit/redaction.ts';
import { candidatesOf, likeliestOf } from '../senders/leaks.ts';
import type { Instruction, Leak, NamedToken } from '../senders/sender.ts';
import type { Fingerprints } from '../../tokens/fingerprints.ts';

/** A token that a delivery names, as the query takes it that looks for it in the inventory. It has no secret. */
interface SoughtItem {
  readonly position: number;
  readonly location: string | null;
  /** The fingerprint, under each key, of each text that may be its secret. */
  readonly fingerprints: readonly string[];
  /** What PipeOps may show of its secret: prefixes of each length that it may show. */
  readonly prefixes: readonly string[];
  readonly token_id: string | null;
  readonly workspace_uuid: string | null;
}

/** What a delivery names, to be looked for in the inventory. */
export const soughtItems = async (
  instruction: Extract<Instruction, { event: 'token.leaked' | 'token.revoke' }>,
  fingerprints: Fingerprints,
): Promise<readonly SoughtItem[]> =>
  instruction.event === 'token.revoke'
    ? instruction.tokens.map(soughtToken)
    : await Promise.all(instruction.leaks.map(async (leak) => await soughtLeak(leak, fingerprints)));

/** A leak is looked for by the fingerprints of what may be its secret. Its prefix names candidates if no fingerprint matches. */
async function soughtLeak({ position, text, sha256, location }: Leak, fingerprints: Fingerprints): Promise<SoughtItem> {
  const hashes = await Promise.all((text === null ? [] : candidatesOf(text)).map(sha256Hex));
  if (sha256 !== null) hashes.push(sha256);
  const kept = await Promise.all(hashes.map(async (hash) => await fingerprints.candidates(hash)));
  return {
    position,
    location: location === null ? null : cutToBytes(redact(location.toWellFormed()), WEBHOOK_LOCATION_MAX_BYTES),
    fingerprints: kept.flat().map(({ value }) => value),
    prefixes: text === null ? [] : prefixesOf(likeliestOf(text)),
    token_id: null,
    workspace_uuid: null,
  };
}

const soughtToken = ({ tokenId, workspaceUuid }: NamedToken, position: number): SoughtItem => ({
  position,
  location: null,
  fingerprints: [],
  prefixes: [],
  token_id: tokenId,
  workspace_uuid: workspaceUuid,
});

/** The prefixes of a secret. The whole of it is not among them. */
function prefixesOf(secret: string): readonly string[] {
  const lengths = Array.from(
    { length: TOKEN_PREFIX_MAX_CHARS - TOKEN_PREFIX_MIN_CHARS + 1 },
    (_item, index) => TOKEN_PREFIX_MIN_CHARS + index,
  );
  return lengths.filter((length) => length < secret.length).map((length) => secret.slice(0, length));
}

/** Whether a workspace is one of those in which a sender may order. */
const inScope = (column: SQL | typeof tokens.workspace_uuid, workspaces: readonly string[]): SQL =>
  workspaces.includes('*') ? sql`true` : sql`${column} in (select value from json_each(${JSON.stringify(workspaces)}))`;

/**
 * Looks for the tokens that a delivery names and inserts what was found, where `condition` holds: one query for as many tokens as
 * fit into one value of D1.
 *
 * A leaked secret is found by its fingerprint, and a named id by itself. An id with a workspace counts as found even if the
 * inventory lacks it, and the driver asks PipeOps. An unmatched leak gets the tokens whose prefix fits, for a person to look at;
 * nothing is done to them.
 */
export const insertItems = (
  database: Database,
  deliveryId: string,
  sought: readonly SoughtItem[],
  workspaces: readonly string[],
  condition: SQL,
): readonly Query[] => jsonLists(sought).map((json) => insertListed(database, deliveryId, json, workspaces, condition));

/** Items as JSON lists, each of WEBHOOK_ITEMS_JSON_MAX_CHARS at the most. */
function jsonLists(sought: readonly SoughtItem[]): readonly string[] {
  const lists: string[][] = [];
  let chars = Infinity;
  for (const json of sought.map((item) => JSON.stringify(item))) {
    if (chars + json.length > WEBHOOK_ITEMS_JSON_MAX_CHARS) {
      lists.push([]);
      chars = 0;
    }
    lists.at(-1)?.push(json);
    chars += json.length + 1;
  }
  return lists.map((list) => `[${list.join(',')}]`);
}

function insertListed(
  { build }: Database,
  deliveryId: string,
  json: string,
  workspaces: readonly string[],
  condition: SQL,
) {
  // The inventory is looked up by index for each fingerprint, and scanned once for all ids and once for all prefixes.
  const matches = sql`
    item as materialized (
      select value ->> 'position' as position, value ->> 'location' as location, value ->> 'token_id' as id,
        value ->> 'workspace_uuid' as workspace, value -> 'fingerprints' as fingerprints, value -> 'prefixes' as prefixes
      from json_each(${json})),
    known as materialized (
      select item.position, t.workspace_uuid, t.token_id from item
        join json_each(item.fingerprints) as f join ${tokens} as t on t.fingerprint = f.value
      union
      select item.position, t.workspace_uuid, t.token_id from ${tokens} as t
        join item on item.id = t.token_id and (item.workspace is null or item.workspace = t.workspace_uuid)
        where t.token_id in (select id from item)),
    alike as materialized (
      select t.token_id, t.token_prefix from ${tokens} as t
      where t.revoked_at is null and ${inScope(sql`t.workspace_uuid`, workspaces)}
        and t.token_prefix in (select p.value from item join json_each(item.prefixes) as p))`;
  const workspace = sql`coalesce(known.workspace_uuid, item.workspace)`;
  const isFound = sql`${workspace} is not null`;
  const candidates = sql`(select json_group_array(token_id) from (
    select token_id from alike where token_prefix in (select value from json_each(item.prefixes)) limit ${LEAK_CANDIDATES_MAX_COUNT}))`;
  const row = {
    // SQLite gives the number.
    seq: sql.raw('null'),
    delivery_id: deliveryId,
    position: sql.raw('item.position'),
    found: sql`case when not ${isFound} then 'unmatched' when ${inScope(workspace, workspaces)} then 'matched' else 'out_of_scope' end`,
    location: sql.raw('item.location'),
    workspace_uuid: workspace,
    token_id: sql.raw('coalesce(known.token_id, item.id)'),
    candidates: sql`case when not ${isFound} then ${candidates} end`,
  };
  return build.insert(webhookItems).select(sql`
    with ${matches}
    select ${selectedRow(webhookItems, row)}
    from item left join known on known.position = item.position
    where ${condition}
    order by item.position`);
}
