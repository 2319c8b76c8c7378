import { ABSENCE_ASK_ALONE_MAX_TOKENS, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import { callWithin } from '../pipeops/call.ts';
import type { Call, PipeOps } from '../pipeops/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Database } from '../db/database.ts';
import { recordAbsence, recordPresence } from './looks.ts';

interface Dependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly pipeops: Pick<PipeOps, 'get'>;
}

/**
 * Asks PipeOps for tokens by themselves that its list lacks and that such a list proves nothing about, a few at a time, and
 * writes down what it answers. The list was answered, so 404 is about the token. Anything but an answer about the token ends
 * it: the next list begins anew.
 *
 * @param ids in the order in which they matter.
 * @param whose what the calls are for, and whose they are if a caller's read causes them.
 */
export async function askAlone(
  { database, runtime, pipeops }: Dependencies,
  context: RequestContext,
  workspaceUuid: string,
  ids: readonly string[],
  whose: Pick<Call, 'purpose' | 'calls'>,
): Promise<void> {
  const asked = ids.slice(0, ABSENCE_ASK_ALONE_MAX_TOKENS);
  if (asked.length === 0) return;
  const cause = context.trace.eventId ?? context.requestId;
  const call = callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, cause, { ...whose, once: true });
  for (const tokenId of asked) {
    const ref = { workspaceUuid, tokenId };
    const begunAtMs = runtime.now();
    const got = await pipeops.get(ref, call);
    if (got.ok) await recordPresence({ database, runtime }, context, ref, got.value.data, begunAtMs);
    else if (got.error.kind === 'upstream_not_found')
      await recordAbsence({ database, runtime }, context, ref, begunAtMs);
    else return;
  }
}
