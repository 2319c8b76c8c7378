import type { CallerCalls } from './caller-calls.ts';
import type { KnownSnapshots, SnapshotMemory } from './snapshot.ts';
import type { OwedGenerations } from './generation.ts';
import type { Pace } from './pace.ts';
import type { ReadGroup } from './group.ts';
import type { ListSource } from './upstream-lists.ts';

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
