import { sql, type SQL } from 'drizzle-orm';
import {
  NEVER_USED_AFTER_SECONDS,
  UNUSED_AFTER_DEFAULT_SECONDS,
  USAGE_ADVANCED_WITHIN_SECONDS,
} from '../config/aging-limits.ts';
import type { TokenRow } from '../db/schema.ts';
import type { Role } from '../policy/types.ts';
import type { TokenUsage } from '../vocabulary.ts';

// What is known of the use of a token. The rule is here twice, for one token and as SQL for many; a test holds the two together.

/** After how many seconds without use a token counts as unused, by the role that it was minted under. */
export type UnusedAfter = Readonly<Record<string, number>>;

/** What today's policy says of it. A token of a role that is gone has UNUSED_AFTER_DEFAULT_SECONDS. */
export const unusedAfterOf = (roles: readonly Pick<Role, 'name' | 'unusedAfterSeconds'>[]): UnusedAfter =>
  Object.fromEntries(roles.map(({ name, unusedAfterSeconds }) => [name, unusedAfterSeconds]));

/** What of a token says how it is used. */
export type UsedToken = Pick<TokenRow, 'created_at' | 'role' | 'last_used_at' | 'usage_seen_at' | 'usage_doubted_at'>;

/**
 * What is known of the use of a token. It is `unknown` unless PipeOps is seen to fill in times of use in its workspace and a list has
 * told that of this token, which has not contradicted itself since. Only a token that is a week old can be `never_used`.
 *
 * @param advancedAtMs when a token of its workspace was last seen to have been used (`workspaces.usage_advanced_at`); null: never.
 */
export function usageOf(
  token: UsedToken,
  advancedAtMs: number | null,
  unusedAfter: UnusedAfter,
  nowMs: number,
): TokenUsage {
  const isFilledIn = advancedAtMs !== null && nowMs - advancedAtMs <= USAGE_ADVANCED_WITHIN_SECONDS * 1000;
  if (!isFilledIn || token.usage_seen_at === null || token.usage_doubted_at !== null) return 'unknown';
  if (token.last_used_at === null) {
    return nowMs - token.created_at < NEVER_USED_AFTER_SECONDS * 1000 ? 'unknown' : 'never_used';
  }
  return nowMs - token.last_used_at > unusedAfterSeconds(token, unusedAfter) * 1000 ? 'unused' : 'recent';
}

/** After how many seconds without use this token counts as unused. */
export const unusedAfterSeconds = ({ role }: Pick<TokenRow, 'role'>, unusedAfter: UnusedAfter): number =>
  (role !== null && Object.hasOwn(unusedAfter, role) ? unusedAfter[role] : undefined) ?? UNUSED_AFTER_DEFAULT_SECONDS;

/**
 * `usageOf` as SQL.
 *
 * @param name the name under which the statement reads `tokens`.
 * @param advancedAt the `usage_advanced_at` of the token's workspace.
 */
export function usageSql(name: string, advancedAt: SQL, unusedAfter: UnusedAfter, nowMs: number): SQL {
  const column = (of: keyof UsedToken): SQL => sql.raw(`${name}.${of}`);
  const ms = (seconds: number): SQL => sql.raw(String(seconds * 1000));
  return sql`case
    when coalesce(${nowMs} - ${advancedAt} > ${ms(USAGE_ADVANCED_WITHIN_SECONDS)}, true)
      or ${column('usage_seen_at')} is null or ${column('usage_doubted_at')} is not null then 'unknown'
    when ${column('last_used_at')} is null
      then iif(${nowMs} - ${column('created_at')} < ${ms(NEVER_USED_AFTER_SECONDS)}, 'unknown', 'never_used')
    when ${nowMs} - ${column('last_used_at')} > ${unusedAfterSql(name, unusedAfter)} * 1000 then 'unused'
    else 'recent' end`;
}

/** `unusedAfterSeconds` as SQL. A path into the JSON would read some names as more than a name. */
export const unusedAfterSql = (name: string, unusedAfter: UnusedAfter): SQL =>
  sql`coalesce((select value from json_each(${JSON.stringify(unusedAfter)}) where key = ${sql.raw(`${name}.role`)}),
    ${sql.raw(String(UNUSED_AFTER_DEFAULT_SECONDS))})`;
