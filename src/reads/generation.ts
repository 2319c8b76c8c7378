import { sql } from 'drizzle-orm';
import { compiled } from '../db/sql.ts';
import type { Database, Query } from '../db/database.ts';
import { workspaces } from '../db/schema.ts';
import type { SnapshotMemory } from './snapshot.ts';

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

/** What is to be sent at the head of a batch, and what is to be called once D1 has answered that batch. */
export interface Payment {
  readonly queries: readonly Query[];
  readonly paid: () => void;
}

/**
 * Generations that this isolate could not raise, since D1 did not take it, though a token of their workspace may have changed.
 * They go with the next batch that looks at such a workspace, before anything of that batch is answered: so no list from before
 * is served.
 */
export interface OwedGenerations {
  owe(workspaceUuid: string): void;
  /** What is owed of these workspaces. */
  of(workspaceUuids: readonly string[]): Payment;
}

export function createOwedGenerations(database: Database, memory: Pick<SnapshotMemory, 'drop'>): OwedGenerations {
  // What is owed once more while its payment is under way is a debt of its own.
  const owed = new Map<string, symbol>();
  return {
    owe: (workspaceUuid) => {
      owed.set(workspaceUuid, Symbol('debt'));
      memory.drop(workspaceUuid);
    },
    of: (workspaceUuids) => {
      const debts = [...owed].filter(([workspaceUuid]) => workspaceUuids.includes(workspaceUuid));
      return {
        queries: debts.map(([workspaceUuid]) => raiseGeneration(database, workspaceUuid)),
        paid: () => {
          for (const [workspaceUuid, debt] of debts) {
            if (owed.get(workspaceUuid) === debt) owed.delete(workspaceUuid);
          }
        },
      };
    },
  };
}
