import { sql } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { auditEvents, type TokenRow } from '../db/schema.ts';
import { idsOf } from '../db/sql.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { UpstreamFailure } from '../failures.ts';
import { isWithin } from '../kit/ids.ts';
import { markerOf } from '../kit/marker.ts';
import { ok, type Result } from '../kit/result.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Call, PipeOps, TokenRef, UpstreamToken } from '../pipeops/types.ts';
import { maySeeTokensOfOthers } from '../policy/decide.ts';
import type { Caller, KnownToken } from '../policy/types.ts';
import { isProofOfAbsence } from './absence.ts';
import { knownToken } from './inventory.ts';

// Whose is an id, and whose is a name: PipeOps' word is not enough for either.

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

/** The ends of tokens' names that have the shape of a marker. One counts only where a row of the trail has it: see `selectOwnMarkers`. */
export const markersIn = (tokens: readonly Pick<UpstreamToken, 'name'>[]): readonly string[] =>
  tokens.map(({ name }) => markerOf(name)).filter((marker) => marker !== null);

/** Selects which of these markers a row of the trail has in that workspace. A name that is copied elsewhere moves nothing there. */
export const selectOwnMarkers = ({ build }: Database, workspaceUuid: string, markers: readonly string[]) =>
  build
    .select({ marker: auditEvents.marker })
    .from(auditEvents)
    .where(
      sql`${auditEvents.marker} in ${idsOf(markers)} and ${canonicalWorkspace('workspace_uuid')} = ${workspaceUuid}`,
    );

/**
 * Gives back the marker that a token's name ends with, if a row of the trail has it: a rename must send it again. D1 is asked only where
 * there is a marker. Where D1 does not answer, the marker is taken for ours, so that no create loses its token.
 */
export async function ownMarkerOf(
  database: Database,
  context: Pick<RequestContext, 'trace'>,
  workspaceUuid: string,
  marker: string | null,
): Promise<string | null> {
  if (marker === null) return null;
  const read = await database.batch(context, [selectOwnMarkers(database, workspaceUuid, [marker])]);
  return !read.ok || read.value[0].length > 0 ? marker : null;
}
