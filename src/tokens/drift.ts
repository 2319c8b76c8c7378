import { askAlone } from '../inventory/ask-alone.ts';
import { judgeList, recordFindings } from '../inventory/looks.ts';
import type { RequestContext } from '../request-context.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { TokenDependencies } from './dependencies.ts';

/**
 * Holds a list that a read asked for against the inventory as it was read beside it, and writes down where they differ. Where
 * they do not, it costs nothing. Nobody waits for it.
 */
export async function watchDrift(
  { database, runtime, pipeops }: Pick<TokenDependencies, 'database' | 'runtime' | 'pipeops'>,
  context: RequestContext,
  workspaceUuid: string,
  { list, begunAtMs, inventory }: Snapshot,
): Promise<void> {
  const look = { list, begunAtMs };
  const findings = judgeList([...inventory.values()], look);
  await recordFindings({ database, runtime }, context, workspaceUuid, look, findings);
  await askAlone({ database, runtime, pipeops }, context, workspaceUuid, findings.askAlone, 'read');
}
