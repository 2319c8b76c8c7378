import type { CallerCalls } from './caller-calls.ts';
import type { KnownSnapshots } from './snapshot.ts';
import type { SnapshotMemory } from './memory.ts';
import type { OwedGenerations } from './owed.ts';
import type { Pace } from './pace.ts';
import type { ReadGroup } from './read-group.ts';
import type { ListSource } from './source.ts';

/** Where reads get lists from, and how they are written down. */
export interface Snapshots {
  readonly memory: SnapshotMemory;
  readonly known: KnownSnapshots;
  readonly reads: ReadGroup;
  readonly source: ListSource;
  readonly owed: OwedGenerations;
  readonly pace: Pace;
  readonly callsOf: (caller: { readonly issuer: string; readonly subject: string }) => CallerCalls;
}
