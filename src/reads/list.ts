import type { Failure } from '../failures.ts';
import type { UpstreamToken } from '../pipeops/types.ts';
import { visibleTokens } from '../policy/decide.ts';
import type { Caller, KnownToken } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Result } from '../kit/result.ts';
import type { Snapshot } from './snapshot.ts';
import { watchDrift } from '../inventory/drift.ts';
import { knownToken } from '../inventory/inventory.ts';
import { named, type Listing, type ShownToken } from './present.ts';
import { runRead, type ReadAnswer, type ReadDependencies } from './read.ts';
import type { WorkspaceRequest } from '../tokens/types.ts';

/** Lists the tokens of a workspace that this caller may see: the union of what each of its roles shows. */
export async function listTokens(
  dependencies: ReadDependencies,
  context: RequestContext,
  caller: Caller,
  { workspaceUuid, isNoCache }: WorkspaceRequest,
): Promise<Result<ReadAnswer<Listing>, Failure>> {
  const { decide, reconciler, runtime } = dependencies;
  const read = await runRead(dependencies, context, caller, isNoCache, {
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
    judge: () => ({ kind: 'show', show: (snapshot) => visible(caller, workspaceUuid, snapshot) }),
    askAlone: async () => await Promise.reject(new TypeError('A list is asked for as a whole.')),
  });
  if (read.ok && read.value.asked !== null) {
    const { asked } = read.value;
    const { snapshot } = asked;
    runtime.background(reconciler.sweep(context, workspaceUuid, strangers(snapshot), snapshot.begunAtMs));
    runtime.background(watchDrift(dependencies, context, caller, workspaceUuid, asked));
  }
  return read;
}

/** Tokens that no delivered create of ours accounts for: one of them may belong to a create that failed. */
const strangers = ({ list, inventory }: Snapshot): readonly UpstreamToken[] =>
  list.tokens.filter((token) => !inventory.has(token.id));

function visible(caller: Caller, workspaceUuid: string, snapshot: Snapshot): Listing {
  const known = (tokenId: string): KnownToken => {
    const row = snapshot.inventory.get(tokenId);
    return row === undefined
      ? { tokenId, workspaceUuid, owner: null, suspendedBy: [] }
      : knownToken({ ...row, workspace_uuid: workspaceUuid });
  };
  const tokens = namedTokens(snapshot);
  const candidates = tokens.map((token) => ({ ...known(token.id), token }));
  const shown = visibleTokens(caller, workspaceUuid, candidates);
  // The list itself where all of it is shown, so that its bytes need not be made anew for each caller.
  const seen = shown.length === tokens.length ? tokens : shown.map(({ token }) => token);
  return { tokens: seen, isPartial: !snapshot.list.complete };
}

/** The tokens of a list as they are shown, made once for each list that is held. */
function namedTokens(snapshot: Snapshot): readonly ShownToken[] {
  const tokens =
    NAMED.get(snapshot) ?? snapshot.list.tokens.map((token) => named(token, snapshot.inventory.get(token.id)));
  NAMED.set(snapshot, tokens);
  return tokens;
}

const NAMED = new WeakMap<Snapshot, readonly ShownToken[]>();
