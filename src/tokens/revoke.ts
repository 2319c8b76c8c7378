import { successOutcome } from '../audit/outcomes.ts';
import type { Failure } from '../failures.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { markRevoked } from './inventory.ts';
import { runMutation } from './mutation.ts';
import { findInWorkspace } from './reach.ts';
import type { TokenRequest } from './types.ts';

/** Revokes a token. One that is already gone counts as revoked, and the row says so. */
export async function revokeToken(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  ref: TokenRequest,
): Promise<Result<'revoked', Failure>> {
  const { database, decide, pipeops, runtime } = dependencies;

  return await runMutation(dependencies, context, caller, {
    subject: {
      action: 'service_account_token.revoke',
      workspaceUuid: ref.workspaceUuid,
      tokenId: ref.tokenId,
      tokenName: null,
      detail: {},
    },
    purpose: 'revocation',
    decide: async (known, call) => {
      const found = await findInWorkspace(pipeops, caller, ref, known, call);
      if (!found.ok) return found;
      const decision = decide(caller, {
        operation: 'revoke',
        workspaceUuid: ref.workspaceUuid,
        token: found.value?.token ?? null,
      });
      return decision.allowed ? ok({ grant: decision.grant }) : err(decision.failure);
    },
    perform: async (_allowed, call) => await pipeops.revoke(ref, call),
    outcome: (grant, answer) => successOutcome(answer.status, { role: grant.role }),
    following: () => (guard) => [markRevoked(database, ref, runtime.now(), guard)],
  });
}
