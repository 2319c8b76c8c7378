import { sql } from 'drizzle-orm';
import { compiled } from '../db/sql.ts';
import type { Database } from '../db/database.ts';
import { workspaces } from '../db/schema.ts';

/**
 * Raises a workspace's generation: its tokens may have changed, so no list that was begun before is served any more. In the
 * batch that records what changed them. Raising it once too often costs a call to PipeOps; once too rarely, a lie.
 */
export const raiseGeneration = (database: Database, workspaceUuid: string) =>
  RAISE_GENERATION(database, { workspaceUuid });

const RAISE_GENERATION = compiled(({ build }) =>
  build
    .insert(workspaces)
    .values({ workspace_uuid: sql.placeholder('workspaceUuid'), generation: 1, lease_until: 0 })
    .onConflictDoUpdate({ target: workspaces.workspace_uuid, set: { generation: sql`${workspaces.generation} + 1` } }),
);
