import { UNKNOWN_IDS_MAX_COUNT, UPSTREAM_TIMEOUT_MS } from '../../config/limits.ts';
import type { UpstreamFailure } from '../../failures.ts';
import { judgeList, selectLookRows } from '../../inventory/looks.ts';
import { recordFindings } from '../../inventory/drift.ts';
import type { Budget } from '../../kit/budget.ts';
import type { Runtime } from '../../kit/runtime.ts';
import type { RequestContext } from '../../kit/trace.ts';
import type { ReservedCalls } from '../../pipeops/quota-calls.ts';
import type { Quota } from '../../pipeops/quota.ts';
import { type Call, callWithin, type TokenList, type UpstreamToken } from '../../pipeops/types.ts';
import { keepListState } from '../../reads/upstream-lists.ts';
import type { DriverDependencies } from '../dependencies.ts';
import type { OrdersOf } from './queue.ts';

/** One run of the driver: what its steps share. */
export interface Run {
  readonly lists: Lists;
  readonly of: OrdersOf;
  /** Whether a step may begin that sends so many statements to D1: PipeOps takes calls, and the budget is not used up. */
  goesOn(d1Queries: number): boolean;
  /** PipeOps would answer everything in the same way, so nothing more is asked of it. */
  end(): void;
}

/** PipeOps' lists of workspaces, as one run asks for them. */
export interface Lists {
  /** A call for this order. All that it is used for shares one deadline. */
  readonly call: (eventId: string) => Call;
  /**
   * A call for a token that nothing here knows, and that may be made up. It uses nothing that is kept for revocation. Null if
   * this run has asked for UNKNOWN_IDS_MAX_COUNT of them.
   */
  readonly lookUp: (eventId: string) => Call | null;
  /** A list begun at `sinceMs` or later, whatever was done since then. Each workspace is asked for at most once. */
  readonly any: (workspaceUuid: string, eventId: string, sinceMs: number) => Promise<WorkspaceLook>;
  /** A list begun at `sinceMs` or later, and after the last `outdate`. */
  readonly since: (workspaceUuid: string, eventId: string, sinceMs: number) => Promise<WorkspaceLook>;
  /** As `since`, for a workspace of which nothing is known here. It uses nothing that is kept for revocation. */
  readonly unknown: Lists['since'];
  /** Something was done in the workspace, which earlier lists do not show. */
  readonly outdate: (workspaceUuid: string) => void;
}

/** What came of asking for a workspace's list. */
export type WorkspaceLook =
  | { readonly kind: 'failed'; readonly failure: UpstreamFailure; readonly isWorkspaceMissing: boolean }
  /** PipeOps answered and D1 did not: without the inventory beside it a list says nothing. */
  | { readonly kind: 'unread' }
  | {
      readonly kind: 'listed';
      readonly begunAtMs: number;
      readonly list: TokenList;
      readonly shown: ReadonlyMap<string, UpstreamToken>;
      /** Ids of the inventory that are gone by the rule of absence, with this list as one of its proofs. */
      readonly gone: ReadonlySet<string>;
      /** The list is incomplete, or lacks too many tokens at once, to prove any absence. */
      readonly isNoProof: boolean;
    };

export function createRun(
  dependencies: DriverDependencies,
  context: RequestContext,
  { of, budget, reserved }: { readonly of: OrdersOf; readonly budget: Budget; readonly reserved: ReservedCalls },
): Run {
  const { quota, runtime } = dependencies;
  let isOver = false;
  return {
    lists: createLists(dependencies, context, reserved),
    of,
    goesOn: (d1Queries) => !isOver && mayCall(quota, runtime.now()) && budget.permits(d1Queries),
    end: () => {
      isOver = true;
    },
  };
}

const mayCall = (quota: Pick<Quota, 'permit' | 'mayTry'>, nowMs: number): boolean =>
  quota.permit('revocation', null, nowMs) === null || quota.mayTry(nowMs);

/** A bug keeps one order from its end. The others of its run go on, and it is due again when its lease ends. */
export function logNotDriven(runtime: Pick<Runtime, 'log'>, orderId: string, error: unknown): void {
  const name = error instanceof Error ? error.name : 'unknown';
  runtime.log({ level: 'error', event: 'order_not_driven', event_id: orderId, name });
}

/**
 * The lists of one run. Each is compared with the inventory as soon as it is there, and what it shows of tokens without an order
 * is written down as well.
 *
 * @param reserved of the calls of the run.
 */
function createLists(dependencies: DriverDependencies, context: RequestContext, reserved: ReservedCalls): Lists {
  const { pipeops, runtime } = dependencies;
  const asked = new Map<string, { readonly look: WorkspaceLook; readonly begunAtMs: number; isOutdated: boolean }>();
  // No call is repeated at once: an order that fails is due again after a pause of its own.
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
    asked.set(workspaceUuid, { look, begunAtMs, isOutdated: false });
    return look;
  };
  const fresh = (workspaceUuid: string, sinceMs: number): WorkspaceLook | null => {
    const last = asked.get(workspaceUuid);
    return last !== undefined && !last.isOutdated && last.begunAtMs >= sinceMs ? last.look : null;
  };
  return {
    call,
    lookUp: (eventId) => {
      lookUps += 1;
      return lookUps > UNKNOWN_IDS_MAX_COUNT ? null : doubtful(eventId);
    },
    any: async (workspaceUuid, eventId, sinceMs) => {
      const last = asked.get(workspaceUuid);
      return last !== undefined && last.begunAtMs >= sinceMs ? last.look : await ask(workspaceUuid, call(eventId));
    },
    since: async (workspaceUuid, eventId, sinceMs) =>
      fresh(workspaceUuid, sinceMs) ?? (await ask(workspaceUuid, call(eventId))),
    unknown: async (workspaceUuid, eventId, sinceMs) =>
      fresh(workspaceUuid, sinceMs) ?? (await ask(workspaceUuid, doubtful(eventId))),
    outdate: (workspaceUuid) => {
      const last = asked.get(workspaceUuid);
      if (last !== undefined) last.isOutdated = true;
    },
  };
}

/** No token is named in the call, so a 404 is about the workspace. */
const failedLook = (failure: UpstreamFailure): WorkspaceLook => ({
  kind: 'failed',
  failure,
  isWorkspaceMissing: failure.kind === 'upstream_forbidden' && failure.status === 404,
});

/** Compares a list with the inventory, and writes down what it shows. */
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
