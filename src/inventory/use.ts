import { sql, type SQL } from 'drizzle-orm';
import {
  SWEEP_TOKENS_LEAST_AGE_MS,
  USE_ADVANCE_STEP_MS,
  USE_LIST_BATCH_TOKENS,
  USE_SEEN_KEPT_MS,
  USE_SWEEPS_LEAST_COUNT,
  USE_UNCHANGED_LEAST_MS,
} from '../config/aging-limits.ts';
import type { Query } from '../db/database.ts';
import { type TokenRow, tokens, workspaces } from '../db/schema.ts';
import { each } from '../db/sql.ts';
import { refutes } from './ends.ts';
import { ITEM_ID, type Recording } from './recording.ts';

// When tokens were last used, as PipeOps' lists tell: pure decisions about what is kept, and the statements that keep it. Nothing here
// asks for a list. A time only moves on: one that goes back or vanishes is an error of PipeOps, and its token is doubted from then on.

/** What any list changes of what is kept. Times are milliseconds since the epoch. */
export type KeptUse = Pick<TokenRow, 'last_used_at' | 'usage_seen_at' | 'usage_doubted_at'>;
/** What a nightly look keeps as well. */
export type SweptUse = KeptUse & Pick<TokenRow, 'usage_sweeps' | 'usage_since'>;

/** What a look makes of what is kept. */
export interface UseChange<U extends KeptUse = KeptUse> {
  readonly to: U;
  /** The time of use to which it has moved on; null: it has not. */
  readonly advancedToMs: number | null;
}

/** A change of one token's row, which takes effect only where the row is as it was read. */
export interface TokenUse extends UseChange {
  readonly tokenId: string;
  readonly was: KeptUse;
  /** Null: the value has changed, or is doubted, so the nightly looks begin to count anew. */
  readonly swept: Pick<SweptUse, 'usage_sweeps' | 'usage_since'> | null;
}

/**
 * What a list makes of what is kept of one token's use; null: nothing that is worth a row.
 *
 * The first time that a list tells is no advance: a PipeOps that stamps each token when it is minted, and never again, would look as if
 * it told of use. An older look than the last one refutes nothing, since both may have been under way at once.
 *
 * @param toldMs the time of last use that the list tells; null: it tells none.
 * @param leastStepMs by how much the time must have moved on. A token that is used every second must not cost a row for each list.
 */
export function observeUse(
  kept: KeptUse,
  toldMs: number | null,
  begunAtMs: number,
  leastStepMs = USE_ADVANCE_STEP_MS,
): UseChange | null {
  const { last_used_at: keptMs, usage_seen_at: seenMs, usage_doubted_at: doubtedMs } = kept;
  if (seenMs === null) {
    return { to: { ...kept, last_used_at: toldMs, usage_seen_at: begunAtMs }, advancedToMs: null };
  }
  const isLater = refutes(begunAtMs, seenMs);
  const to = { ...kept, usage_seen_at: isLater ? begunAtMs : seenMs };
  if (toldMs !== null && (keptMs === null || toldMs > keptMs)) {
    if (keptMs !== null && toldMs - keptMs < leastStepMs) return null;
    // A time that is ahead of our clock says no more than that it was used by now.
    const advancedToMs = doubtedMs === null ? Math.min(toldMs, begunAtMs) : null;
    return { to: { ...to, last_used_at: toldMs }, advancedToMs };
  }
  const isBack = keptMs !== null && (toldMs === null || toldMs < keptMs);
  if (!isBack || doubtedMs !== null || !isLater) return null;
  return { to: { ...to, usage_doubted_at: begunAtMs }, advancedToMs: null };
}

/**
 * Whether a list need not write down that a token was not used yet: it is so young that nothing is concluded of that. So the first list
 * after a create costs no more than any other.
 */
export const isYoungAndUnused = (
  { created_at: createdAtMs, usage_seen_at: seenMs }: Pick<TokenRow, 'created_at' | 'usage_seen_at'>,
  toldMs: number | null,
  begunAtMs: number,
): boolean => seenMs === null && toldMs === null && begunAtMs - createdAtMs < SWEEP_TOKENS_LEAST_AGE_MS;

/**
 * What a nightly look makes of it. It keeps every change, and counts the looks in a row that tell one value, until they prove that it has
 * not changed. From then on an unused token costs a row a week.
 */
