import { actorOf, failureOutcome, finalRow, type NewAuditRow, successOutcome } from '../trail/event.ts';
import type { Failure } from '../failures.ts';
import { standInSinceMs } from './pace.ts';
import type { Reader, ReadTrip, WantedList } from './read-trip.ts';
import type { Next, Reading, Step } from './read-steps.ts';

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
