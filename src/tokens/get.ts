import { D1_TIMEOUT_MS } from '../config/limits.ts';
import type { Failure } from '../failures.ts';
import type { Answered, Call, UpstreamToken } from '../pipeops/types.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { selectToken } from './inventory.ts';
import { findInWorkspace } from './reach.ts';
import { runRead } from './read.ts';
import type { TokenRequest } from './types.ts';

/** Reads one token from PipeOps. */
export async function getToken(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  ref: TokenRequest,
): Promise<Result<UpstreamToken, Failure>> {
  const read = await runRead(dependencies, context, caller, {
    subject: {
      action: 'service_account_token.get',
      workspaceUuid: ref.workspaceUuid,
      tokenId: ref.tokenId,
      tokenName: null,
      detail: {},
    },
    ask: async (call) => await ask(dependencies, context, caller, ref, call),
    alongside: [],
  });
  return read.ok ? ok(read.value.data) : read;
}

async function ask(
  { database, decide, pipeops, runtime }: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  ref: TokenRequest,
  call: Call,
): Promise<Result<Answered<UpstreamToken>, Failure>> {
  const inventory = await database.batch(context, [selectToken(database, ref)], runtime.timeout(D1_TIMEOUT_MS));
  if (!inventory.ok) return err({ kind: 'audit_unavailable' });
  const found = await findInWorkspace(pipeops, caller, ref, inventory.value[0][0], call);
  if (!found.ok) return found;
  const decision = decide(caller, {
    operation: 'get',
    workspaceUuid: ref.workspaceUuid,
    token: found.value?.token ?? null,
  });
  if (!decision.allowed) return err(decision.failure);
  return await pipeops.get(ref, call);
}
