import { sql } from 'drizzle-orm';
import {
  SWEEP_BLOCK_CALLS,
  SWEEP_LEAST_PAUSE_MS,
  SWEEP_TOKENS_LEAST_AGE_MS,
  SWEEP_TOKENS_MAX_COUNT,
  SWEEP_TURNS_LEAST_MINUTES,
  USE_ADVANCE_STEP_MS,
} from '../config/aging-limits.ts';
import { FORBIDDEN_SHOWN_MS, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { tokens, upstreamOutcomes, workspaces } from '../db/schema.ts';
import { recordFindings } from '../inventory/drift.ts';
import { isAlive, isExpired, isLookedAt, judgeList, LOOK_COLUMNS } from '../inventory/looks.ts';
import type { Recording } from '../inventory/recording.ts';
import { sweepUse, type TokenUse, useQueries } from '../inventory/use.ts';
import type { Runtime } from '../kit/runtime.ts';
import { MINUTE_MS, msOrNull, SECONDS_PER_DAY } from '../kit/time.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Quota } from '../pipeops/quota.ts';
import { callWithin, type PipeOps, type TokenList } from '../pipeops/types.ts';
import { keepListState } from '../reads/upstream-lists.ts';
import { hindrancesOf, selectHindrances, suspensionQueries } from './suspension.ts';
import { chooseUnused, countUsages, type SweptRow, type SweptToken, type UnusedRoles, unusedTokens } from './unused.ts';

// The nightly look at the use of tokens: one list a workspace and night (UTC), with calls that nobody else needs. A night that is missed,
// or a list that fails or is not whole, counts for nothing. So an outage delays what is concluded, and never leads to it.

export interface SweepDependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly pipeops: Pick<PipeOps, 'list'>;
  readonly quota: Pick<Quota, 'permit' | 'reservedCalls' | 'news'>;
  readonly roles: UnusedRoles;
}

export type DueWorkspace = RowsOf<ReturnType<typeof selectDueWorkspace>>[number];

/**
 * Selects the workspace whose turn it is in this minute, of those that have a live token and that this night has not looked at. Which
 * one has failed before, nobody remembers: so turns go round by the clock, and one that always fails does not keep the others waiting.
 * It reads a few rows for each workspace, however many tokens there are.
 */
export function selectDueWorkspace({ build }: Database, nowMs: number) {
  const nightBeginMs = nowMs - (nowMs % (SECONDS_PER_DAY * 1000));
  const latestMs = Math.min(nightBeginMs - 1, nowMs - SWEEP_LEAST_PAUSE_MS);
  const due = sql`select w.workspace_uuid, w.usage_swept_at, w.usage_advanced_at from ${workspaces} as w
    where (w.usage_swept_at is null or w.usage_swept_at <= ${latestMs} or w.usage_swept_at > ${nowMs + USE_ADVANCE_STEP_MS})
      and w.list_state is not 'unavailable'
      and exists (select 1 from ${tokens} as t where t.workspace_uuid = w.workspace_uuid and t.ended_by is null
        and (t.expires_at is null or t.expires_at > ${nowMs}) and t.created_at <= ${nowMs - SWEEP_TOKENS_LEAST_AGE_MS})
      and not exists (select 1 from ${upstreamOutcomes} as u where u.kind = 'upstream_forbidden' and u.subject = w.workspace_uuid
        and u.last_at > ${nowMs - FORBIDDEN_SHOWN_MS})`;
  const turn = sql`${Math.floor(nowMs / MINUTE_MS)} % max(${SWEEP_TURNS_LEAST_MINUTES}, (select count(*) from due))`;
  const chosen = sql`with due as materialized (${due}) select * from due order by workspace_uuid limit 1 offset (${turn})`;
  return build
    .select({
      workspace_uuid: sql<string>`workspace_uuid`.as('workspace_uuid'),
      usage_swept_at: sql<number | null>`usage_swept_at`.as('usage_swept_at'),
      usage_advanced_at: sql<number | null>`usage_advanced_at`.as('usage_advanced_at'),
    })
    .from(sql`(${chosen})`);
}

const selectSweptRows = ({ build }: Database, workspaceUuid: string, listedIds: readonly string[]) =>
  build
    .select({
      ...LOOK_COLUMNS,
      role: tokens.role,
      replaced_by: tokens.replaced_by,
      retires_at: tokens.retires_at,
      rotation_event_id: tokens.rotation_event_id,
      usage_sweeps: tokens.usage_sweeps,
      usage_since: tokens.usage_since,
    })
    .from(tokens)
    .where(isLookedAt(workspaceUuid, listedIds));

/** What a nightly look has come to. */
export interface Swept {
  /** Workspaces whose list was answered. */
  readonly swept: number;
  /** Tokens whose suspension was ordered. */
  readonly unused: number;
}

const NOTHING: Swept = { swept: 0, unused: 0 };

