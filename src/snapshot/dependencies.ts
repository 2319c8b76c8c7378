import type { SnapshotMemory } from './memory.ts';
import type { OwedGenerations } from './owed.ts';
import type { ReadGroup } from './read-group.ts';
import type { ListSource } from './source.ts';

/** Where reads get lists from, and how they are written down. */
export interface Snapshots {
  readonly memory: SnapshotMemory;
  readonly reads: ReadGroup;
  readonly source: ListSource;
  readonly owed: OwedGenerations;
  /** Milliseconds; 0: off. */
  readonly maxAgeMs: number;
}
