import { UPSTREAM_PROBE_AFTER_MS, UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Credentials } from '../pipeops/credentials.ts';
import { type OutcomeRow, selectOutcomes } from '../pipeops/outcome-rows.ts';
import type { Outcomes } from '../pipeops/outcomes.ts';
import { selectQuotaNews } from '../pipeops/quota-news.ts';
import type { Quota } from '../pipeops/quota.ts';
import { callWithin, type PipeOps } from '../pipeops/types.ts';

export interface ProbeDependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly pipeops: Pick<PipeOps, 'probe'>;
  readonly quota: Pick<Quota, 'learn' | 'news'>;
  readonly outcomes: Pick<Outcomes, 'news'>;
  readonly credentials: Pick<Credentials, 'inOrder'>;
  readonly defaultWorkspaceUuid: string | null;
  /** The workspaces that the policy names, in its order. */
  readonly namedInPolicy: readonly string[];
}

/**
 * Where nobody has called PipeOps for UPSTREAM_PROBE_AFTER_MS, asks it for a page of a list, so that an outage or a credential that has
 * ended is known before anybody needs PipeOps. The call has no row in the trail, since nobody gets to see what it shows; its id at
 * PipeOps is that of this run. It is one of those that reads may make, so it never takes what is kept for changes.
 *
 * @returns how many calls were wanted: 1 or 0.
 */
export async function probeUpstream(
  dependencies: ProbeDependencies,
  context: RequestContext,
): Promise<{ readonly probed: number }> {
  const { database, runtime, pipeops, quota, outcomes, credentials } = dependencies;
  const read = await database.batch(context, [
    selectOutcomes(database, configuredWorkspaces(dependencies), runtime.now()),
    selectQuotaNews(database, runtime.now(), null),
  ] as const);
  if (!read.ok) return { probed: 0 };
  const [rows, news] = read.value;
  quota.learn(news, runtime.now());
  const ids = credentials.inOrder().map(({ id }) => id);
  const workspaceUuid = probedWorkspace(dependencies, rows);
  if (workspaceUuid === null || !isProbeDue(rows, ids, runtime.now())) return { probed: 0 };
  await pipeops.probe(workspaceUuid, callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, context.requestId));
  // Whatever was told last: the next run must know of this call.
  const told = [...outcomes.news(database, runtime.now(), true), ...quota.news(database, runtime.now())];
  if (told.length > 0) await database.batch(context, told);
  return { probed: 1 };
}

/** The workspaces that are configured: the default one first. */
export const configuredWorkspaces = ({
  defaultWorkspaceUuid,
  namedInPolicy,
}: Pick<ProbeDependencies, 'defaultWorkspaceUuid' | 'namedInPolicy'>): readonly string[] => [
  ...new Set([...(defaultWorkspaceUuid === null ? [] : [defaultWorkspaceUuid]), ...namedInPolicy]),
];

/** The default workspace; without one, the one that was used last, or else the first that the policy names. Null: there is none. */
export function probedWorkspace(
  { defaultWorkspaceUuid, namedInPolicy }: Pick<ProbeDependencies, 'defaultWorkspaceUuid' | 'namedInPolicy'>,
  rows: readonly OutcomeRow[],
): string | null {
  const used = rows.findLast(({ kind, workspace_uuid: uuid }) => kind === 'success' && uuid !== null);
  return defaultWorkspaceUuid ?? used?.workspace_uuid ?? namedInPolicy[0] ?? null;
}

/**
 * Whether PipeOps is to be asked: no call was made for long, or none with the credential that comes first, which is new then. After a
 * call that failed whatever the credential, a new one waits as long as any.
 *
 * @param rows ordered by their times.
 * @param credentialIds in the order in which they are tried.
 */
export function isProbeDue(rows: readonly OutcomeRow[], credentialIds: readonly string[], nowMs: number): boolean {
  const isAboutCredential = ({ kind }: OutcomeRow): boolean =>
    kind === 'success' || kind === 'admin_credential_rejected';
  const isQuiet = (some: readonly OutcomeRow[]): boolean =>
    some.every(({ last_at: lastAt }) => Math.abs(nowMs - lastAt) >= UPSTREAM_PROBE_AFTER_MS);
  const own = rows.filter((row) => !isAboutCredential(row) || credentialIds.includes(row.subject));
  if (isQuiet(own)) return true;
  const [first] = credentialIds;
  const isKnown = own.some((row) => isAboutCredential(row) && row.subject === first);
  return !isKnown && isQuiet(own.filter((row) => !isAboutCredential(row)));
}
