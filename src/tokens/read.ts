import type { EventOutcome, EventSubject } from '../audit/events.ts';
import { failureOutcome, successOutcome } from '../audit/outcomes.ts';
import { actorOf } from '../audit/actor.ts';
import type { Failure } from '../failures.ts';
import { UPSTREAM_TIMEOUT_MS } from '../config/limits.ts';
import { callWithin } from '../pipeops/call.ts';
import type { Answered, Call } from '../pipeops/types.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import { err, ok, type Result } from '../result.ts';
import type { Query, RowsOf } from '../db/database.ts';
import type { TokenDependencies } from './dependencies.ts';

/** A read, as far as it differs from the other one. */
export interface Read<T, Q extends readonly Query[]> {
  readonly subject: Omit<EventSubject, 'actor'>;
  /** Decides, and asks PipeOps. */
  ask(call: Call): Promise<Result<Answered<T>, Failure>>;
  /** What is read in the batch that records it. */
  readonly alongside: Q;
}

/**
 * Runs a read: decision and PipeOps first, then its row, and only then the answer. A read that cannot be recorded is
 * not answered: `audit_unavailable`.
 */
export async function runRead<T, const Q extends readonly Query[]>(
  { recorder, runtime }: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  read: Read<T, Q>,
): Promise<Result<{ data: T; rows: { [K in keyof Q]: RowsOf<Q[K]> } }, Failure>> {
  const work = (async () => {
    const eventId = runtime.newId();
    const asked = await read.ask(callWithin(UPSTREAM_TIMEOUT_MS, runtime, context, eventId));
    const outcome: EventOutcome = asked.ok ? successOutcome(asked.value.status) : failureOutcome(asked.error);
    const subject = { ...read.subject, actor: actorOf(caller) };
    // A denial always has a row of its own; of everything else, what is alike within a minute is counted.
    const record = !asked.ok && isDenial(asked.error) ? recorder.record : recorder.recordRead;
    const recorded = await record(context, subject, outcome, read.alongside, { eventId });
    if (!recorded.ok) return recorded;
    return asked.ok ? ok({ data: asked.value.data, rows: recorded.value.rows }) : err(asked.error);
  })();
  runtime.background(work);
  return await work;
}

const isDenial = ({ kind }: Failure): boolean => kind === 'forbidden' || kind === 'token_not_found';