/** Looks at a workspace. Where PipeOps or D1 does not answer, nothing is written, and the workspace has another turn tonight. */
export async function sweepWorkspace(
  { database, runtime, pipeops, quota, roles }: SweepDependencies,
  context: RequestContext,
  due: DueWorkspace,
): Promise<Swept> {
  const { workspace_uuid: workspaceUuid } = due;
  const begunAtMs = runtime.now();
  if (quota.permit('watch', workspaceUuid, begunAtMs) !== null) return NOTHING;
  const reserved = quota.reservedCalls(SWEEP_BLOCK_CALLS);
  const options = { purpose: 'watch', isRetriedLater: true, reserved } as const;
  // The list has no row in the trail, since nobody gets to see it. Its id at PipeOps is that of this run.
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, context.requestId, options);
  const listed = await pipeops.list(workspaceUuid, call);
  reserved.end();
  const news = quota.news(database, runtime.now());
  if (!listed.ok) {
    if (news.length > 0) await database.batch(context, news);
    return NOTHING;
  }
  const list = listed.value.data;
  const read = await database.batch(context, [
    selectSweptRows(
      database,
      workspaceUuid,
      list.tokens.map(({ id }) => id),
    ),
    keepListState(database, workspaceUuid, { state: list.state, atMs: begunAtMs }),
    ...news,
  ] as const);
  if (!read.ok) return NOTHING;
  const rows: readonly SweptRow[] = read.value[0];
  const look = { list, begunAtMs };
  const findings = judgeList(rows, look);
  const isWhole = list.complete && !findings.isNoProof;
  // What the list tells of use is written below, more exactly than any list does.
  const told = isWhole ? { ...findings, used: [] } : findings;
  await recordFindings({ database, runtime }, context, workspaceUuid, look, told);

  const nowMs = runtime.now();
  const recording = { database, context, workspaceUuid, begunAtMs, nowMs, newId: () => runtime.newId() };
  const swept = isWhole ? sweptTokens(rows, list, begunAtMs) : [];
  const uses = swept.flatMap(({ change }) => (change === null ? [] : [change]));
  const advances = uses.flatMap(({ advancedToMs }) => advancedToMs ?? []);
  const advancedAtMs = [...advances, due.usage_advanced_at].reduce<number | null>(
    (latest, atMs) => (atMs === null ? latest : Math.max(latest ?? 0, atMs)),
    null,
  );
  const workspace = { liveTokens: swept.length, advancedAtMs, sweptAtMs: due.usage_swept_at };
  const unused = unusedTokens(swept, workspace, roles, nowMs);
  const hindrances = await readHindrances(database, context, workspaceUuid, unused);
  if (hindrances === null) return NOTHING;
  const chosen = chooseUnused(unused, hindrances, swept.length, nowMs);
  const written = await database.batch(context, [
    markSwept(recording, due, isWhole ? countUsages(swept, workspace, roles, nowMs) : null),
    ...useQueries(recording, firstInTurn(uses)),
    ...suspensionQueries(recording, chosen),
  ]);
  return { swept: 1, unused: written.ok ? chosen.length : 0 };
}

/** Null: D1 does not answer. */
async function readHindrances(
  database: Database,
  context: RequestContext,
  workspaceUuid: string,
  unused: ReturnType<typeof unusedTokens>,
) {
  if (unused.length === 0) return hindrancesOf([]);
  const ids = unused.map(({ row }) => row.token_id);
  const read = await database.batch(context, [selectHindrances(database, workspaceUuid, ids)]);
  return read.ok ? hindrancesOf(read.value[0]) : null;
}

/** The live tokens that a list shows, with what is kept of their use from now on. */
function sweptTokens(
  rows: readonly SweptRow[],
  { tokens: shown }: Pick<TokenList, 'tokens'>,
  begunAtMs: number,
): readonly (SweptToken & { readonly change: TokenUse | null })[] {
  const listed = new Map(shown.map((token) => [token.id, token]));
  return rows.flatMap((row) => {
    const token = listed.get(row.token_id);
    if (token === undefined || !isAlive(token) || row.ended_by !== null || isExpired(row, begunAtMs)) return [];
    const change = sweepUse(row, msOrNull(token.lastUsedAt), begunAtMs);
    const kept = change === null ? null : { ...change, tokenId: row.token_id, was: row, swept: change.to };
    return [{ row, use: change?.to ?? row, isActive: token.isActive, change: kept }];
  });
}

/** As many as one look writes down. Those of which least is known come first, or the same ones would wait every night. */
const firstInTurn = (uses: readonly TokenUse[]): readonly TokenUse[] =>
  uses.toSorted((a, b) => (a.swept?.usage_sweeps ?? 0) - (b.swept?.usage_sweeps ?? 0)).slice(0, SWEEP_TOKENS_MAX_COUNT);

/** Notes that this night has looked at the workspace, unless another run has. A list that is not whole leaves the counts as they are. */
const markSwept = (
  { database, workspaceUuid, begunAtMs }: Recording,
  { usage_swept_at: sweptAtMs }: DueWorkspace,
  counts: ReturnType<typeof countUsages> | null,
): Query =>
  database.build
    .update(workspaces)
    .set({
      usage_swept_at: begunAtMs,
      ...(counts !== null && { usage_unused: counts.unused, usage_never_used: counts.neverUsed }),
    })
    .where(sql`${workspaces.workspace_uuid} = ${workspaceUuid} and ${workspaces.usage_swept_at} is ${sweptAtMs}`);
