import { sql } from 'drizzle-orm';
import { markerOf } from '../kit/marker.ts';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { UpstreamToken } from '../pipeops/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { idsOf } from './recording.ts';

/** What the names of tokens end with, where that has the shape of a marker. It counts where a row of ours holds it. */
export const markersIn = (tokens: readonly Pick<UpstreamToken, 'name'>[]): readonly string[] =>
  tokens.map(({ name }) => markerOf(name)).filter((marker) => marker !== null);

/** Which of these markers a row of ours holds in that workspace: a name alone moves nothing elsewhere. */
export const selectHeldMarkers = ({ build }: Database, workspaceUuid: string, markers: readonly string[]) =>
  build
    .select({ marker: auditEvents.marker })
    .from(auditEvents)
    .where(
      sql`${auditEvents.marker} in ${idsOf(markers)} and ${canonicalWorkspace('workspace_uuid')} = ${workspaceUuid}`,
    );

/**
 * The marker that a token's name ends with, if a row of ours holds it: what a rename must send again. It is asked for only where
 * the name has its shape; where D1 does not say, the name is taken for ours, so that no create loses its token.
 */
export async function heldMarkerOf(
  database: Database,
  context: Pick<RequestContext, 'trace'>,
  workspaceUuid: string,
  marker: string | null,
): Promise<string | null> {
  if (marker === null) return null;
  const read = await database.batch(context, [selectHeldMarkers(database, workspaceUuid, [marker])]);
  return !read.ok || read.value[0].length > 0 ? marker : null;
}
