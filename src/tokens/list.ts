import type { Failure } from '../failures.ts';
import type { TokenList, UpstreamToken } from '../pipeops/types.ts';
import { visibleTokens } from '../policy/decide.ts';
import type { Caller, KnownToken } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import type { TokenRow } from '../db/schema.ts';
import { err, ok, type Result } from '../result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { findDrift, recordDrift } from './drift.ts';
import { knownToken, selectWorkspace } from './inventory.ts';
import { runRead } from './read.ts';
import type { WorkspaceRequest } from './types.ts';

/** Lists the tokens of a workspace that this caller may see: the union of what each of its roles shows. */
export async function listTokens(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  { workspaceUuid }: WorkspaceRequest,
): Promise<Result<readonly UpstreamToken[], Failure>> {
  const { database, decide, pipeops, reconciler, runtime } = dependencies;
  const begunAtMs = runtime.now();
  const read = await runRead<TokenList, readonly [ReturnType<typeof selectWorkspace>]>(dependencies, context, caller, {
    subject: {
      action: 'service_account_token.list',
      workspaceUuid,
      tokenId: null,
      tokenName: null,
      detail: {},
    },
    ask: async (call) => {
      const decision = decide(caller, { operation: 'list', workspaceUuid });
      return decision.allowed ? await pipeops.list(workspaceUuid, call) : err(decision.failure);
    },
    alongside: [selectWorkspace(database, workspaceUuid)],
  });
  if (!read.ok) return read;
  const listed = read.value.data.tokens;
  const [inventory] = read.value.rows;
  runtime.background(reconciler.sweep(context, workspaceUuid, strangers(listed, inventory)));
  const drift = findDrift(inventory, read.value.data, begunAtMs);
  runtime.background(recordDrift(dependencies, context, workspaceUuid, drift));
  return ok(visible(caller, workspaceUuid, listed, inventory));
}

/** Tokens that no delivered create of ours accounts for: one of them may belong to a create that failed. */
function strangers(listed: readonly UpstreamToken[], inventory: readonly TokenRow[]): readonly UpstreamToken[] {
  const known = new Set(inventory.map((row) => row.token_id));
  return listed.filter((token) => !known.has(token.id));
}

function visible(
  caller: Caller,
  workspaceUuid: string,
  listed: readonly UpstreamToken[],
  inventory: readonly TokenRow[],
): readonly UpstreamToken[] {
  const known = new Map(inventory.map((row) => [row.token_id, knownToken(row)]));
  const withoutOwner = (tokenId: string): KnownToken => ({
    tokenId,
    workspaceUuid,
    owner: null,
    suspended: false,
  });
  const candidates = listed.map((token) => ({ ...(known.get(token.id) ?? withoutOwner(token.id)), token }));
  return visibleTokens(caller, workspaceUuid, candidates).map(({ token }) => token);
}
