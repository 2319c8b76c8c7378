import type { Failure, UpstreamFailure } from '../../src/failures.ts';
import { err, ok, type Result } from '../../src/kit/result.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { createQuota } from '../../src/pipeops/quota.ts';
import type { Call } from '../../src/pipeops/types.ts';
import { createCalledRows, createCallerCalls } from '../../src/reads/caller-calls.ts';
import { createPace } from '../../src/reads/pace.ts';
import { type ReadOperation, runRead } from '../../src/reads/read.ts';
import { createKnownSnapshots, createSnapshotMemory, type DatedList } from '../../src/reads/snapshot.ts';
import type { Lease, ReadTrip, TripAnswer } from '../../src/reads/trip.ts';
import type { Fetched } from '../../src/reads/upstream-lists.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { callerWith, role, SHOP } from '../policy/builders.ts';
import { tokenList } from '../support/upstream-token.ts';

// A read apart from D1 and PipeOps, whose answers are a script.

export const NOW = Date.UTC(2026, 10, 28);
const CALLER = callerWith(role());
/** A list of that generation. */
export const dated = (generation: number, ageMs = 0): DatedList => ({
  list: tokenList([]),
  generation,
  begunAtMs: NOW - ageMs,
});

const NOTHING: TripAnswer = {
  eventId: null,
  bar: null,
  generation: 7,
  stored: null,
  lease: null,
  token: undefined,
  snapshot: null,
  lookRows: null,
};
export const RECORDED = { eventId: 'row-1' };

/** An operation that shows the generation of whatever list there is, but for what the test is about. */
const operationOf = (changes: Partial<ReadOperation<number>> = {}): ReadOperation<number> => ({
  subject: { action: 'service_account_token.list', workspaceUuid: SHOP, tokenId: null, tokenName: null, detail: {} },
  isReachable: true,
  mayList: true,
  refuse: () => null,
  refuseKnowing: () => null,
  isKnown: () => false,
  judge: () => ({ kind: 'show', show: ({ generation }) => generation }),
  askAlone: async () => await Promise.resolve(ok({ status: 200, data: 99 })),
  ...changes,
});
export const ofToken = { ...operationOf().subject, tokenId: 'tok-1' };

interface Script {
  /** What D1 says to each trip. */
  readonly d1: readonly (Partial<TripAnswer> | Failure)[];
  /** What PipeOps says to each call for a list: of the generation that is asked for, if nothing else. */
  readonly pipeops?: readonly (UpstreamFailure | DatedList)[];
  /** The call that another read has under way. */
  readonly joined?: Result<Fetched, UpstreamFailure>;
  readonly held?: DatedList;
  readonly isOff?: boolean;
  /** D1 has just refused a call to another read of this isolate. */
  readonly isRefused?: boolean;
  readonly operation?: Partial<ReadOperation<number>>;
}

/** Runs a read to its end, and tells what it did on its way. */
export async function run(script: Script) {
  const { d1, pipeops = [], joined, held, isOff = false, isRefused = false, operation = {} } = script;
  const trips: ReadTrip[] = [];
  const calls: Pick<Call, 'eventId' | 'purpose'>[] = [];
  const pauses: number[] = [];
  const refused: unknown[] = [];
  const background: unknown[] = [];
  const quota = createQuota();
  const pace = createPace(isOff ? 0 : 15_000, quota);
  const memory = createSnapshotMemory();
  if (held !== undefined) memory.put(SHOP, held);
  if (isRefused) pace.refuse(40, NOW);
  const calledRows = createCalledRows();
  const deadlines: number[] = [];
  const trace = newTrace();
  const answer = await runRead<number>(
    {
      quota,
      recorder: {
        refuse: async (_context, _subject, failure, _alongside, options) => {
          refused.push([failure.kind, options]);
          return await Promise.resolve({ ok: false, error: failure } as const);
        },
      },
      runtime: {
        ...workerRuntime,
        now: () => NOW,
        newId: () => 'event-1',
        sleep: async (ms) => void pauses.push(ms),
        timeout: (ms) => {
          deadlines.push(ms);
          return new AbortController().signal;
        },
        background: (work) => void background.push(work),
      },
      snapshots: {
        memory,
        known: createKnownSnapshots(),
        pace,
        callsOf: createCallerCalls(),
        calledRows,
        reads: {
          send: async (trip) => {
            const said = d1[trips.length] ?? { kind: 'audit_unavailable' };
            trips.push(trip);
            return await Promise.resolve(
              'kind' in said ? err({ kind: 'audit_unavailable' }) : ok({ ...NOTHING, ...said }),
            );
          },
        },
        source: {
          join: () => (joined === undefined ? null : Promise.resolve(joined)),
          ask: async (_workspace, generation, { eventId, purpose }) => {
            const said = pipeops[calls.length] ?? dated(generation);
            calls.push({ eventId, ...(purpose !== undefined && { purpose }) });
            return await Promise.resolve('kind' in said ? err(said) : ok({ dated: said, isShared: false }));
          },
        },
      },
    },
    { requestId: 'request-1', traceparent: null, ip: null, userAgent: null, policyVersion: '0000000000000000', trace },
    CALLER,
    false,
    operationOf(operation),
  );
  return { answer, trips, calls, pauses, refused, background, memory, pace, trace, calledRows, deadlines };
}

/** A lease, and how often what is left of its call was given back. */
export function leaseOf(changes: Partial<Lease> = {}) {
  const given = { back: 0 };
  const reserved = {
    block: 1,
    add: () => {},
    take: () => true,
    refusal: () => null,
    end: () => {
      given.back += 1;
    },
  };
  const lease: Lease = { holder: 'holder-1', isChanged: false, reserved, refusal: null, ...changes };
  return { lease, given };
}
/** Of each trip, whether it asks for the right to ask PipeOps; null: it wants no list. */
export const wantedOf = (trips: readonly ReadTrip[]) => trips.map(({ wanted }) => wanted?.mayAsk ?? null);
