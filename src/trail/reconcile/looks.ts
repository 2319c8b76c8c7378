import { UPSTREAM_TIMEOUT_MS } from '../../config/limits.ts';
import type { Database } from '../../db/database.ts';
import { judgeAbsence } from '../../inventory/absence.ts';
import { type Findings, judgeList, selectLookRows } from '../../inventory/looks.ts';
import { recordAbsence, recordFindings, recordPresence } from '../../inventory/drift.ts';
import { markersIn, selectOwnMarkers } from '../../inventory/reach.ts';
import type { ReservedCalls } from '../../pipeops/quota-calls.ts';
import { type Call, callWithin, type PipeOps, type TokenList } from '../../pipeops/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { keepListState } from '../../reads/upstream-lists.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { CreateLook, TokenSight } from './judgement.ts';
import type { LeasedAttempt } from './queue.ts';

interface Dependencies {
  readonly database: Database;
  readonly pipeops: Pick<PipeOps, 'list' | 'get'>;
  readonly runtime: Runtime;
  /** The calls to PipeOps that were reserved for the run. */
  readonly reserved: ReservedCalls;
}

/** A list that a run asked for, and what it says about the inventory. */
export interface WorkspaceLook extends CreateLook {
  readonly list: TokenList;
  readonly findings: Findings;
}

/** What one run asks PipeOps. Each workspace is listed one time. What an answer shows of the inventory is written down at once. */
export interface RunLooks {
  /** The list of an attempt's workspace. Null: PipeOps did not give one. */
  listOf(row: LeasedAttempt): Promise<WorkspaceLook | null>;
  /** What PipeOps says of an attempt's token. */
  sightOf(row: LeasedAttempt): Promise<TokenSight>;
  /** The lists that were answered, by workspace. */
  answered(): ReadonlyMap<string, WorkspaceLook>;
}

/** Calls are not retried at once: an attempt is looked into again and again until it is settled. */
export const LATER_AGAIN = { isRetriedLater: true } as const satisfies Pick<Call, 'isRetriedLater'>;

const LOOK = { ...LATER_AGAIN, purpose: 'reconciliation' } as const;

export function createRunLooks(dependencies: Dependencies, context: RequestContext): RunLooks {
  const asked = new Map<string, WorkspaceLook | null>();
  const listOf = async (row: LeasedAttempt): Promise<WorkspaceLook | null> => {
    const workspaceUuid = row.workspace_uuid ?? '';
    const known = asked.get(workspaceUuid);
    if (known !== undefined) return known;
    const look = await askList(dependencies, context, workspaceUuid, row.id);
    asked.set(workspaceUuid, look);
    return look;
  };
  return {
    listOf,
    sightOf: async (row) => await lookAtToken(dependencies, context, row, listOf),
    answered: () =>
      new Map([...asked].flatMap(([workspaceUuid, look]) => (look === null ? [] : [[workspaceUuid, look]]))),
  };
}

async function askList(
  { database, pipeops, runtime, reserved }: Dependencies,
  context: RequestContext,
  workspaceUuid: string,
  eventId: string,
): Promise<WorkspaceLook | null> {
  const begunAtMs = runtime.now();
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, eventId, { ...LOOK, reserved });
  const listed = await pipeops.list(workspaceUuid, call);
  if (!listed.ok) return null;
  const list = listed.value.data;
  const ids = list.tokens.map(({ id }) => id);
  const markers = markersIn(list.tokens);
  const queries = [
    selectLookRows(database, workspaceUuid, ids),
    selectOwnMarkers(database, workspaceUuid, markers),
    keepListState(database, workspaceUuid, { state: list.state, atMs: begunAtMs }),
  ] as const;
  const read = await database.batch(context, queries);
  const look = { list, begunAtMs };
  // Without the inventory nobody can tell whether the list lacks too many tokens, or whose its markers are.
  if (!read.ok)
    return { ...look, isNoProof: true, ourMarkers: new Set(), findings: judgeList([], { ...look, list: NONE }) };
  const [rows, markerRows] = read.value;
  const ourMarkers = new Set(markerRows.map(({ marker }) => marker ?? ''));
  const findings = judgeList(rows, look);
  await recordFindings({ database, runtime }, context, workspaceUuid, look, findings);
  return { ...look, isNoProof: findings.isNoProof, ourMarkers, findings };
}

const NONE = { tokens: [], complete: false };

/**
 * Asks PipeOps for the token of an update or a revoke. A 404 is about the token only if PipeOps answers the workspace's list too.
 * Then it is one proof of absence.
 */
async function lookAtToken(
  { database, pipeops, runtime, reserved }: Dependencies,
  context: RequestContext,
  row: LeasedAttempt,
  listOf: RunLooks['listOf'],
): Promise<TokenSight> {
  const ref = { workspaceUuid: row.workspace_uuid ?? '', tokenId: row.token_id ?? '' };
  const begunAtMs = runtime.now();
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, row.id, { ...LOOK, reserved });
  const got = await pipeops.get(ref, call);
  if (got.ok) {
    const token = got.value.data;
    if (row.is_missed === 1) await recordPresence({ database, runtime }, context, ref, token, begunAtMs);
    return token.isRevoked ? { kind: 'revoked' } : { kind: 'seen', token };
  }
  if (got.error.kind !== 'upstream_not_found') return { kind: 'unknown' };
  const look = await listOf(row);
  if (look === null) return { kind: 'unknown' };
  const listed = look.list.tokens.find(({ id }) => id === ref.tokenId);
  if (listed !== undefined) return { kind: listed.isRevoked ? 'revoked' : 'unknown' };
  const known = await recordAbsence({ database, runtime }, context, ref, begunAtMs);
  const finding =
    known === 'unknown' ? judgeAbsence({ settledAtMs: row.occurred_at, unseenAtMs: row.unseen_at }, begunAtMs) : known;
  if (finding === 'gone') return { kind: 'gone' };
  return finding === 'unseen' ? { kind: 'unseen', begunAtMs } : { kind: 'unknown' };
}
