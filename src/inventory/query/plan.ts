import { sql, type SQL } from 'drizzle-orm';
import { labelKey } from '../../subjects/labels.ts';
import { usageSql } from '../usage.ts';
import { type InventoryFilter, isByExpiry, type Span } from './filter.ts';
import { stateSql } from './item.ts';
import type { Asked } from './params.ts';
import { isIn, isOf, isOwnOnly, isSeen, type View } from './view.ts';

// How the tokens of a page are found: which index gives them in the order of the page, and what is then checked on each. An index is
// named in its statement, so that no statistics make SQLite choose another one, and a missing one is an error.
//
// What a caller may not see costs it nothing and shows nowhere. So whoever sees its own tokens alone is always looked up as an owner.
// For others the filter chooses, but for an owner or a label, of which a caller confined to workspaces may see but a few tokens.

/** Where tokens come from, in the order of the page, and what is checked on each. */
export interface Plan {
  readonly source: Source;
  readonly checks: readonly SQL[];
}

export type Source =
  /** An index that gives them in order, or so few of them that they are sorted. Null: the table itself. */
  | { readonly kind: 'index'; readonly index: string | null; readonly where: SQL }
  /** Several workspaces, merged; and the caller's own tokens in all others, if `hasOwn`. */
  | { readonly kind: 'merged'; readonly workspaces: readonly string[]; readonly hasOwn: boolean };

const T = 'tokens';

/** A filter as a condition, and the index that answers it; null: none does. */
interface Lookup {
  readonly condition: SQL;
  readonly source: Source | null;
}

export function planOf(asked: Asked): Plan {
  const lookups = lookupsOf(asked);
  const [first, hidden] = sourceOf(asked, lookups);
  const others = lookups.filter(({ source }) => source === null || source !== first);
  return { source: first, checks: [...hidden, ...others.map(({ condition }) => condition), ...unindexed(asked)] };
}

/** Where the tokens come from, and what of that the caller does not see or has seen already. */
function sourceOf({ view, filter }: Asked, lookups: readonly Lookup[]): readonly [Source, readonly SQL[]] {
  const isExpiry = isByExpiry(filter);
  const unseen = view.own === '*' ? [] : [isIn(T, view.own)];
  if (isOwnOnly(view)) return [byOwner(view, isExpiry), unseen];
  const chosen = lookups.find(({ source }) => source !== null)?.source;
  if (chosen !== null && chosen !== undefined) return [chosen, []];
  if (view.isOverAll || view.any === '*') return [indexed(isExpiry ? 'tokens_expires' : null, sql`true`), []];
  const hasOwn = view.own.length > 0;
  const [only, ...more] = view.any;
  if (only !== undefined && more.length === 0 && !hasOwn) return [byWorkspace(only, isExpiry), []];
  const again = sql`(not is_own or not ${isIn(T, view.any)} and ${isIn(T, view.own)})`;
  return [{ kind: 'merged', workspaces: view.any, hasOwn }, hasOwn ? [again] : []];
}

/** The filters that have an index. Those that are likely to pick the fewest tokens come first. */
function lookupsOf({ filter, view, fingerprints }: Asked): readonly Lookup[] {
  const { tokenId, replaces, replacedBy, tokenPrefix, owner, label, workspaceUuid } = filter;
  const isExpiry = isByExpiry(filter);
  const { isOverAll } = view;
  const lookup = (condition: SQL, source: Source | null): Lookup => ({ condition, source });
  /** Of a few tokens: those of them that the caller does not see are not even counted. */
  const few = (index: string, condition: SQL): Lookup =>
    lookup(condition, indexed(index, sql`${condition} and ${isSeen(T, view)}`));
  return [
    ...(fingerprints === null
      ? []
      : [
          few(
            'tokens_fingerprint',
            sql`tokens.fingerprint in (select value from json_each(${JSON.stringify(fingerprints)}))`,
          ),
        ]),
    ...(tokenId === null ? [] : [byId(tokenId, filter, view)]),
    ...(replaces === null ? [] : [few('tokens_replaces', sql`tokens.replaces = ${replaces}`)]),
    ...(replacedBy === null ? [] : [few('tokens_replaced_by', sql`tokens.replaced_by = ${replacedBy}`)]),
    // PipeOps chooses how long a prefix is, so that nobody knows how many share one.
    ...(tokenPrefix === null
      ? []
      : isExpiry
        ? [lookup(sql`tokens.token_prefix = ${tokenPrefix}`, null)]
        : [few('tokens_prefix', sql`tokens.token_prefix = ${tokenPrefix}`)]),
    ...(owner === null
      ? []
      : owner === 'none'
        ? [lookup(sql`tokens.owner_issuer is null`, null)]
        : [lookup(isOf(T, owner), isOverAll ? byOwner(owner, isExpiry) : null)]),
    ...(label === null ? [] : [byLabel(label, isOverAll && !isExpiry)]),
    ...(workspaceUuid === null
      ? []
      : [lookup(sql`tokens.workspace_uuid = ${workspaceUuid}`, byWorkspace(workspaceUuid, isExpiry))]),
  ];
}

