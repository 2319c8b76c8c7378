import { sql } from 'drizzle-orm';
import {
  STATUS_EXPIRING_MAX_COUNT,
  USAGE_ADVANCED_WITHIN_SECONDS,
  USE_ADVANCE_STEP_MS,
} from '../config/aging-limits.ts';
import { STATUS_WORKSPACES_MAX_COUNT } from '../config/limits.ts';
import type { Database, RowsOf } from '../db/database.ts';
import { tokens, workspaces } from '../db/schema.ts';
import { SECONDS_PER_DAY } from '../kit/time.ts';

// How many tokens expire and how many are unused, for `/status`: bounded, however many tokens there are.

/** Selects how many live tokens expire soon. It reads an index of live tokens alone, the soonest first, and stops at STATUS_EXPIRING_MAX_COUNT. */
export function selectExpiring({ build }: Pick<Database, 'build'>, nowMs: number) {
  const within = (days: number): number => nowMs + days * SECONDS_PER_DAY * 1000;
  const soonest = sql`select ${tokens.expires_at} as expires_at from ${tokens} where ${tokens.revoked_at} is null
    and ${tokens.expires_at} is not null and ${tokens.expires_at} > ${nowMs} and ${tokens.expires_at} <= ${within(30)}
    order by ${tokens.expires_at} limit ${STATUS_EXPIRING_MAX_COUNT + 1}`;
  return build
    .select({
      within_1_day: sql<number>`count(*) filter (where s.expires_at <= ${within(1)})`.as('within_1_day'),
      within_7_days: sql<number>`count(*) filter (where s.expires_at <= ${within(7)})`.as('within_7_days'),
      within_30_days: sql<number>`count(*)`.as('within_30_days'),
    })
    .from(sql`(${soonest}) as s`);
}

/** The counts as `/status` shows them. `more`: there may be others that expire later than those that were counted. */
export function presentExpiring(row: RowsOf<ReturnType<typeof selectExpiring>>[number] | undefined) {
  const shown = (count = 0): number => Math.min(count, STATUS_EXPIRING_MAX_COUNT);
  return {
    within_1_day: shown(row?.within_1_day),
    within_7_days: shown(row?.within_7_days),
    within_30_days: shown(row?.within_30_days),
    more: (row?.within_30_days ?? 0) > STATUS_EXPIRING_MAX_COUNT,
  };
}

/** Selects what the nightly looks have found in the workspaces that have a live token. It reads a few rows for each of those. */
export function selectUsage({ build }: Pick<Database, 'build'>, nowMs: number) {
  const watched = sql`select w.workspace_uuid, w.usage_unused, w.usage_never_used, w.usage_swept_at,
      row_number() over (order by w.usage_advanced_at) as place,
      coalesce(w.usage_advanced_at < ${nowMs - USAGE_ADVANCED_WITHIN_SECONDS * 1000}
        or w.usage_advanced_at > ${nowMs + USE_ADVANCE_STEP_MS}, true) as is_unknown
    from ${workspaces} as w where w.usage_swept_at is not null and exists (select 1 from ${tokens} as t
      where t.workspace_uuid = w.workspace_uuid and t.ended_by is null and (t.expires_at is null or t.expires_at > ${nowMs}))`;
  return build
    .select({
      workspaces: sql<number>`count(*)`.as('workspaces'),
      unknown: sql<number>`coalesce(sum(s.is_unknown), 0)`.as('unknown'),
      unknown_uuids:
        sql<string>`json_group_array(s.workspace_uuid) filter (where s.is_unknown and s.place <= ${STATUS_WORKSPACES_MAX_COUNT})`.as(
          'unknown_uuids',
        ),
      unused: sql<number>`coalesce(sum(s.usage_unused) filter (where not s.is_unknown), 0)`.as('unused'),
      never_used: sql<number>`coalesce(sum(s.usage_never_used) filter (where not s.is_unknown), 0)`.as('never_used'),
    })
    .from(sql`(${watched}) as s`);
}

const ADVICE =
  'For a week, no list of these workspaces has shown a token that was used since the list before. Either nobody uses any token there, ' +
  'or PipeOps fills in last_used_at no more. Until that changes, the usage of their tokens is unknown and none is suspended as unused. ' +
  'Use a token there and look at its last_used_at in PipeOps’ own console: if it stays as it was, ask PipeOps. Workspaces whose tokens ' +
  'were watched for less than a week may be among them.';

/** What is known of the use of tokens, as `/status` shows it. */
export function presentUsage(row: RowsOf<ReturnType<typeof selectUsage>>[number] | undefined) {
  const unknown: readonly string[] = row === undefined ? [] : JSON.parse(row.unknown_uuids);
  return {
    workspaces: row?.workspaces ?? 0,
    unknown: {
      workspaces: row?.unknown ?? 0,
      workspace_uuids: unknown,
      what_to_do: unknown.length === 0 ? null : ADVICE,
    },
    unused: row?.unused ?? 0,
    never_used: row?.never_used ?? 0,
  };
}
