import { UNKNOWN_IDS_MAX_COUNT, UPSTREAM_TIMEOUT_MS } from '../../config/limits.ts';
import type { UpstreamFailure } from '../../failures.ts';
import { recordFindings } from '../../inventory/drift.ts';
import { judgeList, selectLookRows } from '../../inventory/looks.ts';
import type { ReservedCalls } from '../../pipeops/quota-calls.ts';
import { type Call, callWithin, type TokenList, type UpstreamToken } from '../../pipeops/types.ts';
import type { RequestContext } from '../../kit/trace.ts';
import { keepListState } from '../../reads/upstream-lists.ts';
import type { DriverDependencies } from '../dependencies.ts';

/** A list of a workspace that this run has asked for. */
export type WorkspaceLook =
  | { readonly kind: 'failed'; readonly failure: UpstreamFailure; readonly isWorkspaceMissing: boolean }
  /** PipeOps answered, and D1 did not: without the inventory beside it a list says nothing. */
  | { readonly kind: 'unread' }
  | {
      readonly kind: 'listed';
      readonly begunAtMs: number;
      readonly list: TokenList;
      readonly shown: ReadonlyMap<string, UpstreamToken>;
      /** Ids of the inventory that are gone by the rule of absence, this list being one of its proofs. */
      readonly gone: ReadonlySet<string>;
      /** It is incomplete, or lacks too many tokens at once, to prove any absence. */
      readonly isNoProof: boolean;
    };

/** PipeOps' lists, as one run asks for them. */
export interface Lists {
  /** With one deadline for all that it is used for. */
  readonly call: (eventId: string) => Call;
  /**
   * For a token that nothing here knows, and that may be made up: of what is not kept for revocation. Null: this run has asked for
   * UNKNOWN_IDS_MAX_COUNT of them.
   */
  readonly lookUp: (eventId: string) => Call | null;
  /** A list that was begun at `sinceMs` or later, whatever was done since: of a workspace it is asked for once. */
  readonly any: (workspaceUuid: string, eventId: string, sinceMs: number) => Promise<WorkspaceLook>;
  /** The same, begun after the last `outdate`. */
  readonly since: (workspaceUuid: string, eventId: string, sinceMs: number) => Promise<WorkspaceLook>;
  /** The same of a workspace of which nothing is known here: of what is not kept for revocation. */
  readonly unknown: Lists['since'];
  /** Something was done in the workspace: what was listed before does not show it. */
  readonly outdate: (workspaceUuid: string) => void;
}

/**
 * The lists of one run. Each is compared with the inventory as soon as it is there: what it shows of other tokens than those
 * of the orders is written down with it.
 *
 * @param reserved of the calls of the run.
 */
export function createLists(dependencies: DriverDependencies, context: RequestContext, reserved: ReservedCalls): Lists {
  const { pipeops, runtime } = dependencies;
  const known = new Map<string, { readonly look: WorkspaceLook; readonly begunAtMs: number; isOutdated: boolean }>();
  // All of it serves a revocation, and an order that fails is due again after a pause of its own.
  const call = (eventId: string): Call =>
    callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, eventId, {
      purpose: 'revocation',
      isRetriedLater: true,
      reserved,
    });
  const doubtful = (eventId: string): Call =>
    callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, eventId, { purpose: 'change', isRetriedLater: true });
  let lookUps = 0;

  const ask = async (workspaceUuid: string, called: Call): Promise<WorkspaceLook> => {
    const begunAtMs = runtime.now();
    const listed = await pipeops.list(workspaceUuid, called);
    const look = listed.ok
      ? await takeIn(dependencies, context, workspaceUuid, listed.value.data, begunAtMs)
      : failedLook(listed.error);
    known.set(workspaceUuid, { look, begunAtMs, isOutdated: false });
    return look;
  };
  const fresh = (workspaceUuid: string, sinceMs: number): WorkspaceLook | null => {
    const one = known.get(workspaceUuid);
    return one !== undefined && !one.isOutdated && one.begunAtMs >= sinceMs ? one.look : null;
  };
  return {
    call,
    lookUp: (eventId) => {
      lookUps += 1;
      return lookUps > UNKNOWN_IDS_MAX_COUNT ? null : doubtful(eventId);
    },
    any: async (workspaceUuid, eventId, sinceMs) => {
      const one = known.get(workspaceUuid);
      return one !== undefined && one.begunAtMs >= sinceMs ? one.look : await ask(workspaceUuid, call(eventId));
    },
    since: async (workspaceUuid, eventId, sinceMs) =>
      fresh(workspaceUuid, sinceMs) ?? (await ask(workspaceUuid, call(eventId))),
    unknown: async (workspaceUuid, eventId, sinceMs) =>
      fresh(workspaceUuid, sinceMs) ?? (await ask(workspaceUuid, doubtful(eventId))),
    outdate: (workspaceUuid) => {
      const one = known.get(workspaceUuid);
      if (one !== undefined) one.isOutdated = true;
    },
  };
}

/** Where no token is named, what PipeOps does not find is the workspace. */
const failedLook = (failure: UpstreamFailure): WorkspaceLook => ({
  kind: 'failed',
  failure,
  isWorkspaceMissing: failure.kind === 'upstream_forbidden' && failure.status === 404,
});

async function takeIn(
  { database, runtime }: DriverDependencies,
  context: RequestContext,
  workspaceUuid: string,
  list: TokenList,
  begunAtMs: number,
): Promise<WorkspaceLook> {
  const shown = new Map(list.tokens.map((token) => [token.id, token]));
  const read = await database.batch(context, [
    selectLookRows(database, workspaceUuid, [...shown.keys()]),
    keepListState(database, workspaceUuid, { state: list.state, atMs: begunAtMs }),
  ] as const);
  if (!read.ok) return { kind: 'unread' };
  const look = { list, begunAtMs };
  const findings = judgeList(read.value[0], look);
  await recordFindings({ database, runtime }, context, workspaceUuid, look, findings);
  const gone = new Set(findings.gone.map((row) => row.token_id));
  return { kind: 'listed', begunAtMs, list, shown, gone, isNoProof: findings.isNoProof };
}
