import { sql } from 'drizzle-orm';
import { WORKSPACES_SHOWN_MAX_COUNT } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { tokens, workspaces } from '../db/schema.ts';

/**
 * The query for the workspaces that the inventory holds tokens of: those that PipeOps has minted or listed a token in, and not
 * whatever a caller has asked about. Those that PipeOps does not know any more are left out.
 *
 * It steps from one workspace to the next in the inventory's primary key: some three rows for each, however many tokens there are.
 */
export function selectWorkspacesInUse({ build }: Database) {
  const next = sql`select min(${tokens.workspace_uuid}) from ${tokens} where ${tokens.workspace_uuid} > used.id`;
  const ids = sql`with recursive used(id) as (
      select min(${tokens.workspace_uuid}) from ${tokens}
      union all
      select (${next}) from used where used.id is not null limit ${WORKSPACES_SHOWN_MAX_COUNT})
    select id from used where id is not null and not exists (
      select 1 from ${workspaces} where ${workspaces.workspace_uuid} = used.id and ${workspaces.list_state} = 'unavailable')`;
  return build.select({ id: sql<string>`id`.as('id') }).from(sql`(${ids})`);
}
