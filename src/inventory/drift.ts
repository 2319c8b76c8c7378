import { askAlone, judgeList, recordFindings } from './looks.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { TokenDependencies } from '../tokens/dependencies.ts';
import type { Asked } from '../reads/read.ts';

/**
 * Holds a list that a read asked for against the inventory as it was read beside it, and writes down where they differ. Where
 * they do not, it costs nothing. Nobody waits for it. What it asks of PipeOps is counted among the calls of the caller.
 */
export async function watchDrift(
  { database, runtime, pipeops, snapshots }: Pick<TokenDependencies, 'database' | 'runtime' | 'pipeops' | 'snapshots'>,
  context: RequestContext,
  caller: Caller,
  workspaceUuid: string,
  { snapshot: { list, begunAtMs }, rows }: Asked,
): Promise<void> {
  const look = { list, begunAtMs };
  const findings = judgeList(rows, look);
  await recordFindings({ database, runtime }, context, workspaceUuid, look, findings);
  const whose = { purpose: 'read', calls: snapshots.callsOf(caller) } as const;
  await askAlone({ database, runtime, pipeops }, context, workspaceUuid, findings.askAlone, whose);
}
