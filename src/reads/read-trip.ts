import type { NewAuditRow } from '../trail/event.ts';
import type { TokenRow } from '../db/schema.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { Allowance } from '../pipeops/call-gate.ts';
import type { DatedListState } from './list-state.ts';
import type { DatedList, InventoryRow, Snapshot } from './snapshot.ts';

/** One read's trip to D1. */
export interface ReadTrip {
  readonly workspaceUuid: string;
  /** Of the list that the read was decided on; null: there is none. */
  readonly held: number | null;
  /** Null: no list is wanted. */
  readonly wanted: WantedList | null;
  /** The token whose row in the inventory is asked for; null: none is. */
  readonly tokenId: string | null;
  /** The list whose inventory is asked for, where this isolate does not know it; null: none is. */
  readonly inventoryOf: DatedList | null;
  /** Of a list that this read has asked for: all rows of the inventory that it must be judged with are asked for too. */
  readonly isLook: boolean;
  /** What is written down; null: nothing yet. */
  readonly record: ReadRecord | null;
  /** A list that this isolate has just asked for: left to the others. */
  readonly store?: DatedList;
  /** A lease of this isolate that is over. */
  readonly endLease?: { readonly holder: string; readonly isListed: boolean };
  /** What the list that this isolate asked for turned out to be good for. */
  readonly listState?: DatedListState;
}

/** Which list a trip wants of D1. */
export interface WantedList {
  /** None that was begun before, whatever the hour has; milliseconds since the epoch. */
  readonly minBegunMs: number;
  /** By how much it may be older for each workspace in use; milliseconds. */
  readonly eachMs: number;
  /** Whether lists are shared with other isolates: taken from D1, or asked for under a lease. */
  readonly isShared: boolean;
  /** Whether PipeOps is to be asked if D1 has none. */
  readonly mayAsk: boolean;
  /** Who asks, where nothing was decided yet: null where something was, on a list that is held. */
  readonly reader: Reader | null;
}

/** Whoever asks for a list: it is given, and a lease is taken, only where D1 says that they may have it. */
export interface Reader {
  /** As rows of the trail name them, by which they are blocked. */
  readonly issuer: string | null;
  readonly subject: string | null;
  /** Whole. */
  readonly label: string | null;
  /** As the inventory names them; null: they see the tokens of others too. */
  readonly owner: { readonly issuer: string; readonly subject: string } | null;
}

export interface ReadRecord {
  readonly row: NewAuditRow;
  /** Whether it shares a row with alike reads of its minute. */
  readonly counted: boolean;
  /** It is written where the held generation is the current one, unless this says: whatever that is. */
  readonly unconditional: boolean;
  /** The label of its actor, whole: the row holds a part of it. */
  readonly label: string | null;
}

/** That it is upon this isolate to ask PipeOps for a list. */
export interface Lease {
  /** Null: lists are not shared, so that nobody waits for it. */
  readonly holder: string | null;
  /** Tokens have changed since the last list was asked for. */
  readonly isChanged: boolean;
  /** The call that was reserved for it. */
  readonly allowance: Allowance;
  /** Why there is none: our own quota has none left. */
  readonly refusal: UpstreamFailure | null;
}

/** What D1 says to it. */
export interface TripAnswer {
  /** The row that the read is in; null: it was not written. */
  readonly eventId: string | null;
  /** Its actor was offboarded, so nothing was written, given or taken. */
  readonly blocked: boolean;
  readonly generation: number;
  /** Where the held list is not current: what another isolate left here; null: nothing. */
  readonly stored: { readonly list: DatedList; readonly snapshot: Snapshot } | null;
  /** Likewise; null: another isolate has it, or it was not asked for. */
  readonly lease: Lease | null;
  /** The row of the token that was asked for; undefined: the inventory has none. */
  readonly token: InventoryRow | undefined;
  /** The list whose inventory was asked for, with it. */
  readonly snapshot: Snapshot | null;
  /** The rows that it must be judged with; null: they were not asked for. */
  readonly lookRows: readonly TokenRow[] | null;
}
