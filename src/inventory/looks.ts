import { sql, type SQL } from 'drizzle-orm';
import {
  ABSENCE_ASK_ALONE_MAX_TOKENS,
  ABSENCE_MASS_MIN_TOKENS,
  CONTRADICTION_AFTER_MS,
  DRIFT_BATCH_TOKENS,
  DRIFT_SILENT_BATCH_TOKENS,
  UPSTREAM_TIMEOUT_MS,
} from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { type TokenRow, tokens } from '../db/schema.ts';
import { type AbsenceFinding, judgeAbsence } from './absence.ts';
import { endQueries, refutes } from './ends.ts';
import { appearanceQueries, reappearanceQueries } from './reappearance.ts';
import { markerOf } from '../kit/marker.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';
import { callWithin } from '../pipeops/client.ts';
import type { Call, PipeOps, TokenList, TokenRef, UpstreamToken } from '../pipeops/types.ts';

// What a look at PipeOps says about the inventory. Drift, reconciliation and the driver of orders judge their lists here, and
// write down here what they find.

/** A list, and when it was begun. */
interface Look {
  readonly list: Pick<TokenList, 'tokens' | 'complete'>;
  /** Milliseconds since the epoch, before PipeOps was asked: whatever was over by then is in it. */
  readonly begunAtMs: number;
}

/** Where the inventory and a list differ. */
export interface Findings {
  /** Ids that were missed before and are there. */
  readonly seen: readonly string[];
  /** Ids that are missed for the first time: an observation. */
  readonly unseen: readonly string[];
  /** Absent by the rule of absence. */
  readonly gone: readonly TokenRow[];
  /** Listed as revoked, and not known to be. */
  readonly ended: readonly TokenRow[];
  /** Known to have ended, and listed alive. */
  readonly reappeared: readonly TokenRow[];
  /** Listed alive, and not in the inventory: made at PipeOps' console, or by whoever else may. */
  readonly appeared: readonly UpstreamToken[];
  /**
   * Ids that a list lacks which proves nothing: each is to be asked for by itself. Those that were missed before come first; of
   * the others each list begins with another, since one that turns out to be there is not remembered.
   */
  readonly askAlone: readonly string[];
  /** The list is incomplete, or lacks too many tokens at once: absence from it proves nothing. */
  readonly isNoProof: boolean;
}

/** Whether an end needs no further proof: PipeOps acknowledged a revoke of ours, or the rule of absence has spoken. */
export const isProvenEnd = ({ ended_by }: Pick<TokenRow, 'ended_by'>): boolean =>
  ended_by === 'acknowledged' || ended_by === 'absent';

/** Whether PipeOps says that a token still opens something, now or once it is resumed. */
const isAlive = ({ isRevoked, isExpired }: UpstreamToken): boolean => !isRevoked && !isExpired;

/**
 * The rows that a list must be judged with: those whose end is not proven, and those that it shows. Of the first not all where a
 * workspace has thousands that have expired: those that should be there come first, so that a list that lacks most of them is known
 * by it.
 *
 * @param listedIds the ids of the list.
 */
export const selectLookRows = ({ build }: Database, workspaceUuid: string, listedIds: readonly string[]) =>
  build
    .select()
    .from(tokens)
    .where(
      sql`${tokens.workspace_uuid} = ${workspaceUuid} and ${tokens.token_id} in (
        ${idsWithoutEnd(workspaceUuid, sql`expires_at is null`, listedIds.length)}
        union all ${idsWithoutEnd(workspaceUuid, sql`expires_at is not null order by expires_at desc`, listedIds.length)}
        union all select token_id from (select token_id from ${tokens} as l
          where l.workspace_uuid = ${workspaceUuid} and l.ended_by = 'listed' limit ${mostMissing(listedIds.length)})
        union all select value from json_each(${JSON.stringify(listedIds)}))`,
    );

/** Ids of tokens without an end, as many as can matter. */
const idsWithoutEnd = (workspaceUuid: string, condition: SQL, listed: number): SQL =>
  sql`select token_id from (select token_id from ${tokens} as w
    where w.workspace_uuid = ${workspaceUuid} and w.ended_by is null and ${condition} limit ${mostMissing(listed)})`;

/**
 * Where a list lacks more tokens than it shows it proves nothing, and so no more need be read to know that. Beyond it the next list
 * goes on, since those that have been missed twice are over.
 */
const mostMissing = (listed: number): number => 2 * listed + DRIFT_SILENT_BATCH_TOKENS;

