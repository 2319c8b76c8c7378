import { markerOf } from '../kit/marker.ts';
import type { TokenRow } from '../db/schema.ts';
import type { UpstreamFailure } from '../failures.ts';
import { isWithin } from '../kit/ids.ts';
import type { Call, PipeOps, TokenRef } from '../pipeops/types.ts';
import { maySeeTokensOfOthers } from '../policy/decide.ts';
import type { Caller, KnownToken } from '../policy/types.ts';
import { isProofOfAbsence } from './absence.ts';
import { ok, type Result } from '../kit/result.ts';
import { knownToken } from './inventory.ts';

/** A token that is in the workspace, and the marker of its name at PipeOps, or what looks like one. */
export interface TokenInWorkspace {
  readonly token: KnownToken;
  readonly marker: string | null;
}

/**
 * Finds out whether an id belongs to a workspace, without trusting PipeOps to keep workspaces apart: an id is acted on only if the
 * inventory, or PipeOps' own list of that workspace, has it there.
 *
 * Null: it does not, as far as this caller may know. For a caller who is shown only its own tokens nobody but the inventory is asked,
 * so an id that is somebody else's costs no call and looks like one that never was.
 *
 * Fails with PipeOps' failure where the question cannot be answered. That is never a 404.
 */
export async function findInWorkspace(
  pipeops: PipeOps,
  caller: Caller,
  ref: TokenRef,
  inventoryRow: TokenRow | undefined,
  call: Call,
): Promise<Result<TokenInWorkspace | null, UpstreamFailure>> {
  if (inventoryRow !== undefined) return ok({ token: knownToken(inventoryRow), marker: inventoryRow.marker });
  if (!maySeeTokensOfOthers(caller, ref.workspaceUuid)) return ok(null);

  return await findUpstream(pipeops, ref, await pipeops.list(ref.workspaceUuid, call), call);
}

/**
 * Finds out by PipeOps' word alone whether an id belongs to a workspace: by its list of the workspace and, where the list lacks the id
 * and proves nothing, by one GET, whose answer must name the workspace. Null: it does not.
 *
 * @param listed the answer to that list.
 */
export async function findUpstream(
  pipeops: Pick<PipeOps, 'get'>,
  ref: TokenRef,
  listed: Awaited<ReturnType<PipeOps['list']>>,
  call: Call,
): Promise<Result<TokenInWorkspace | null, UpstreamFailure>> {
  const named = (name: string): TokenInWorkspace => ({
    token: { ...ref, owner: null, suspendedBy: [] },
    marker: markerOf(name),
  });
  if (!listed.ok) return listed;
  const there = listed.value.data.tokens.find((token) => token.id === ref.tokenId);
  if (there !== undefined) return ok(named(there.name));
  if (isProofOfAbsence(listed.value.data)) return ok(null);

  const got = await pipeops.get(ref, call);
  if (got.ok) return ok(isWithin(ref.workspaceUuid, got.value.data.workspaceId) ? named(got.value.data.name) : null);
  return got.error.kind === 'upstream_not_found' ? ok(null) : got;
}
