import { LEFT_OUT_PAUSE_MS, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import { untilAborted } from '../kit/deadline.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { Call, MintedToken, PipeOps } from '../pipeops/types.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Granted } from './effects.ts';

/**
 * A minted token with what the answer to its create left out, read by one GET: what that lacks too is none. A whole answer costs
 * no call, and neither does an expiry that is left out where none was granted.
 *
 * 404 is lag, since the token was minted a moment ago: the GET is tried again until the time of the call is up. Any failure
 * means that nobody knows what was minted.
 */
export async function readLeftOut(
  { pipeops, runtime }: { readonly pipeops: Pick<PipeOps, 'get'>; readonly runtime: Pick<Runtime, 'sleep'> },
  granted: Granted,
  minted: MintedToken,
  call: Call,
): Promise<Result<MintedToken, UpstreamFailure>> {
  const { leftOut } = minted;
  const isWanted = [...leftOut].some((field) => field !== 'expires_at' || granted.expiresAtMs !== null);
  if (!isWanted) return ok(minted);
  const ref = { workspaceUuid: granted.workspaceUuid, tokenId: minted.id };
  let pausedMs = 0;
  for (let pauseMs = LEFT_OUT_PAUSE_MS; ; pauseMs *= 2) {
    const got = await pipeops.get(ref, call);
    if (got.ok) {
      const { scopes, expiresAt, workspaceId } = got.value.data;
      return ok({
        ...minted,
        ...(leftOut.has('scopes') && { scopes }),
        ...(leftOut.has('expires_at') && { expiresAt }),
        ...(leftOut.has('workspace_id') && { workspaceId }),
      });
    }
    if (got.error.kind !== 'upstream_not_found') return got;
    pausedMs += pauseMs;
    if (pausedMs > UPSTREAM_TIMEOUT_MS || !(await isPausedInTime(runtime, pauseMs, call.signal))) {
      // To its caller it is not the token that is missing.
      return err({ kind: 'upstream_invalid_response', status: got.error.status });
    }
  }
}

async function isPausedInTime(runtime: Pick<Runtime, 'sleep'>, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await untilAborted(runtime.sleep(ms), signal);
    return !signal.aborted;
  } catch {
    return false;
  }
}
