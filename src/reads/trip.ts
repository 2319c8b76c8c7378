import type { TokenRow } from '../db/schema.ts';
import type { Failure, UpstreamFailure } from '../failures.ts';
import type { Allowance } from '../pipeops/call-gate.ts';
import { labelKey } from '../subjects/labels.ts';
import { actorOf, failureOutcome, finalRow, type NewAuditRow, successOutcome } from '../trail/event.ts';
import { standInSinceMs } from './pace.ts';
import type { Next, Reading, Step } from './read-steps.ts';
import type { DatedList, InventoryRow, Snapshot } from './snapshot.ts';
import type { AskedToken, AskedWorkspace } from './statements.ts';
import type { DatedListState } from './upstream-lists.ts';

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

/** One trip to D1: with the read's row, if it is decided; with the question for what it lacks, if it is not. */
export function tripOf<T>(reading: Reading<T>, { step, after }: Next<T>): ReadTrip {
  const { read } = reading;
  const { workspaceUuid, tokenId } = read.subject;
  const verdict = step.kind === 'decided' ? step.verdict : null;
  return {
    workspaceUuid,
    held: verdict?.generation ?? null,
    wanted: wantedBy(reading, step),
    tokenId: verdict === null ? tokenId : null,
    inventoryOf: verdict?.shown ?? null,
    isLook: verdict?.isLook === true,
    record:
      verdict === null
        ? null
        : {
            row: rowOf(reading, verdict.failure, verdict.status),
            // A denial always has a row of its own; of everything else, what is alike within a minute is counted.
            counted: verdict.failure === null || !isDenial(verdict.failure),
            unconditional: verdict.generation === null,
            label: reading.caller.label,
          },
    ...after,
  };
}

/** The list that a trip wants. What was decided on a list that turns out not to be current takes what D1 has in its place. */
function wantedBy<T>(reading: Reading<T>, step: Step<T>): WantedList | null {
  const { wanted, failure, startedAtMs } = reading;
  const isAsking = step.kind === 'ask';
  if (!reading.read.mayList) return null;
  if (!isAsking && !(step.kind === 'decided' && step.verdict.isOnList && step.verdict.generation !== null)) return null;
  const isShared = !wanted.isOff;
  // Where PipeOps is not asked, any list does that is not too old for everything.
  const since = failure === null ? wanted : { minBegunMs: standInSinceMs(startedAtMs), eachMs: 0 };
  return {
    minBegunMs: since.minBegunMs,
    eachMs: since.eachMs,
    isShared,
    mayAsk: isAsking && failure === null,
    reader: isAsking ? readerOf(reading) : null,
  };
}

function readerOf<T>(reading: Reading<T>): Reader {
  const { caller, read } = reading;
  const { actor_issuer, actor_subject } = rowOf(reading, null, null);
  const { issuer, subject, label } = caller;
  return {
    issuer: actor_issuer,
    subject: actor_subject,
    label,
    owner: read.isReachable ? null : { issuer, subject },
  };
}

function rowOf<T>(
  { dependencies: { runtime }, context, caller, read }: Reading<T>,
  failure: Failure | null,
  status: number | null,
): NewAuditRow {
  const outcome = failure === null ? successOutcome(status) : failureOutcome(failure);
  const subject = { ...read.subject, actor: actorOf(caller) };
  return finalRow(runtime.newId(), runtime.now(), context, subject, outcome);
}

const isDenial = ({ kind }: Failure): boolean => kind === 'forbidden' || kind === 'token_not_found';

// What a group of reads asks of D1, alike questions once.

export const distinct = <T>(items: readonly T[]): readonly T[] => [
  ...new Map(items.map((item) => [JSON.stringify(item), item])).values(),
];

/** The question of a trip about its workspace. */
export function askedWorkspace({ workspaceUuid, held, wanted, tokenId }: ReadTrip): AskedWorkspace {
  const reader = wanted?.reader ?? null;
  const owner = reader?.owner ?? null;
  return {
    workspace: workspaceUuid,
    generation: held,
    min_begun: wanted?.minBegunMs ?? null,
    each: wanted?.eachMs ?? 0,
    shared: wanted?.isShared === true,
    ask: wanted?.mayAsk === true,
    issuer: reader?.issuer ?? null,
    subject: reader?.subject ?? null,
    label: reader === null || reader.label === null ? null : labelKey(reader.label),
    own: owner === null ? null : { token: tokenId ?? '', ...owner },
  };
}

/** The token whose row a trip asks for. */
export const askedToken = ({ workspaceUuid, tokenId }: ReadTrip): readonly AskedToken[] =>
  tokenId === null ? [] : [{ workspace: workspaceUuid, token: tokenId }];