/**
 * Compares a list with the inventory. Two rows of one workspace never influence each other, but for a list that lacks so many
 * tokens at once that it proves nothing.
 *
 * @param rows those of `selectLookRows` at least.
 * @param knownMarkers markers that rows of the trail hold, where they were asked for. Where not, whoever records the findings
 *   asks: a stranger whose name ends like one is then among those that appeared.
 */
export function judgeList(rows: readonly TokenRow[], look: Look, knownMarkers?: ReadonlySet<string>): Findings {
  const { list, begunAtMs } = look;
  const listed = new Map(list.tokens.map((token) => [token.id, token]));
  const known = new Set(rows.map((row) => row.token_id));
  const tokenOf = (row: TokenRow): UpstreamToken | undefined => listed.get(row.token_id);
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
    // An incomplete list may lack thousands that it never meant to show.
    askAlone:
      isNoProof && list.complete ? [...gone, ...turned(missedAnew, begunAtMs)].map(({ row }) => row.token_id) : [],
    isNoProof,
  };
}

const turned = <T>(items: readonly T[], by: number): readonly T[] => {
  const first = by % Math.max(1, items.length);
  return [...items.slice(first), ...items.slice(0, first)];
};

/** What one more proof of absence makes of a row. */
const judgeMissing = (row: Pick<TokenRow, 'created_at' | 'unseen_at'>, begunAtMs: number): AbsenceFinding =>
  judgeAbsence({ settledAtMs: row.created_at, unseenAtMs: row.unseen_at }, begunAtMs);

/** Whether a list lacks at least three of the tokens that should be there, and more than half of them. */
function isMassAbsence(rows: readonly TokenRow[], listed: ReadonlyMap<string, unknown>, begunAtMs: number): boolean {
  const expected = rows.filter(
    (row) => row.revoked_at === null && row.created_at < begunAtMs && !isExpired(row, begunAtMs),
  );
  const lacking = expected.filter((row) => !listed.has(row.token_id)).length;
  return lacking >= ABSENCE_MASS_MIN_TOKENS && lacking * 2 > expected.length;
}

/** By our clock, and what PipeOps said of its expiry: good for leaving a row of the trail out, and for nothing else. */
const isExpired = ({ expires_at }: TokenRow, nowMs: number): boolean => expires_at !== null && expires_at <= nowMs;

interface Recording {
  readonly database: Database;
  readonly runtime: Pick<Runtime, 'now' | 'newId'>;
}

/**
 * Writes down what a list shows, in one batch at the most. Every statement takes effect only where the row is still as it was
 * judged, so two isolates that see the same list write it down once, and an older look undoes nothing. What D1 does not take
 * now, and what is more than a batch, the next list shows again.
 */
export async function recordFindings(
  { database, runtime }: Recording,
  context: Pick<RequestContext, 'requestId' | 'trace'>,
  workspaceUuid: string,
  look: Look,
  findings: Findings,
): Promise<void> {
  const queries = findingQueries({ database, runtime }, context, workspaceUuid, look, findings);
  if (queries.length > 0) await database.batch(context, queries);
}

function findingQueries(
  { database, runtime }: Recording,
  context: Pick<RequestContext, 'requestId'>,
  workspaceUuid: string,
  { list, begunAtMs }: Look,
  findings: Findings,
): readonly Query[] {
  const recording = { database, context, workspaceUuid, begunAtMs, nowMs: runtime.now(), newId: () => runtime.newId() };
  // An end that nobody would look up needs no row, so there may be many at once.
  const isSilent = (row: TokenRow): boolean => row.revoked_at !== null || isExpired(row, begunAtMs);
  const batchOf = (rows: readonly TokenRow[]) => ({
    told: rows.filter((row) => !isSilent(row)).slice(0, DRIFT_BATCH_TOKENS),
    silent: rows.filter(isSilent).slice(0, DRIFT_SILENT_BATCH_TOKENS),
  });
  const active = new Map(list.tokens.map((token) => [token.id, token.isActive]));
  return [
    ...endQueries(recording, {
      seen: findings.seen.slice(0, DRIFT_SILENT_BATCH_TOKENS),
      unseen: findings.unseen.slice(0, DRIFT_SILENT_BATCH_TOKENS),
      gone: batchOf(findings.gone),
      ended: batchOf(findings.ended),
    }),
    ...reappearanceQueries(recording, findings.reappeared.slice(0, DRIFT_BATCH_TOKENS), active),
    ...appearanceQueries(recording, findings.appeared.slice(0, DRIFT_BATCH_TOKENS)),
  ];
}

