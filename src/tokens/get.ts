import type { TokenRow } from '../db/schema.ts';
import type { Failure } from '../failures.ts';
import { isProofOfAbsence } from '../inventory/absence.ts';
import { maySeeTokensOfOthers } from '../policy/decide.ts';
import type { Caller, KnownToken } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { knownToken } from './inventory.ts';
import { watchDrift } from './drift.ts';
import { named, type ShownToken } from './present.ts';
import { runRead, type Found } from './read.ts';
import type { TokenReadRequest } from './types.ts';

/**
 * Reads one token out of the workspace's list. An id that a complete list of one page lacks is not there, and costs no call;
 * where the list is partial, or a token may have slipped through between its pages, PipeOps is asked for the id by itself.
 */
export async function getToken(
  { decide, ...dependencies }: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  { workspaceUuid, tokenId, isNoCache }: TokenReadRequest,
): Promise<Result<Found<ShownToken>, Failure>> {
  const { pipeops, runtime } = dependencies;
  const ref = { workspaceUuid, tokenId };
  const refusal = (token: KnownToken | null): Failure | null => {
    const decision = decide(caller, { operation: 'get', workspaceUuid, token });
    return decision.allowed ? null : decision.failure;
  };
  const isReachable = maySeeTokensOfOthers(caller, workspaceUuid);
  let known: TokenRow | undefined;

  const read = await runRead<ShownToken>({ decide, ...dependencies }, context, caller, isNoCache, {
    subject: { action: 'service_account_token.get', ...ref, tokenName: null, detail: {} },
    refuse: () => null,
    // For whoever reaches nothing but its own tokens the inventory is all: somebody else's id looks like one that never was.
    refuseKnowing: (inventory) => {
      known = inventory.find(({ token_id }) => token_id === tokenId);
      return known === undefined && isReachable ? null : refusal(known === undefined ? null : knownToken(known));
    },
    isKnown: () => known !== undefined,
    judge: ({ list, inventory }) => {
      known = inventory.get(tokenId);
      const listed = list.tokens.find(({ id }) => id === tokenId);
      // Without the inventory's word PipeOps' list alone says that it is in this workspace.
      const there = listed === undefined || !isReachable ? null : { ...ref, owner: null, suspendedBy: [] };
      const token = known === undefined ? there : knownToken(known);
      const saysAbsent = isProofOfAbsence(list);
      if (token === null && isReachable && !saysAbsent) return 'beside';
      const refused = refusal(token);
      if (refused !== null) return err(refused);
      if (listed !== undefined && !listed.isRevoked) return ok(named(listed, known));
      return saysAbsent || listed !== undefined ? err(NOT_THERE) : 'beside';
    },
    askBeside: async (call) => {
      const got = await pipeops.get(ref, call);
      if (!got.ok) return known === undefined && got.error.kind === 'upstream_not_found' ? err(NOT_THERE) : got;
      // An id that the inventory lacks is acted on only if the answer names the workspace.
      const isHere = known !== undefined || got.value.data.workspaceId === workspaceUuid;
      const refused = known === undefined && isHere ? refusal({ ...ref, owner: null, suspendedBy: [] }) : null;
      if (!isHere) return err({ kind: 'token_not_found', reason: 'unknown' });
      return refused === null ? ok({ ...got.value, data: named(got.value.data, known) }) : err(refused);
    },
  });
  if (read.ok && read.value.asked !== null) {
    runtime.background(watchDrift(dependencies, context, workspaceUuid, read.value.asked));
  }
  return read;
}

/** PipeOps has it no longer, or never had. */
const NOT_THERE = { kind: 'token_not_found', reason: 'unknown' } as const;
