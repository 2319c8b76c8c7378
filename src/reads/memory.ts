import { SNAPSHOT_LIST_WEIGHT_TOKENS, SNAPSHOT_TOKENS_MAX_COUNT } from '../config/limits.ts';
import type { DatedList } from './snapshot.ts';

/** What this isolate holds of each workspace. Nothing in it is trusted until D1 says that its generation is current. */
export interface SnapshotMemory {
  /** Null: none, or it was begun before `minBegunMs`. */
  get(workspaceUuid: string, minBegunMs: number): DatedList | null;
  /** Keeps the one that was begun last. */
  put(workspaceUuid: string, list: DatedList): void;
  /** Forgets the one of a workspace whose tokens may have changed. */
  drop(workspaceUuid: string): void;
}

/** Bounded by the tokens of all lists together: those that were looked at longest ago go first. */
export function createSnapshotMemory(maxTokens = SNAPSHOT_TOKENS_MAX_COUNT): SnapshotMemory {
  // A Map gives its keys in the order in which they were put.
  const held = new Map<string, DatedList>();
  let weight = 0;
  const drop = (workspaceUuid: string): void => {
    const list = held.get(workspaceUuid);
    if (list !== undefined) weight -= weightOf(list);
    held.delete(workspaceUuid);
  };
  const put = (workspaceUuid: string, list: DatedList): void => {
    drop(workspaceUuid);
    held.set(workspaceUuid, list);
    weight += weightOf(list);
    for (const longestAgo of held.keys()) {
      if (weight <= maxTokens) break;
      drop(longestAgo);
    }
  };
  return {
    get: (workspaceUuid, minBegunMs) => {
      const list = held.get(workspaceUuid);
      if (list === undefined || list.begunAtMs < minBegunMs) return null;
      put(workspaceUuid, list);
      return list;
    },
    put: (workspaceUuid, list) => {
      if ((held.get(workspaceUuid)?.begunAtMs ?? -Infinity) <= list.begunAtMs) put(workspaceUuid, list);
    },
    drop,
  };
}

const weightOf = ({ list }: DatedList): number => list.tokens.length + SNAPSHOT_LIST_WEIGHT_TOKENS;
