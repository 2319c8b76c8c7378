import { getTableColumns, type SQL, sql } from 'drizzle-orm';
import {
  FORBIDDEN_SHOWN_MAX_COUNT,
  FORBIDDEN_SHOWN_MS,
  OUTCOMES_CLOCK_SLACK_MS,
  OUTCOMES_KEPT_MS,
} from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { upstreamOutcomes } from '../db/schema.ts';
import type { UpstreamTrouble } from '../vocabulary.ts';

// What calls to PipeOps came to, in D1. Isolates tell it late and in any order. So of two times the later one counts, and a trouble is
// over once a call that was not earlier than its last time has shown that. A time that is ahead of every clock counts for nothing.

/** A row of `upstream_outcomes`. Times are milliseconds since the epoch. */
export type OutcomeRow = typeof upstreamOutcomes.$inferSelect;

/** A trouble that a call has shown to be over. */
export interface EndedTrouble {
  readonly kind: UpstreamTrouble;
  /** What it was about, as the table says it. */
  readonly subject: string;
  /** When the call was made, in milliseconds since the epoch. */
  readonly atMs: number;
}

const { kind, subject, since, last_at: lastAt } = upstreamOutcomes;
const COLUMNS = Object.keys(getTableColumns(upstreamOutcomes));

/** Writes what was noted. It may be repeated. */
export function writeOutcomes({ build }: Database, rows: readonly OutcomeRow[], nowMs: number): Query {
  const fields = COLUMNS.map((name) => sql.raw(`value->>'${name}'`));
  const isLater = sql`(excluded.last_at >= ${lastAt} or ${isAhead(nowMs)})`;
  const later = (name: 'last_at' | 'error_code' | 'upstream_status' | 'workspace_uuid' | 'ends_at'): SQL =>
    sql`iif(${isLater}, ${sql.raw(`excluded.${name}`)}, ${upstreamOutcomes[name]})`;
  return build
    .insert(upstreamOutcomes)
    .select(sql`select ${sql.join(fields, sql`, `)} from json_each(${JSON.stringify(rows)}) where true`)
    .onConflictDoUpdate({
      target: [kind, subject],
      set: {
        // A trouble that goes on began when it was first seen.
        since: sql`coalesce(${since}, excluded.since)`,
        last_at: later('last_at'),
        error_code: later('error_code'),
        upstream_status: later('upstream_status'),
        workspace_uuid: later('workspace_uuid'),
        ends_at: later('ends_at'),
      },
    });
}

/** Ends troubles that go on. It writes nothing where none does, and may be repeated. */
export function endTroubles({ build }: Database, ended: readonly EndedTrouble[], nowMs: number): Query {
  const isEnded = sql`exists (select 1 from json_each(${JSON.stringify(ended)}) as e
    where e.value->>'kind' = ${kind} and e.value->>'subject' = ${subject}
      and (${lastAt} <= e.value->>'atMs' or ${isAhead(nowMs)}))`;
  return build
    .update(upstreamOutcomes)
    .set({ since: null })
    .where(sql`${since} is not null and ${isEnded}`);
}

const isAhead = (nowMs: number): SQL => sql`${lastAt} > ${nowMs + OUTCOMES_CLOCK_SLACK_MS}`;

/**
 * Selects what calls came to, the earliest first. Of the workspaces that PipeOps refuses there are a few, and only such as this service
 * serves: they are configured, or have had a token. Callers and leak reports may name any other, and PipeOps refuses that rightly.
 *
 * @param workspaceUuids those that are configured.
 */
export function selectOutcomes({ build }: Database, workspaceUuids: readonly string[], nowMs: number) {
  const isServed = sql`(${subject} in (select value from json_each(${JSON.stringify(workspaceUuids)}))
    or exists (select 1 from tokens where tokens.workspace_uuid = ${subject}))`;
  const refused = sql`select ${subject} from ${upstreamOutcomes} where ${kind} = 'upstream_forbidden'
    and ${lastAt} > ${nowMs - FORBIDDEN_SHOWN_MS} and ${isServed}
    order by ${since} is null, ${lastAt} desc limit ${FORBIDDEN_SHOWN_MAX_COUNT}`;
  return build
    .select()
    .from(upstreamOutcomes)
    .where(sql`${kind} <> 'upstream_forbidden' or ${subject} in (${refused})`)
    .orderBy(lastAt);
}

/** Erases what nobody needs any more: workspaces that PipeOps refused a while ago, and what former credentials came to. */
export const forgetOutcomes = ({ build }: Database, nowMs: number): Query =>
  build
    .delete(upstreamOutcomes)
    .where(
      sql`${lastAt} <= ${nowMs - OUTCOMES_KEPT_MS} or (${kind} = 'upstream_forbidden' and ${lastAt} <= ${nowMs - FORBIDDEN_SHOWN_MS})`,
    );
