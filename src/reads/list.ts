import type { Failure } from '../failures.ts';
import type { UpstreamToken } from '../pipeops/types.ts';
import { maySeeTokensOfOthers, visibleTokens } from '../policy/decide.ts';
import type { Caller, KnownToken } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Result } from '../kit/result.ts';
import type { Snapshot } from './snapshot.ts';
import { watchDrift } from '../inventory/drift.ts';
import { knownToken } from '../inventory/inventory.ts';
import { type Listing, named, type ShownToken } from './present.ts';
import { type ReadAnswer, type ReadDependencies, type ReadOperation, runRead } from './read.ts';
import type { WorkspaceRequest } from '../tokens/requests.ts';

/** Lists the tokens of a workspace that this caller may see: the union of what each of its roles shows. */
export async function listTokens(
  dependencies: ReadDependencies,
  context: RequestContext,
  caller: Caller,
  { workspaceUuid, isNoCache }: WorkspaceRequest,
): Promise<Result<ReadAnswer<Listing>, Failure>> {
  const { reconciler, runtime } = dependencies;
  const operation = listOperation(dependencies, caller, workspaceUuid);
  const read = await runRead(dependencies, context, caller, isNoCache, operation);
  if (read.ok && read.value.asked !== null) {
    const { asked } = read.value;
    const { snapshot } = asked;
    runtime.background(reconciler.sweep(context, workspaceUuid, strangers(snapshot), snapshot.begunAtMs));
    runtime.background(watchDrift(dependencies, context, caller, workspaceUuid, asked));
  }
  return read;
}

/** What a list shows, and to whom it is refused. */
export function listOperation(
  { decide }: Pick<ReadDependencies, 'decide'>,
  caller: Caller,
  workspaceUuid: string,
): ReadOperation<Listing> {
  return {
    subject: {
      action: 'service_account_token.list',
      workspaceUuid,
      tokenId: null,
      tokenName: null,
      detail: {},
    },
    isReachable: true,
    mayList: true,
    refuse: () => {
      const decision = decide(caller, { operation: 'list', workspaceUuid });
      return decision.allowed ? null : decision.failure;
    },
    refuseKnowing: () => null,
    isKnown: () => false,
    judge: () => ({ kind: 'show', show: (snapshot) => listing(caller, workspaceUuid, snapshot) }),
    askAlone: async () => await Promise.reject(new TypeError('A list is asked for as a whole.')),
  };
}

/** Tokens that no delivered create of ours accounts for: one of them may belong to a create that failed. */
const strangers = ({ list, inventory }: Snapshot): readonly UpstreamToken[] =>
  list.tokens.filter((token) => !inventory.has(token.id));

function listing(caller: Caller, workspaceUuid: string, snapshot: Snapshot): Listing {
  const { generation, begunAtMs } = snapshot;
  // A role over any token shows all of them, and every other role its caller's own.
  const view = maySeeTokensOfOthers(caller, workspaceUuid) ? 'all' : { issuer: caller.issuer, subject: caller.subject };
  return {
    name: JSON.stringify([workspaceUuid, generation, begunAtMs, view]),
    tokens: () => visible(caller, workspaceUuid, snapshot),
    isPartial: !snapshot.list.complete,
  };
}

function visible(caller: Caller, workspaceUuid: string, { list, inventory }: Snapshot): readonly ShownToken[] {
  const known = (tokenId: string): KnownToken => {
    const row = inventory.get(tokenId);
    return row === undefined
      ? { tokenId, workspaceUuid, owner: null, suspendedBy: [] }
      : knownToken({ ...row, workspace_uuid: workspaceUuid });
  };
  const candidates = list.tokens.map((token) => ({ ...known(token.id), token }));
  const shown = visibleTokens(caller, workspaceUuid, candidates);
  return shown.map(({ token }) => named(token, inventory.get(token.id)));
}
