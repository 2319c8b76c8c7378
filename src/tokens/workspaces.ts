import type { Hono } from 'hono';
import type { Recorder } from '../trail/recorder.ts';
import type { Database } from '../db/database.ts';
import type { AppEnv } from '../http/app-env.ts';
import { failure, success } from '../http/answer.ts';
import { methodNotAllowed } from '../http/method-not-allowed.ts';
import { noParameters } from '../http/no-parameters.ts';
import { refuseBlocked } from '../http/refuse-blocked.ts';
import { mayUseAnyWorkspace, usableWorkspaces } from '../policy/workspaces.ts';
import { selectBlocked } from '../subjects/blocks.ts';
import { selectWorkspacesInUse } from './workspaces-in-use.ts';

export interface WorkspaceDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly defaultWorkspaceUuid: string | null;
  /** Those that the policy names, in file order. */
  readonly namedInPolicy: readonly string[];
}

export const WORKSPACE = '/workspace';

/**
 * PipeOps' own list of workspaces, which its CLI, MCP server and SDK ask for first: those that the caller may use here. Like
 * `whoami` it is logged and not in the trail, unless its caller was offboarded.
 */
export function registerWorkspaceRoute(app: Hono<AppEnv>, dependencies: WorkspaceDependencies): void {
  const { database, recorder, defaultWorkspaceUuid, namedInPolicy } = dependencies;

  app.get(WORKSPACE, noParameters, async (c) => {
    const { caller, context } = c.var;
    const inUse = mayUseAnyWorkspace(caller) ? [selectWorkspacesInUse(database)] : [];
    const read = await database.batch(context, [selectBlocked(database, caller), ...inUse] as const);
    if (!read.ok) return failure(c, { kind: 'audit_unavailable' });
    const [[block], used] = read.value;
    if (block?.blocked === 1) return await refuseBlocked(c, recorder, 'workspace.list');
    const workspaces = usableWorkspaces(caller, {
      byDefault: defaultWorkspaceUuid,
      inPolicy: namedInPolicy,
      inUse: (used ?? []).map(({ id }) => id),
    });
    return success(c, 'Workspaces that you may use here.', { workspaces: workspaces.map(presentWorkspace) });
  });
  app.all(WORKSPACE, methodNotAllowed('GET'));
}

/** As the SDK reads one. What PipeOps calls it is not known here, and its CLI shows the name: so that is the UUID too. */
const presentWorkspace = (uuid: string) => ({ id: uuid, uuid, name: uuid });