const indexed = (index: string | null, where: SQL): Source => ({ kind: 'index', index, where });

const byOwner = (owner: Parameters<typeof isOf>[1], isExpiry: boolean): Source =>
  indexed(isExpiry ? 'tokens_owner_live' : 'tokens_owner', isOf(T, owner));

function byLabel(label: string, isIndexed: boolean): Lookup {
  const condition = sql`tokens.owner_label = ${labelKey(label)}`;
  return { condition, source: isIndexed ? indexed('tokens_owner_label', condition) : null };
}

/** A token whose end is known has been revoked; the index of the others has them in the order in which they expire. */
const byWorkspace = (workspaceUuid: string, isExpiry: boolean): Source =>
  isExpiry
    ? indexed('tokens_without_end', sql`tokens.workspace_uuid = ${workspaceUuid} and tokens.ended_by is null`)
    : indexed('tokens_workspace', sql`tokens.workspace_uuid = ${workspaceUuid}`);

/** An id is looked up in each workspace that the caller may mean: the key of the table begins with the workspace. */
function byId(tokenId: string, { workspaceUuid }: InventoryFilter, view: View): Lookup {
  const condition = sql`tokens.token_id = ${tokenId}`;
  const isEverywhere = view.any === '*' || view.own === '*';
  const workspaces =
    workspaceUuid !== null
      ? sql`(${workspaceUuid})`
      : isEverywhere
        ? EVERY_WORKSPACE
        : sql`(select value from json_each(${JSON.stringify([...view.any, ...view.own])}))`;
  const where = sql`tokens.workspace_uuid in ${workspaces} and ${condition} and ${isSeen(T, view)}`;
  return { condition, source: indexed('sqlite_autoindex_tokens_1', where) };
}

/** Each workspace that has tokens, by one look into an index each. */
const EVERY_WORKSPACE = sql.raw(`(with recursive every(id) as (
    select min(workspace_uuid) from tokens
    union all
    select (select min(t.workspace_uuid) from tokens as t where t.workspace_uuid > every.id) from every where every.id is not null)
  select id from every where id is not null)`);

/** The filters that have no index. */
function unindexed({ filter, unusedAfter, nowMs }: Asked): readonly SQL[] {
  const { role, policyVersion, scope, tokenName, states, usages, created, lastUsed } = filter;
  return [
    ...(role === null ? [] : [sql`tokens.role = ${role}`]),
    ...(policyVersion === null ? [] : [sql`tokens.policy_version = ${policyVersion}`]),
    // No scope has a quotation mark in it, so its text with those around it is this very scope.
    ...(scope === null ? [] : [sql`instr(tokens.scopes, ${JSON.stringify(scope)}) > 0`]),
    ...(tokenName === null ? [] : [sql`tokens.name = ${tokenName}`]),
    ...within(sql`tokens.created_at`, created),
    ...within(sql`tokens.last_used_at`, lastUsed),
    ...(states.length === 0 ? [] : [oneOf(stateSql(T, nowMs), states)]),
    ...(usages.length === 0 ? [] : [oneOf(usageSql(T, ADVANCED_AT, unusedAfter, nowMs), usages)]),
  ];
}

/** When a token of the workspace of a row of `tokens` was last seen to have been used. */
export const ADVANCED_AT = sql.raw(
  '(select w.usage_advanced_at from workspaces as w where w.workspace_uuid = tokens.workspace_uuid)',
);

const oneOf = (value: SQL, names: readonly string[]): SQL =>
  sql`(${value}) in (select value from json_each(${JSON.stringify(names)}))`;

const within = (column: SQL, { fromMs, toMs }: Span): readonly SQL[] => [
  ...(fromMs === null ? [] : [sql`${column} >= ${fromMs}`]),
  ...(toMs === null ? [] : [sql`${column} < ${toMs}`]),
];

/**
 * The times of expiry that a page may show. What the states say of them is used too, so that a page of active tokens does not walk over
 * all that have expired.
 */
export function dueWithin({ filter, nowMs }: Pick<Asked, 'filter' | 'nowMs'>): Span {
  const { expires, states } = filter;
  const isAlive = states.length > 0 && !states.includes('expired');
  const isOver = states.length > 0 && states.every((state) => state === 'expired');
  return {
    fromMs: isAlive ? Math.max(expires.fromMs ?? 0, nowMs + 1) : expires.fromMs,
    toMs: isOver ? Math.min(expires.toMs ?? Infinity, nowMs + 1) : expires.toMs,
  };
}