export function sweepUse(kept: SweptUse, toldMs: number | null, begunAtMs: number): UseChange<SweptUse> | null {
  const begins = { usage_sweeps: 1, usage_since: begunAtMs };
  const change = observeUse(kept, toldMs, begunAtMs, 0);
  if (change !== null) {
    const swept = change.to.usage_doubted_at === null ? begins : { usage_sweeps: null, usage_since: null };
    return { ...change, to: { ...change.to, ...swept } };
  }
  if (kept.usage_doubted_at !== null || toldMs !== kept.last_used_at) return null;
  const count = kept.usage_sweeps ?? 0;
  const seen = { ...kept, usage_seen_at: begunAtMs };
  // A look that began later than this one was noted by a clock that has been put back since.
  if (count === 0 || kept.usage_since === null || kept.usage_since > begunAtMs) {
    return { to: { ...seen, ...begins }, advancedToMs: null };
  }
  if (!isUnchanged(kept, begunAtMs)) return { to: { ...seen, usage_sweeps: count + 1 }, advancedToMs: null };
  const isSeenLately = kept.usage_seen_at !== null && begunAtMs - kept.usage_seen_at < USE_SEEN_KEPT_MS;
  return isSeenLately ? null : { to: seen, advancedToMs: null };
}

/** Whether enough nightly looks, over long enough, have told one value. */
export const isUnchanged = (
  { usage_sweeps: count, usage_since: sinceMs }: Pick<SweptUse, 'usage_sweeps' | 'usage_since'>,
  nowMs: number,
): boolean =>
  count !== null && count >= USE_SWEEPS_LEAST_COUNT && sinceMs !== null && nowMs - sinceMs >= USE_UNCHANGED_LEAST_MS;

/** The statements that keep what a look told of the use of tokens: one for each USE_LIST_BATCH_TOKENS, and one of the workspace. */
export function useQueries(recording: Recording, uses: readonly TokenUse[]): readonly Query[] {
  const { database, workspaceUuid, begunAtMs } = recording;
  const chunks = Array.from({ length: Math.ceil(uses.length / USE_LIST_BATCH_TOKENS) }, (_item, index) =>
    uses.slice(index * USE_LIST_BATCH_TOKENS, (index + 1) * USE_LIST_BATCH_TOKENS),
  );
  const advances = uses.map(({ advancedToMs }) => advancedToMs).filter((atMs) => atMs !== null);
  const advancedToMs = advances.reduce((latest, atMs) => Math.max(latest, atMs), 0);
  return [
    ...chunks.map((chunk) => keepUses(recording, chunk)),
    ...(advances.length === 0
      ? []
      : [
          database.build
            .update(workspaces)
            .set({ usage_advanced_at: advancedToMs })
            .where(
              sql`${workspaces.workspace_uuid} = ${workspaceUuid} and (${workspaces.usage_advanced_at} is null
                or ${workspaces.usage_advanced_at} <= ${advancedToMs - USE_ADVANCE_STEP_MS}
                or ${workspaces.usage_advanced_at} > ${begunAtMs + USE_ADVANCE_STEP_MS})`,
            ),
        ]),
  ];
}

function keepUses({ database, workspaceUuid }: Recording, uses: readonly TokenUse[]): Query {
  const items = uses.map(({ tokenId, was, to, swept }) => ({
    id: tokenId,
    workspace: workspaceUuid,
    was: [was.last_used_at, was.usage_seen_at, was.usage_doubted_at],
    to: [
      to.last_used_at,
      to.usage_seen_at,
      to.usage_doubted_at,
      swept?.usage_sweeps ?? null,
      swept?.usage_since ?? null,
    ],
  }));
  return database.build
    .update(tokens)
    .set({
      last_used_at: valueOf('to', 0),
      usage_seen_at: valueOf('to', 1),
      usage_doubted_at: valueOf('to', 2),
      usage_sweeps: valueOf('to', 3),
      usage_since: valueOf('to', 4),
    })
    .from(each(items))
    .where(
      // The item names the workspace too, so that D1 goes through the items. Otherwise it would go through the workspace's tokens.
      sql`${tokens.workspace_uuid} = e.value ->> 'workspace' and ${tokens.token_id} = ${ITEM_ID}
        and ${tokens.last_used_at} is ${valueOf('was', 0)} and ${tokens.usage_seen_at} is ${valueOf('was', 1)}
        and ${tokens.usage_doubted_at} is ${valueOf('was', 2)}`,
    );
}

const valueOf = (list: 'was' | 'to', index: number): SQL => sql.raw(`(e.value ->> '$.${list}[${index}]')`);
