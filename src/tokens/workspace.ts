import { isWorkspaceUuid } from '../pipeops/ids.ts';
import type { Problems } from '../http/problems.ts';
import { refuseUnknown } from '../http/unknown-names.ts';

/** The only parameter of any token route, by PipeOps' two names for it; the first is the one that is advised. */
const NAMES = ['workspace_uuid', 'workspace'] as const;

/** The same in a body. */
type InBody = { readonly [Name in (typeof NAMES)[number]]?: string | undefined };

/** Every value that names the workspace of a request, with the name it was given under. */
const namedIn = (query: URLSearchParams, inBody: InBody): readonly (readonly [name: string, value: string])[] =>
  NAMES.flatMap((name) => [...query.getAll(name), inBody[name] ?? []].flat().map((value) => [name, value] as const));

/** The workspaces of a query as they were sent, whichever name each was given under. */
export const workspacesOf = (query: URLSearchParams): readonly string[] => namedIn(query, {}).map(([, value]) => value);

/**
 * The workspace that a request is about: from the query, the body, or the configured default, under either of PipeOps' names. Null: none that can be
 * used, which is reported. Refuses every other query parameter.
 *
 * An empty value is refused too and never means the default: it is what a script sends whose variable is unset.
 */
export function readWorkspace(
  query: URLSearchParams,
  inBody: InBody,
  defaultWorkspaceUuid: string | null,
  problems: Problems,
): string | null {
  const unknown = new Set(query.keys());
  for (const name of NAMES) unknown.delete(name);
  refuseUnknown('parameter', [...unknown], NAMES, problems);

  const named = namedIn(query, inBody);
  const [parameter] = named[0] ?? NAMES;
  if (new Set(named.map(([, value]) => value)).size > 1) {
    problems.misunderstood(parameter, 'Give one workspace: this request names several.');
    return null;
  }
  const workspaceUuid = named[0]?.[1] ?? defaultWorkspaceUuid;
  if (workspaceUuid === null) {
    problems.misunderstood(
      parameter,
      'Name the workspace: in the query, in the body of a create or update, or by PIPEOPS_WORKSPACE_UUID in the configuration of this service.',
    );
    return null;
  }
  if (!isWorkspaceUuid(workspaceUuid)) {
    problems.misunderstood(parameter, 'Use the UUID of a workspace.');
    return null;
  }
  return workspaceUuid;
}
