import type { LookRow } from '../inventory/looks.ts';
import type { CallerBar, Failure } from '../failures.ts';
import type { QuotaRefusal, ReservedCalls } from '../pipeops/quota-calls.ts';
import type { SessionProof } from '../identity/identity.ts';
import { labelKey } from '../subjects/labels.ts';
import {
  actorOf,
  type EventOutcome,
  failureOutcome,
  finalRow,
  type NewAuditRow,
  successOutcome,
} from '../trail/event.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { ReadOperation } from './read.ts';
import { standInSinceMs } from './pace.ts';
import type { DatedList, InventoryRow, Snapshot } from './snapshot.ts';
import type { AskedToken, AskedWorkspace } from './statements.ts';
import { type Decided, isDecided, type Reading, type Step } from './steps.ts';
import type { DatedListState } from './upstream-lists.ts';

// One read's trip to D1: what it brings there, what it asks, and what it hears.

export interface ReadTrip extends Leavings {
  readonly workspaceUuid: string;
  /** The generation that must be current for the read's row to be recorded; null: any will do. */
  readonly generation: number | null;
  /** Null: no list is wanted. */
  readonly wanted: WantedList | null;
  /** The token whose row in the inventory is asked for; null: none is. */
  readonly tokenId: string | null;
  /** The list whose inventory is asked for, where this isolate does not know it; null: none is. */
  readonly inventoryOf: DatedList | null;
  /** Whether that list was asked for by this read: then the trip brings all rows of the inventory that the list is judged with. */
  readonly isLook: boolean;
  /** The row of the read; null: nothing is decided yet. */
  readonly record: ReadRecord | null;
}

/** What a read that asked PipeOps for a list leaves in D1 for other isolates. */
export interface Leavings {
  readonly store?: DatedList;
  /** A lease of this isolate that is over. */
  readonly endLease?: { readonly holder: string; readonly isListed: boolean };
  /** What the list turned out to be good for. */
  readonly listState?: DatedListState;
}

/** Which list a trip wants of D1. */
export interface WantedList {
  /** A list that was begun since then will do; milliseconds since the epoch. */
  readonly minBegunMs: number;
  /** By how much it may be older for each workspace in use; milliseconds. */
  readonly eachMs: number;
  /** Whether lists are shared with other isolates: taken from D1, or asked for under a lease. */
  readonly isShared: boolean;
  /** Whether PipeOps is to be asked if D1 has none. */
  readonly mayAsk: boolean;
  /** Who asks; null where the read was decided, on a list that may turn out not to be current. */
  readonly reader: Reader | null;
}

/** Whoever asks for a list: it is given, and a lease is taken, only where D1 says that they may have it. */
export interface Reader {
  /** As rows of the trail name them, by which they are blocked. */
  readonly issuer: string | null;
  readonly subject: string | null;
  /** Whole. */
  readonly label: string | null;
  /** The browser session that they come through. */
  readonly session?: SessionProof | undefined;
  /** As the inventory names them; null: they see the tokens of others too. */
  readonly owner: { readonly issuer: string; readonly subject: string } | null;
}

export interface ReadRecord {
  readonly row: NewAuditRow;
  /** Whether it shares a row with alike reads of its minute. */
  readonly counted: boolean;
  /** Whether this read asked PipeOps, which was told the id of this very row, not that of an alike one. */
  readonly isAsker: boolean;
  /** The label of its actor, whole: the row holds a part of it. */
  readonly label: string | null;
  /** The browser session of its actor. */
  readonly session?: SessionProof | undefined;
}

/** That this isolate is to ask PipeOps for a list. */
export interface Lease {
  /** Null: lists are not shared, so that nobody waits for it. */
  readonly holder: string | null;
  /** Tokens have changed since the last list was asked for. */
  readonly isChanged: boolean;
  /** The call that was reserved for it. */
  readonly reserved: ReservedCalls;
  /** Why no call was reserved: our own quota has none left. Null: one was. */
  readonly refusal: QuotaRefusal | null;
}

/** What D1 says to a trip. */
export interface TripAnswer {
  /** The row that records the read; null: it is not recorded. */
  readonly eventId: string | null;
  /** Why its actor is kept out, so that nothing was recorded, given or taken; null if it is not. */
  readonly bar: CallerBar | null;
  readonly generation: number;
  /** What another isolate left here, where the list that the read was decided on is not current; null: nothing. */
  readonly stored: { readonly list: DatedList; readonly snapshot: Snapshot } | null;
  /** Null: another isolate has it, or it was not asked for. */
  readonly lease: Lease | null;
  /** The row of the token that was asked for; undefined: the inventory has none. */
  readonly token: InventoryRow | undefined;
  /** The list whose inventory was asked for, with it. */
  readonly snapshot: Snapshot | null;
  /** The rows that a look is judged with; null: they were not asked for. */
  readonly lookRows: readonly LookRow[] | null;
}

