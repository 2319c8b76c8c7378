import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Fault } from '../pipeops-simulator/faults-wire.ts';
import type { Service } from './service.ts';
import type { Trail } from './trail.ts';
import { until } from './until.ts';

/** Where in a mutation's life a kill fell. */
export const PHASES = ['before the upstream commit', 'between commit and trip 2', 'after trip 2'] as const;
export type Phase = (typeof PHASES)[number];

/** What a moment is recognised by, and the state of things when the mutation was sent. */
export interface Watched {
  readonly service: Service;
  readonly trail: Trail;
  readonly method: string;
  /** The `seq` of the trail's last row. */
  readonly lastSeq: number;
  /** How many requests of that method PipeOps had received. */
  readonly received: number;
  /** Whether nothing is in flight any more. */
  readonly isOver: () => boolean;
}

/** A moment to kill at: what PipeOps is told to do, and how to see that the moment has come. */
export interface Moment {
  readonly fault: Fault | null;
  /** Whether it comes as well while PipeOps lies, which may never commit anything or let anything end. */
  readonly comesUnderLies: boolean;
  readonly arrived: (watched: Watched) => Promise<unknown>;
}

/** Commits after the kill although nobody listens any more, as a PipeOps behind a queue would. */
const LATE_COMMIT_MS = 1_000;
/** Longer than a whole mutation takes here. */
const ANY_MOMENT_MS = 40;
const WATCH_INTERVAL_MS = 5;

const newRequests = async ({ service, method, received }: Watched) =>
  (await service.control.requests({ method })).slice(received);

const upstreamHasIt = async (watched: Watched): Promise<unknown> =>
  await until('the request to reach PipeOps', async () => (await newRequests(watched)).length > 0, {
    intervalMs: WATCH_INTERVAL_MS,
  });

const upstreamCommitted = async (watched: Watched): Promise<unknown> =>
  await until('PipeOps to commit', async () => (await newRequests(watched)).some(({ committed }) => committed), {
    intervalMs: WATCH_INTERVAL_MS,
  });

/** Looks at the database file without a pause: between the row's commit and the answer lie a few milliseconds. */
async function rowIsFinal({ trail, lastSeq, isOver }: Watched): Promise<void> {
  for (;;) {
    const row = trail.latest();
    if (isOver() || (row !== undefined && row.seq > lastSeq && row.status !== 'attempted')) return;
    await nextTurn();
  }
}

/** A webhook's row lies between its acceptance and its answer. */
async function rowIsThere({ trail, lastSeq, isOver }: Watched): Promise<void> {
  while (!isOver() && (trail.latest()?.seq ?? 0) <= lastSeq) await nextTurn();
}

async function anyTime({ isOver }: Watched): Promise<void> {
  const deadline = performance.now() + Math.random() * ANY_MOMENT_MS;
  while (performance.now() < deadline && !isOver()) await nextTurn();
}

/** The moments that are aimed at, in turn. Where a kill really fell is judged by what it left behind. */
export const MOMENTS: readonly Moment[] = [
  { fault: { delay_ms: -1 }, comesUnderLies: true, arrived: upstreamHasIt },
  { fault: { delay_ms: -1, commit: true }, comesUnderLies: false, arrived: upstreamCommitted },
  { fault: null, comesUnderLies: true, arrived: rowIsFinal },
  { fault: { delay_ms: LATE_COMMIT_MS }, comesUnderLies: true, arrived: upstreamHasIt },
  { fault: null, comesUnderLies: true, arrived: anyTime },
  { fault: null, comesUnderLies: true, arrived: rowIsFinal },
];

/** The same for a webhook, which is answered before its token is revoked. */
export const WEBHOOK_MOMENTS: readonly Moment[] = [
  { fault: { delay_ms: -1 }, comesUnderLies: true, arrived: upstreamHasIt },
  { fault: { delay_ms: -1, commit: true }, comesUnderLies: false, arrived: upstreamCommitted },
  { fault: null, comesUnderLies: false, arrived: rowIsFinal },
  { fault: null, comesUnderLies: true, arrived: rowIsThere },
  { fault: { delay_ms: LATE_COMMIT_MS }, comesUnderLies: true, arrived: upstreamHasIt },
  { fault: null, comesUnderLies: true, arrived: anyTime },
];

/** Where a kill fell, by what the trail and PipeOps say while nothing of the service runs. */
export async function phaseOf({ service, trail, lastSeq }: Watched): Promise<Phase> {
  const row = trail.latest();
  if (row === undefined || row.seq <= lastSeq) return PHASES[0];
  if (row.status !== 'attempted') return PHASES[2];
  const requests = await service.control.requests({ event_id: row.id });
  return requests.some(({ committed }) => committed) ? PHASES[1] : PHASES[0];
}
