import { sql, type SQL } from 'drizzle-orm';
import { ABSENCE_MASS_MIN_TOKENS, CONTRADICTION_AFTER_MS, DRIFT_SILENT_BATCH_TOKENS } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { type TokenRow, tokens } from '../db/schema.ts';
import { markerOf } from '../kit/marker.ts';
import { msOrNull } from '../kit/time.ts';
import type { TokenList, UpstreamToken } from '../pipeops/types.ts';
import { type AbsenceFinding, judgeAbsence } from './absence.ts';
import { refutes } from './ends.ts';
import { isYoungAndUnused, observeUse, type TokenUse } from './use.ts';

// What a look at PipeOps says about the inventory: pure decisions, and the query for what they need. Drift, reconciliation and the
// driver of orders judge their lists here. `drift.ts` records what they say.

/** A list, and when it was begun. */
export interface Look {
  readonly list: Pick<TokenList, 'tokens' | 'complete'>;
  /** Milliseconds since the epoch, before PipeOps was asked. Whatever was over by then is in the list. */
  readonly begunAtMs: number;
}

/**
 * The columns that a look needs, and those that a read shows. A list of thousands of tokens must not carry what else is kept of each.
 */
export const LOOK_COLUMNS = {
  token_id: tokens.token_id,
  owner_issuer: tokens.owner_issuer,
  owner_subject: tokens.owner_subject,
  owner_mac: tokens.owner_mac,
  marker: tokens.marker,
  created_at: tokens.created_at,
  expires_at: tokens.expires_at,
  revoked_at: tokens.revoked_at,
  ended_by: tokens.ended_by,
  unseen_at: tokens.unseen_at,
  suspended_by: tokens.suspended_by,
  last_used_at: tokens.last_used_at,
  usage_seen_at: tokens.usage_seen_at,
  usage_doubted_at: tokens.usage_doubted_at,
};
/** A row without its MAC, which only a read looks at. */
export type LookRow = Pick<TokenRow, Exclude<keyof typeof LOOK_COLUMNS, 'owner_mac'>>;

/** Where the inventory and a list differ. */
export interface Findings {
  /** Ids of tokens that were missed before and are there. */
  readonly seen: readonly string[];
  /** Ids of tokens that are missed for the first time. That is an observation, and proves nothing. */
  readonly unseen: readonly string[];
  /** Tokens that are gone by the rule of absence. */
  readonly gone: readonly LookRow[];
  /** Tokens that are listed as revoked, and were not known to be. */
  readonly ended: readonly LookRow[];
  /** Tokens that are listed alive, and were known to have ended. */
  readonly reappeared: readonly LookRow[];
  /** Tokens that are listed alive and that the inventory lacks: somebody made them at PipeOps' console or elsewhere. */
  readonly appeared: readonly UpstreamToken[];
  /**
   * Ids of tokens to be asked for one by one, since a list lacks them that proves nothing. Those that were missed before come first.
   * Of the others each list begins with another one, since nobody remembers which of them turned out to be there.
   */
  readonly askAlone: readonly string[];
  /** What the list tells of the use of tokens, where that is worth a row. A part of a list tells as much of what it shows. */
  readonly used: readonly TokenUse[];
  /** The list is incomplete, or lacks too many tokens at once: absence from it proves nothing. */
  readonly isNoProof: boolean;
}

/** Whether an end needs no further proof: PipeOps acknowledged a revoke of ours, or the rule of absence has spoken. */
export const isProvenEnd = ({ ended_by }: Pick<TokenRow, 'ended_by'>): boolean =>
  ended_by === 'acknowledged' || ended_by === 'absent';

/** Whether PipeOps says that a token still opens something, now or once it is resumed. */
export const isAlive = ({ isRevoked, isExpired }: UpstreamToken): boolean => !isRevoked && !isExpired;

/**
 * Selects the rows that a list must be judged with: those whose end is not proven, and those that it shows. Where a workspace has
 * thousands whose end is not proven, not all of them are selected. Those that should be there come first, so that a list that lacks
 * most of them is recognised.
 *
 * @param listedIds the ids of the list.
 */
export const selectLookRows = ({ build }: Database, workspaceUuid: string, listedIds: readonly string[]) =>
  build.select(LOOK_COLUMNS).from(tokens).where(isLookedAt(workspaceUuid, listedIds));

/** Whether a row is one of those that a list must be judged with. */
export const isLookedAt = (workspaceUuid: string, listedIds: readonly string[]): SQL =>
  sql`${tokens.workspace_uuid} = ${workspaceUuid} and ${tokens.token_id} in (
        ${idsWithoutEnd(workspaceUuid, sql`expires_at is null`, listedIds.length)}
        union all ${idsWithoutEnd(workspaceUuid, sql`expires_at is not null order by expires_at desc`, listedIds.length)}
        union all select token_id from (select token_id from ${tokens} as l indexed by tokens_listed_end
          where l.workspace_uuid = ${workspaceUuid} and l.ended_by = 'listed' limit ${mostMissing(listedIds.length)})
        union all select value from json_each(${JSON.stringify(listedIds)}))`;

