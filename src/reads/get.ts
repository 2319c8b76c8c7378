import type { Failure } from '../failures.ts';
import { isProofOfAbsence } from '../inventory/absence.ts';
import { isWithin } from '../kit/ids.ts';
import type { PipeOps, TokenRef, UpstreamToken } from '../pipeops/types.ts';
import { maySeeTokensOfOthers } from '../policy/decide.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { EventSubject } from '../trail/event.ts';
import type { InventoryRow } from './snapshot.ts';
import { knownToken } from '../inventory/inventory.ts';
import { watchDrift } from '../inventory/drift.ts';
import { named, type ShownToken } from './present.ts';
import { type ReadAnswer, type ReadDependencies, type ReadOperation, runRead } from './read.ts';
import type { Judgement, KnownToken } from './steps.ts';
import type { TokenReadRequest } from '../tokens/requests.ts';

/**
 * Reads one token out of the workspace's list. An id that a complete list of one page lacks is not there, and costs no call;
 * where the list is partial, or a token may have slipped through between its pages, PipeOps is asked for the id by itself.
 *
 * For whoever reaches nothing but its own tokens the inventory is all: somebody else's id looks like one that never was, in what is
 * answered and in what is done for it.
 *
 * @param recordedAs what the read is in the trail, where a token is looked for on the way to something else.
 */
export async function getToken(
  dependencies: ReadDependencies,
  context: RequestContext,
  caller: Caller,
  { workspaceUuid, tokenId, isNoCache }: TokenReadRequest,
  recordedAs: RecordedAs = AS_GET,
): Promise<Result<ReadAnswer<ShownToken>, Failure>> {
  const operation = getOperation(dependencies, caller, { workspaceUuid, tokenId }, recordedAs);
  const read = await runRead(dependencies, context, caller, isNoCache, operation);
  if (read.ok && read.value.asked !== null) {
    dependencies.runtime.background(watchDrift(dependencies, context, caller, workspaceUuid, read.value.asked));
  }
  return read;
}

/** What is shown, refused, and asked of PipeOps, to a caller who gets one token. */
export function getOperation(
  { decide, pipeops }: Pick<ReadDependencies, 'decide'> & { readonly pipeops: Pick<PipeOps, 'get'> },
  caller: Caller,
  ref: TokenRef,
  recordedAs: RecordedAs = AS_GET,
): ReadOperation<ShownToken> {
  const { workspaceUuid, tokenId } = ref;
  const isReachable = maySeeTokensOfOthers(caller, workspaceUuid);
  /** `isHere`: PipeOps says that it is in this workspace, which counts where the inventory has no row of it. */
  const refusal = (row: InventoryRow | undefined, isHere: boolean): Failure | null => {
    const stranger = isHere ? { ...ref, owner: null, suspendedBy: [] } : null;
    const token = row === undefined ? stranger : knownToken({ ...row, workspace_uuid: workspaceUuid });
    const decision = decide(caller, { operation: 'get', workspaceUuid, token });
    return decision.allowed ? null : decision.failure;
  };
  const judgeKnown = (listed: UpstreamToken | undefined, isProof: boolean, { row }: NonNullable<KnownToken>) => {
    if (isReachable && listed === undefined) return isProof ? refuse(NOT_THERE) : ASK_ALONE;
    const failure = refusal(row, isReachable);
    if (failure !== null) return refuse(failure);
    if (listed !== undefined && !listed.isRevoked) return { kind: 'show', show: () => named(listed, row) } as const;
    return isProof || listed !== undefined ? refuse(NOT_THERE) : ASK_ALONE;
  };

  return {
    subject: { ...recordedAs, ...ref, tokenName: null },
    isReachable,
    mayList: decide(caller, { operation: 'list', workspaceUuid }).allowed,
    refuse: () => null,
    refuseKnowing: (row) => (isReachable ? null : refusal(row, false)),
    isKnown: (row) => row !== undefined,
    judge: (list, inventory, token): Judgement<ShownToken> => {
      const listed = list.tokens.find(({ id }) => id === tokenId);
      const isProof = isProofOfAbsence(list);
      if (token !== null) return judgeKnown(listed, isProof, token);
      if (inventory === null && (listed !== undefined || !isReachable)) return LOOK_UP;
      // What a whole list lacks is not there, whoever owned it.
      if (listed === undefined) return isProof ? refuse(NOT_THERE) : LOOK_UP;
      const judged = judgeKnown(listed, isProof, { row: inventory?.get(tokenId) });
      // A token of another takes as long as one that is not listed.
      return judged.kind === 'refuse' && !isProof && !isReachable ? LOOK_UP : judged;
    },
    askAlone: async (row, call) => {
      const got = await pipeops.get(ref, call);
      if (!got.ok) return row === undefined && got.error.kind === 'upstream_not_found' ? err(NOT_THERE) : got;
      // An id that the inventory lacks is acted on only if the answer names the workspace.
      const isHere = row !== undefined || isWithin(workspaceUuid, got.value.data.workspaceId);
      if (!isHere) return err(NOT_THERE);
      const failure = refusal(row, true);
      return failure === null ? ok({ ...got.value, data: named(got.value.data, row) }) : err(failure);
    },
  };
}

type RecordedAs = Pick<EventSubject, 'action' | 'detail'>;
const AS_GET: RecordedAs = { action: 'service_account_token.get', detail: {} };

/** PipeOps has it no longer, or never had. */
const NOT_THERE = { kind: 'token_not_found', reason: 'unknown' } as const;
const ASK_ALONE = { kind: 'ask_alone' } as const;
const LOOK_UP = { kind: 'look_up' } as const;
const refuse = (failure: Failure) => ({ kind: 'refuse', failure }) as const;