/** What its trips are made of, of a read on its way. */
export type Travelling = Pick<
  Reading<unknown>,
  'context' | 'caller' | 'wanted' | 'eventId' | 'startedAtMs' | 'call' | 'notAsking' | 'leavings'
> & {
  readonly dependencies: { readonly runtime: Pick<Runtime, 'now'> };
  readonly operation: Pick<ReadOperation<unknown>, 'subject' | 'isReachable' | 'mayList'>;
};

/** The trip of a step: it records the read if it is decided, and asks for what is missing if it is not. */
export function tripOf<T>(reading: Travelling, step: Step<T>): ReadTrip {
  const { workspaceUuid, tokenId } = reading.operation.subject;
  const decided = isDecided(step) ? step : null;
  const shown = step.kind === 'show' ? step.basis : null;
  return {
    workspaceUuid,
    generation: decided?.generation ?? null,
    wanted: wantedBy(reading, step),
    tokenId: decided === null ? tokenId : null,
    inventoryOf: shown?.list ?? null,
    isLook: shown?.from === 'pipeops' && !shown.isShared,
    record: decided === null ? null : recordOf(reading, decided),
    ...reading.leavings,
  };
}

/** The list that a trip wants. A read whose list turns out not to be current takes the one of D1 in its place. */
function wantedBy<T>(reading: Travelling, step: Step<T>): WantedList | null {
  const { operation, wanted, notAsking, startedAtMs } = reading;
  const isSearch = step.kind === 'search';
  const mayMiss = isDecided(step) && step.basis !== null && step.generation !== null;
  if (!operation.mayList) return null;
  if (!isSearch && !mayMiss) return null;
  // Where PipeOps is not asked, any list does that is not too old for everything.
  const since = notAsking === null ? wanted : { minBegunMs: standInSinceMs(startedAtMs), eachMs: 0 };
  return {
    minBegunMs: since.minBegunMs,
    eachMs: since.eachMs,
    isShared: !wanted.isOff,
    mayAsk: isSearch && notAsking === null,
    reader: isSearch ? readerOf(reading) : null,
  };
}

function readerOf(reading: Travelling): Reader {
  const { actor_issuer, actor_subject } = rowOf(reading, successOutcome(null));
  const { issuer, subject, label, session } = reading.caller;
  const owner = reading.operation.isReachable ? null : { issuer, subject };
  return { issuer: actor_issuer, subject: actor_subject, label, session, owner };
}

function recordOf<T>(reading: Travelling, decided: Decided<T>): ReadRecord {
  const outcome = decided.kind === 'refuse' ? failureOutcome(decided.failure) : successOutcome(decided.status);
  return {
    row: rowOf(reading, outcome),
    counted: isCounted(decided),
    isAsker: reading.call?.eventId === reading.eventId,
    label: reading.caller.label,
    session: reading.caller.session,
  };
}

/** The row of a read, with the id that is its own. */
export function rowOf(reading: Travelling, outcome: EventOutcome): NewAuditRow {
  const { dependencies, context, caller, operation, eventId } = reading;
  const subject = { ...operation.subject, actor: actorOf(caller) };
  return finalRow(eventId, dependencies.runtime.now(), context, subject, outcome);
}

/** A denial always has a row of its own; of everything else, what is alike within a minute is counted. */
export const isCounted = <T>(decided: Decided<T>): boolean => decided.kind !== 'refuse' || !isDenial(decided.failure);

const isDenial = ({ kind }: Failure): boolean => kind === 'forbidden' || kind === 'token_not_found';

/** The question of a trip about its workspace. */
export function askedWorkspace({ workspaceUuid, generation, wanted, tokenId, record }: ReadTrip): AskedWorkspace {
  const reader = wanted?.reader ?? null;
  const owner = reader?.owner ?? null;
  return {
    workspace: workspaceUuid,
    generation,
    min_begun: wanted?.minBegunMs ?? null,
    each: wanted?.eachMs ?? 0,
    shared: wanted?.isShared === true,
    ask: wanted?.mayAsk === true,
    issuer: reader?.issuer ?? null,
    subject: reader?.subject ?? null,
    label: reader === null || reader.label === null ? null : labelKey(reader.label),
    // Of a read that is decided too: its row alone would not say why it was not recorded.
    session: reader?.session ?? record?.session ?? null,
    own: owner === null ? null : { token: tokenId, ...owner },
  };
}

/** The token whose row a trip asks for. */
export const askedToken = ({ workspaceUuid, tokenId }: ReadTrip): readonly AskedToken[] =>
  tokenId === null ? [] : [{ workspace: workspaceUuid, token: tokenId }];

/** Alike questions once. */
export const distinct = <T>(items: readonly T[]): readonly T[] => [
  ...new Map(items.map((item) => [JSON.stringify(item), item])).values(),
];
