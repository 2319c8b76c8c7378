import { sql } from 'drizzle-orm';
import { markerOf } from '../kit/marker.ts';
import type { Database } from '../db/database.ts';
import { auditEvents } from '../db/schema.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import type { UpstreamToken } from '../pipeops/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { idsOf } from './recording.ts';

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
