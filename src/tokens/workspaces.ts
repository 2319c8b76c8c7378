import { sql } from 'drizzle-orm';
import type { Hono } from 'hono';
import { WORKSPACES_SHOWN_MAX_COUNT } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { tokens, workspaces } from '../db/schema.ts';
import { refuseBarred } from '../http/access.ts';
import { failure, methodNotAllowed, success } from '../http/answer.ts';
import type { AppEnv } from '../http/context.ts';
import { noParameters } from '../http/query.ts';
import { mayUseAnyWorkspace, usableWorkspaces } from '../policy/reach.ts';
import { barOf, selectBar } from '../subjects/bars.ts';
import type { Recorder } from '../trail/recorder.ts';

export interface WorkspaceDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly defaultWorkspaceUuid: string | null;
  /** The workspaces that the policy names, in file order. */
  readonly namedInPolicy: readonly string[];
}

export const WORKSPACE = '/workspace';

/**
 * Registers PipeOps' own list of workspaces, which its CLI, MCP server and SDK ask for first. It shows those that the caller may use
 * here. Like `whoami` it is logged and not in the trail, unless its caller was offboarded.
 */
export function registerWorkspaceRoute(app: Hono<AppEnv>, dependencies: WorkspaceDependencies): void {
  const { database, recorder, defaultWorkspaceUuid, namedInPolicy } = dependencies;

  app.get(WORKSPACE, noParameters, async (c) => {
    const { caller, context } = c.var;
    const inUse = mayUseAnyWorkspace(caller) ? [selectWorkspacesInUse(database)] : [];
    const read = await database.batch(context, [selectBar(database, caller), ...inUse] as const);
    if (!read.ok) return failure(c, { kind: 'audit_unavailable' });
    const [[block], used] = read.value;
    const bar = barOf(block);
    if (bar !== null) return await refuseBarred(c, recorder, 'workspace.list', bar);
    const usable = usableWorkspaces(caller, {
      byDefault: defaultWorkspaceUuid,
      inPolicy: namedInPolicy,
      inUse: (used ?? []).map(({ id }) => id),
    });
    return success(c, 'Workspaces that you may use here.', { workspaces: usable.map(presentWorkspace) });
  });
  app.all(WORKSPACE, methodNotAllowed('GET'));
}

/** A workspace as the SDK reads it. Its name at PipeOps is not known here, and PipeOps' CLI shows the name, so the UUID stands for it. */
const presentWorkspace = (uuid: string) => ({ id: uuid, uuid, name: uuid });

/**
 * Selects the workspaces of which the inventory has tokens: PipeOps has minted or listed a token there, so no caller can make one up by
 * asking about it. Workspaces that PipeOps does not know any more are left out.
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
