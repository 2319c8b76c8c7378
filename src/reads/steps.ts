import type { Failure } from '../failures.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Call } from '../pipeops/types.ts';
import type { Quota } from '../pipeops/quota.ts';
import type { Caller } from '../policy/types.ts';
import type { Recorder } from '../trail/recorder.ts';
import type { CallerCalls } from './caller-calls.ts';
import type { Freshness } from './pace.ts';
import type { ReadDependencies, ReadOperation, Snapshots } from './read.ts';
import type { DatedList, InventoryRow, Snapshot } from './snapshot.ts';
import type { Leavings } from './trip.ts';

// A read on its way, and what it may have come to between two trips to D1.

/** What a read needs to be carried from request to row. */
export type RunDependencies = Pick<ReadDependencies, 'runtime'> & {
  readonly recorder: Pick<Recorder, 'refuse'>;
  readonly quota: Pick<Quota, 'permit'>;
  readonly snapshots: Omit<Snapshots, 'bodies' | 'owed'>;
};

/** A read on its way. */
export interface Reading<T> {
  readonly dependencies: RunDependencies;
  readonly context: RequestContext;
  readonly caller: Caller;
  readonly operation: ReadOperation<T>;
  readonly calls: CallerCalls;
  readonly wanted: Freshness;
  /** Id of the row that it leaves, unless it is counted in that of an alike read. */
  readonly eventId: string;
  readonly startedAtMs: number;
  /** What accompanies its calls to PipeOps, with one deadline for all of them; null: it has made none. */
  call: Call | null;
  token: KnownToken;
  /** Why PipeOps is not asked: a list that nothing has changed since stands in, or this is the answer. Null: it is. */
  notAsking: Failure | null;
  /** Lists that it asked for. */
  lists: number;
  /** How often it has looked for the list of another isolate. */
  polls: number;
  /** What its next trip leaves in D1. */
  leavings: Leavings;
}

/** What a list says to a read. */
export type Judgement<T> =
  | { readonly kind: 'show'; readonly show: (snapshot: Snapshot) => T }
  | { readonly kind: 'refuse'; readonly failure: Failure }
  /** The list lacks what PipeOps must be asked for by itself. */
  | { readonly kind: 'ask_alone' }
  /** It cannot be said without the inventory's row. */
  | { readonly kind: 'look_up' };

/** The inventory's row of the token that is read; null where nobody has looked. */
export type KnownToken = { readonly row: InventoryRow | undefined } | null;

/** How far a read has come. Each step is a trip to D1. */
export type Step<T> =
  /** No list is at hand: the trip looks for one. */
  | { readonly kind: 'search' }
  /** The list says nothing without the inventory's row of the token: the trip brings that. */
  | { readonly kind: 'look_up'; readonly basis: Basis }
  | Decided<T>;

/** A read that is decided: the trip records it, and then the answer leaves. */
export type Decided<T> =
  | ({ readonly kind: 'refuse'; readonly failure: Failure } & Decision)
  | ({ readonly kind: 'show'; readonly basis: Basis; readonly show: (snapshot: Snapshot) => T } & Decision & Success)
  /** PipeOps was asked for this alone. */
  | ({ readonly kind: 'tell'; readonly data: T } & Decision & Success);

interface Decision {
  /** The list that it rests on; null: it rests on none. */
  readonly basis: Basis | null;
  /** The generation under which it holds; null: whatever the generation is. */
  readonly generation: number | null;
}

interface Success {
  /** PipeOps' status, if it was asked. */
  readonly status: number | null;
}

export const isDecided = <T>(step: Step<T>): step is Decided<T> => step.kind !== 'search' && step.kind !== 'look_up';

/** A list that a read is decided on, and where it came from. */
export type Basis = { readonly list: DatedList } & (
  | { readonly from: 'memory' | 'd1' }
  /** `isShared`: another read of this isolate asked for it. */
  | { readonly from: 'pipeops'; readonly isShared: boolean }
);

/** A refusal that rests on no list. */
export const refusal = <T>(failure: Failure): Decided<T> => ({
  kind: 'refuse',
  failure,
  basis: null,
  generation: null,
});
