import { UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import { callWithin } from '../pipeops/call.ts';
import type { Call, PipeOps } from '../pipeops/types.ts';
import type { RequestContext } from '../request-context.ts';
import type { Runtime } from '../runtime.ts';

export type Listed = Awaited<ReturnType<PipeOps['list']>>;

/** PipeOps' lists, as one run asks for them. */
export interface Lists {
  /** With one deadline for all that it is used for. */
  readonly call: (eventId: string) => Call;
  /** Of a workspace, asked for once: whether a token was there at all. */
  readonly once: (workspaceUuid: string, call: Call) => Promise<Listed>;
  /** Of a workspace, asked for now: whether a token is still there. */
  readonly fresh: (workspaceUuid: string, eventId: string) => Promise<Listed>;
}

export function createLists(pipeops: PipeOps, runtime: Runtime, context: RequestContext): Lists {
  const asked = new Map<string, Promise<Listed>>();
  // All of it serves a revocation, and an order that fails is due again after a pause of its own.
  const call = (eventId: string): Call =>
    callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, eventId, { purpose: 'revocation', once: true });
  const fresh = async (workspaceUuid: string, eventId: string): Promise<Listed> =>
    await pipeops.list(workspaceUuid, call(eventId));
  return {
    call,
    fresh,
    once: async (workspaceUuid, ownCall) => {
      const known = asked.get(workspaceUuid) ?? pipeops.list(workspaceUuid, ownCall);
      asked.set(workspaceUuid, known);
      return await known;
    },
  };
}
