import { isWorkspaceUuid } from '../pipeops/ids.ts';
import type { Problems } from '../http/problems.ts';
import { refuseUnknown } from '../http/unknown-names.ts';

/** The only parameter of any token route. */
const PARAMETER = 'workspace_uuid';

/**
 * The workspace that a request is about: from the query, the body, or the configured default. Null: none that can be
 * used, which is reported. Refuses every other query parameter.
 *
 * An empty value is refused too and never means the default: it is what a script sends whose variable is unset.
 */
export function readWorkspace(
  query: URLSearchParams,
  inBody: string | undefined,
  defaultWorkspaceUuid: string | null,
  problems: Problems,
): string | null {
  const unknown = new Set(query.keys());
  unknown.delete(PARAMETER);
  refuseUnknown('parameter', [...unknown], [PARAMETER], problems);

  const named = new Set(query.getAll(PARAMETER));
  if (inBody !== undefined) named.add(inBody);
  if (named.size > 1) {
    problems.misunderstood(PARAMETER, 'Give one workspace. The query and the body name different ones.');
    return null;
  }
  const workspaceUuid = [...named][0] ?? defaultWorkspaceUuid;
  if (workspaceUuid === null) {
    problems.misunderstood(
      PARAMETER,
      'Name the workspace: in the query, in the body of a create or update, or by PIPEOPS_WORKSPACE_UUID in the configuration of this service.',
    );
    return null;
  }
  if (!isWorkspaceUuid(workspaceUuid)) {
    problems.misunderstood(PARAMETER, 'Use the UUID of a workspace.');
    return null;
  }
  return workspaceUuid;
}
