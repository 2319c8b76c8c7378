import { sql } from 'drizzle-orm';
import { USE_LIST_BATCH_TOKENS } from '../config/aging-limits.ts';
import {
  ABSENCE_ASK_ALONE_MAX_TOKENS,
  DRIFT_BATCH_TOKENS,
  DRIFT_SILENT_BATCH_TOKENS,
  UPSTREAM_TIMEOUT_MS,
} from '../config/limits.ts';
import type { Database, Query } from '../db/database.ts';
import { tokens } from '../db/schema.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';
import { type Call, callWithin, type PipeOps, type TokenRef, type UpstreamToken } from '../pipeops/types.ts';
import type { Caller } from '../policy/types.ts';
import type { Asked } from '../reads/read.ts';
import type { TokenDependencies } from '../tokens/dependencies.ts';
import type { AbsenceFinding } from './absence.ts';
import { endQueries } from './ends.ts';
import {
  type Findings,
  isExpired,
  isProvenEnd,
  judgeList,
  judgeMissing,
  type Look,
  LOOK_COLUMNS,
  type LookRow,
} from './looks.ts';
import { appearanceQueries, reappearanceQueries } from './reappearance.ts';
import { useQueries } from './use.ts';

// Where PipeOps and the inventory differ: what a look shows is recorded, and tokens are asked for that a list proves nothing about.

/**
 * Compares a list that a read asked for with the inventory rows that were read beside it, and records where they differ. Where they do
 * not differ, that costs nothing. Nobody waits for it. What it asks of PipeOps is counted among the calls of the caller.
 */
export async function watchDrift(
  { database, runtime, pipeops, snapshots }: Pick<TokenDependencies, 'database' | 'runtime' | 'pipeops' | 'snapshots'>,
  context: RequestContext,
  caller: Caller,
  workspaceUuid: string,
  { snapshot: { list, begunAtMs }, rows }: Asked,
): Promise<void> {
  const look = { list, begunAtMs };
  const findings = judgeList(rows, look);
  await recordFindings({ database, runtime }, context, workspaceUuid, look, findings);
  const whose = { purpose: 'read', calls: snapshots.callsOf(caller) } as const;
  await askAlone({ database, runtime, pipeops }, context, workspaceUuid, findings.askAlone, whose);
}

interface Recording {
  readonly database: Database;
  readonly runtime: Pick<Runtime, 'now' | 'newId'>;
}

/**
 * Records what a list shows, in one batch at the most. Every statement takes effect only where the row is still as it was judged: two
 * isolates that see one list record it once, and an older look undoes nothing. What D1 does not take now, and what is more than a
 * batch, the next list shows again.
 */
export async function recordFindings(
  { database, runtime }: Recording,
  context: Pick<RequestContext, 'requestId' | 'policyVersion' | 'trace'>,
  workspaceUuid: string,
  look: Look,
  findings: Findings,
): Promise<void> {
  const queries = findingQueries({ database, runtime }, context, workspaceUuid, look, findings);
  if (queries.length > 0) await database.batch(context, queries);
}

function findingQueries(
  { database, runtime }: Recording,
  context: Pick<RequestContext, 'requestId' | 'policyVersion'>,
  workspaceUuid: string,
  { list, begunAtMs }: Look,
  findings: Findings,
): readonly Query[] {
  const recording = { database, context, workspaceUuid, begunAtMs, nowMs: runtime.now(), newId: () => runtime.newId() };
  // An end that nobody would look up needs no row in the trail, so a batch takes many of them.
  const isSilent = (row: LookRow): boolean => row.revoked_at !== null || isExpired(row, begunAtMs);
  const batchOf = (rows: readonly LookRow[]) => ({
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
    ...useQueries(recording, findings.used.slice(0, USE_LIST_BATCH_TOKENS)),
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
  used: [],
  isNoProof: false,
};

/**
 * Records that PipeOps answered 404 for an id while it answered the workspace's list, and says what that makes of the token.
 * `unknown`: the inventory has no token of this id. It is `unseen` where D1 does not answer too: silence proves nothing.
 *
 * @param proofBegunAtMs when the call that met the 404 was begun.
 */
export async function recordAbsence(
  { database, runtime }: Recording,
  context: Pick<RequestContext, 'requestId' | 'policyVersion' | 'trace'>,
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

/** Records what an answer about one token shows: that it is there, revoked, or there again. */
export async function recordPresence(
  { database, runtime }: Recording,
  context: Pick<RequestContext, 'requestId' | 'policyVersion' | 'trace'>,
  ref: TokenRef,
  token: UpstreamToken,
  begunAtMs: number,
): Promise<void> {
  const row = await readToken(database, context, ref);
  if (row === null || row === undefined) return;
  const look = { list: { ...EMPTY, tokens: [token] }, begunAtMs };
  // Only lists tell of use: an answer about one token may leave that out.
  const findings = { ...judgeList([row], look), used: [] };
  await recordFindings({ database, runtime }, context, ref.workspaceUuid, look, findings);
}

/** A list that shows nothing and proves nothing. */
const EMPTY: Look['list'] = { tokens: [], complete: false };

/** Null: D1 does not answer. */
async function readToken(
  database: Database,
  context: Pick<RequestContext, 'trace'>,
  ref: TokenRef,
): Promise<LookRow | undefined | null> {
  const read = await database.batch(context, [selectOne(database, ref)]);
  return read.ok ? read.value[0][0] : null;
}

const selectOne = ({ build }: Database, { workspaceUuid, tokenId }: TokenRef) =>
  build
    .select(LOOK_COLUMNS)
    .from(tokens)
    .where(sql`${tokens.workspace_uuid} = ${workspaceUuid} and ${tokens.token_id} = ${tokenId}`);

interface Dependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly pipeops: Pick<PipeOps, 'get'>;
}

/**
 * Asks PipeOps for a few tokens one by one that its list lacks, where such a list proves nothing, and records what it answers. The
 * list was answered, so a 404 is about the token. Any answer that is not about the token ends this: the next list begins anew.
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
