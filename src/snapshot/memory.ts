import { SNAPSHOT_WORKSPACES_MAX_COUNT } from '../config/limits.ts';
import type { Snapshot } from './snapshot.ts';

/** What this isolate holds of each workspace. Nothing in it is trusted until D1 says that its generation is current. */
export interface SnapshotMemory {
  /** Null: none, or it was begun before `minBegunMs`. */
  get(workspaceUuid: string, minBegunMs: number): Snapshot | null;
  /** Keeps the one that was begun last. */
  put(workspaceUuid: string, snapshot: Snapshot): void;
  /** Forgets the one of a workspace whose tokens may have changed without D1 knowing. */
  drop(workspaceUuid: string): void;
}

export function createSnapshotMemory(): SnapshotMemory {
  const held = new Map<string, Snapshot>();
  return {
    get: (workspaceUuid, minBegunMs) => {
      const snapshot = held.get(workspaceUuid);
      return snapshot !== undefined && snapshot.begunAtMs >= minBegunMs ? snapshot : null;
    },
    put: (workspaceUuid, snapshot) => {
      if ((held.get(workspaceUuid)?.begunAtMs ?? -Infinity) > snapshot.begunAtMs) return;
      // The one that was put first is the first of a Map: whoever is looked at comes back within seconds.
      held.delete(workspaceUuid);
      held.set(workspaceUuid, snapshot);
      const [oldest] = held.keys();
      if (held.size > SNAPSHOT_WORKSPACES_MAX_COUNT && oldest !== undefined) held.delete(oldest);
    },
    drop: (workspaceUuid) => {
      held.delete(workspaceUuid);
    },
  };
}