const NOTHING: Findings = {
  seen: [],
  unseen: [],
  gone: [],
  ended: [],
  reappeared: [],
  appeared: [],
  askAlone: [],
  isNoProof: false,
};

/**
 * Writes down that PipeOps answered 404 for an id while it answered the workspace's list, and says what that makes of the
 * token. `unknown`: the inventory has none of this id. `unseen` too where D1 does not say: nothing is concluded from silence.
 *
 * @param proofBegunAtMs when the call that met the 404 was begun.
 */
export async function recordAbsence(
  { database, runtime }: Recording,
  context: Pick<RequestContext, 'requestId' | 'trace'>,
  ref: TokenRef,
  proofBegunAtMs: number,
): Promise<AbsenceFinding | 'unknown'> {
  const row = await readToken(database, context, ref);
  if (row === null) return 'unseen';
  if (row === undefined) return 'unknown';
  if (isProvenEnd(row)) return 'gone';
  const finding = judgeMissing(row, proofBegunAtMs);
  if (finding === 'too_early' || (finding === 'unseen' && row.unseen_at !== null)) return finding;
  const findings = finding === 'gone' ? { ...NOTHING, gone: [row] } : { ...NOTHING, unseen: [ref.tokenId] };
  const look = { list: EMPTY, begunAtMs: proofBegunAtMs };
  const queries = findingQueries({ database, runtime }, context, ref.workspaceUuid, look, findings);
  const written = await database.batch(context, queries);
  if (finding === 'unseen' || !written.ok) return 'unseen';
  const after = await readToken(database, context, ref);
  return after !== null && after !== undefined && isProvenEnd(after) ? 'gone' : 'unseen';
}

/** Writes down what an answer about one token shows: that it is there, revoked, or there again. */
export async function recordPresence(
  { database, runtime }: Recording,
  context: Pick<RequestContext, 'requestId' | 'trace'>,
  ref: TokenRef,
  token: UpstreamToken,
  begunAtMs: number,
): Promise<void> {
  const row = await readToken(database, context, ref);
  if (row === null || row === undefined) return;
  const look = { list: { ...EMPTY, tokens: [token] }, begunAtMs };
  await recordFindings({ database, runtime }, context, ref.workspaceUuid, look, judgeList([row], look));
}

/** A list that shows nothing and proves nothing. */
const EMPTY: Look['list'] = { tokens: [], complete: false };

/** Null: D1 does not say. */
async function readToken(
  database: Database,
  context: Pick<RequestContext, 'trace'>,
  ref: TokenRef,
): Promise<TokenRow | undefined | null> {
  const read = await database.batch(context, [selectOne(database, ref)]);
  return read.ok ? read.value[0][0] : null;
}

const selectOne = ({ build }: Database, { workspaceUuid, tokenId }: TokenRef) =>
  build
    .select()
    .from(tokens)
    .where(sql`${tokens.workspace_uuid} = ${workspaceUuid} and ${tokens.token_id} = ${tokenId}`);

interface Dependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly pipeops: Pick<PipeOps, 'get'>;
}

/**
 * Asks PipeOps for tokens by themselves that its list lacks and that such a list proves nothing about, a few at a time, and
 * writes down what it answers. The list was answered, so 404 is about the token. Anything but an answer about the token ends
 * it: the next list begins anew.
 *
 * @param ids in the order in which they matter.
 * @param whose what the calls are for, and whose they are if a caller's read causes them.
 */
export async function askAlone(
  { database, runtime, pipeops }: Dependencies,
  context: RequestContext,
  workspaceUuid: string,
  ids: readonly string[],
  whose: Pick<Call, 'purpose' | 'calls'>,
): Promise<void> {
  const asked = ids.slice(0, ABSENCE_ASK_ALONE_MAX_TOKENS);
  if (asked.length === 0) return;
  const cause = context.trace.eventId ?? context.requestId;
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, cause, { ...whose, isRetriedLater: true });
  for (const tokenId of asked) {
    const ref = { workspaceUuid, tokenId };
    const begunAtMs = runtime.now();
    const got = await pipeops.get(ref, call);
    if (got.ok) await recordPresence({ database, runtime }, context, ref, got.value.data, begunAtMs);
    else if (got.error.kind === 'upstream_not_found')
      await recordAbsence({ database, runtime }, context, ref, begunAtMs);
    else return;
  }
}
