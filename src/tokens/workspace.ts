import { parseWorkspaceUuid, workspaceAsRead, WORKSPACE_FORM } from '../kit/ids.ts';
import type { Problems } from '../kit/problems.ts';
import { refuseUnknown } from '../http/unknown-names.ts';

/** The only parameter of any token route, by PipeOps' two names for it; the first is the one that is advised. */
const NAMES = ['workspace_uuid', 'workspace'] as const;

/** The same in a body. */
type InBody = { readonly [Name in (typeof NAMES)[number]]?: string | undefined };

/** Every value that names the workspace of a request, with the name it was given under. */
const namedIn = (query: URLSearchParams, inBody: InBody): readonly (readonly [name: string, value: string])[] =>
  NAMES.flatMap((name) => [...query.getAll(name), inBody[name] ?? []].flat().map((value) => [name, value] as const));

/**
 * What tells a request from another under the same idempotency key: it as it was sent, before any default, with its workspace in the
 * one spelling.
 *
 * `former`: what an earlier version of this service took, which knew a workspace by each of its spellings. Null: the same.
 */
export function sentWithKey(query: URLSearchParams, body: Readonly<Record<string, unknown>>) {
  const sentIn = (spell: (text: string) => string) => [
    namedIn(query, {}).map(([, value]) => spell(value)),
    Object.fromEntries(
      Object.entries(body).map(([name, value]) => [
        name,
        NAMES.some((known) => known === name) && typeof value === 'string' ? spell(value) : value,
      ]),
    ),
  ];
  const spelled = namedIn(query, body).find(([, value]) => workspaceAsRead(value) !== value)?.[1];
  const former = spelled === undefined ? null : { workspaceUuid: spelled, sent: sentIn((text) => text) };
  return { sent: sentIn(workspaceAsRead), former };
}

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
  const read = named.map(([, value]) => parseWorkspaceUuid(value));
  if (read.includes(null)) {
    problems.misunderstood(parameter, `Use the id of a workspace: ${WORKSPACE_FORM}.`);
    return null;
  }
  if (new Set(read).size > 1) {
    problems.misunderstood(parameter, 'Give one workspace: this request names several.');
    return null;
  }
  const workspaceUuid = read[0] ?? defaultWorkspaceUuid;
  if (workspaceUuid === null) {
    problems.misunderstood(
      parameter,
      'Name the workspace: in the query, in the body of a create or update, or by PIPEOPS_WORKSPACE_UUID in the configuration of this service.',
    );
    return null;
  }
  return workspaceUuid;
}
