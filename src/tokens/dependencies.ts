import type { Recorder } from '../audit/recorder.ts';
import type { Reconciler } from '../audit/reconciliation.ts';
import type { Database } from '../db/database.ts';
import type { Decision, Caller, PolicyRequest } from '../policy/types.ts';
import type { Call, PipeOps } from '../pipeops/types.ts';
import type { Runtime } from '../runtime.ts';
import type { RequestContext } from '../request-context.ts';
import { UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';

/** What the five operations are made of. */
export interface TokenDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly reconciler: Pick<Reconciler, 'sweep'>;
  readonly pipeops: PipeOps;
  readonly decide: (caller: Caller, request: PolicyRequest) => Decision;
  readonly runtime: Runtime;
}

/** What accompanies every call to PipeOps that one operation makes: they share one deadline. */
export function upstreamCall(
  runtime: Runtime,
  context: RequestContext,
  eventId: string,
  timeoutMs: number = UPSTREAM_TIMEOUT_MS,
): Call {
  return {
    eventId,
    traceparent: context.traceparent,
    signal: runtime.timeout(timeoutMs),
    onCall: () => {
      context.trace.upstreamCalls += 1;
    },
  };
}