/** The ids of tokens without an end, as many as can matter. */
const idsWithoutEnd = (workspaceUuid: string, condition: SQL, listed: number): SQL =>
  sql`select token_id from (select token_id from ${tokens} as w
    where w.workspace_uuid = ${workspaceUuid} and w.ended_by is null and ${condition} limit ${mostMissing(listed)})`;

/**
 * How many missing tokens can matter. A list that lacks more tokens than it shows proves nothing, and no more rows are needed to see
 * that. The next list goes on with the others, since tokens that have been missed twice are over.
 */
const mostMissing = (listed: number): number => 2 * listed + DRIFT_SILENT_BATCH_TOKENS;

/**
 * Compares a list with the inventory. No row of a workspace influences another, unless the list lacks so many tokens at once that it
 * proves nothing.
 *
 * @param rows at least those of `selectLookRows`.
 * @param knownMarkers the markers that rows of the trail have, if they were asked for. If not, recording the findings asks for them: a
 *   stranger whose name ends like a marker is then among those that appeared.
 */
export function judgeList(rows: readonly LookRow[], look: Look, knownMarkers?: ReadonlySet<string>): Findings {
  const { list, begunAtMs } = look;
  const listed = new Map(list.tokens.map((token) => [token.id, token]));
  const known = new Set(rows.map((row) => row.token_id));
  const tokenOf = (row: LookRow): UpstreamToken | undefined => listed.get(row.token_id);
  const there = rows.filter((row) => tokenOf(row) !== undefined);
  const isNoProof = !list.complete || isMassAbsence(rows, listed, begunAtMs);

  const missing = rows.filter((row) => tokenOf(row) === undefined && !isProvenEnd(row));
  const judged = missing.map((row) => ({ row, finding: judgeMissing(row, begunAtMs) }));
  const isMissedAnew = ({ row, finding }: (typeof judged)[number]): boolean =>
    finding === 'unseen' && row.unseen_at === null;
  const gone = judged.filter(({ finding }) => finding === 'gone');
  const missedAnew = judged.filter(isMissedAnew);

  const isOurs = (token: UpstreamToken): boolean => knownMarkers?.has(markerOf(token.name) ?? '') === true;
  return {
    seen: there.filter((row) => row.unseen_at !== null && refutes(begunAtMs, row.unseen_at)).map((row) => row.token_id),
    unseen: isNoProof ? [] : missedAnew.map(({ row }) => row.token_id),
    gone: isNoProof ? [] : gone.map(({ row }) => row),
    ended: there.filter((row) => tokenOf(row)?.isRevoked === true && row.ended_by === null),
    reappeared: there.filter((row) => {
      const token = tokenOf(row);
      const isOld = row.revoked_at !== null && row.revoked_at + CONTRADICTION_AFTER_MS <= begunAtMs;
      return isOld && token !== undefined && isAlive(token);
    }),
    appeared: list.tokens.filter((token) => !known.has(token.id) && !token.isRevoked && !isOurs(token)),
    // An incomplete list may lack thousands of tokens that it never meant to show.
    askAlone:
      isNoProof && list.complete ? [...gone, ...turned(missedAnew, begunAtMs)].map(({ row }) => row.token_id) : [],
    used: there.flatMap((row) => useOf(row, tokenOf(row), begunAtMs)),
    isNoProof,
  };
}

function useOf(row: LookRow, token: UpstreamToken | undefined, begunAtMs: number): readonly TokenUse[] {
  if (token === undefined || !isAlive(token) || row.ended_by !== null) return [];
  const toldMs = msOrNull(token.lastUsedAt);
  const change = isYoungAndUnused(row, toldMs, begunAtMs) ? null : observeUse(row, toldMs, begunAtMs);
  return change === null ? [] : [{ ...change, tokenId: row.token_id, was: row, swept: null }];
}

const turned = <T>(items: readonly T[], by: number): readonly T[] => {
  const first = by % Math.max(1, items.length);
  return [...items.slice(first), ...items.slice(0, first)];
};

/** Says what one more proof of absence makes of a row. */
export const judgeMissing = (row: Pick<TokenRow, 'created_at' | 'unseen_at'>, begunAtMs: number): AbsenceFinding =>
  judgeAbsence({ settledAtMs: row.created_at, unseenAtMs: row.unseen_at }, begunAtMs);

/** Whether a list lacks at least three of the tokens that should be there, and more than half of them. */
function isMassAbsence(rows: readonly LookRow[], listed: ReadonlyMap<string, unknown>, begunAtMs: number): boolean {
  const expected = rows.filter(
    (row) => row.revoked_at === null && row.created_at < begunAtMs && !isExpired(row, begunAtMs),
  );
  const lacking = expected.filter((row) => !listed.has(row.token_id)).length;
  return lacking >= ABSENCE_MASS_MIN_TOKENS && lacking * 2 > expected.length;
}

/** Whether a token has expired by our clock and by what PipeOps said. That is a reason to leave out a row of the trail, and for nothing else. */
export const isExpired = ({ expires_at }: Pick<TokenRow, 'expires_at'>, nowMs: number): boolean =>
  expires_at !== null && expires_at <= nowMs;
