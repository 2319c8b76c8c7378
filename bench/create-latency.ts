import { atMost, round2, type Bar } from './bars.ts';
import { runLoad } from './load.ts';
import { sized } from './quick.ts';
import { startWorker } from './start-worker.ts';
import { median, percentile } from './statistics.ts';
import type { Target, Targets } from './targets.ts';

const ROUNDS = sized(7, 2);
const CREATES = sized(150, 20);
const TRIPS_PER_REQUEST = 5;
const TRIP_REQUESTS = sized(40, 8);
/** What a create may take beyond PipeOps and D1. */
const ALLOWANCE = 1.2;

/** How long a create takes over one connection, beside PipeOps' own and the two D1 round trips that it needs. */
export async function benchCreate({ ours, direct, afternoon }: Targets): Promise<readonly Bar[]> {
  await using d1 = await startWorker('bench/worker/d1-trip.ts', {}, ['DB']);
  const p50s = { ours: [] as number[], afternoon: [] as number[], upstream: [] as number[], trip: [] as number[] };
  for (let round = -1; round < ROUNDS; round += 1) {
    const steps = [
      async () => p50s.ours.push(await createMs(ours)),
      async () => p50s.afternoon.push(await createMs(afternoon)),
      async () => p50s.upstream.push(await createMs(direct)),
      async () => p50s.trip.push(await tripMs(d1.url)),
    ];
    for (const step of round % 2 === 0 ? steps : steps.toReversed()) await step();
    // The first round warms up.
    if (round < 0) for (const figures of Object.values(p50s)) figures.length = 0;
  }
  const bounds = p50s.upstream.map((upstream, round) => (upstream + 2 * (p50s.trip[round] ?? Number.NaN)) * ALLOWANCE);
  const ratio = median(p50s.ours.map((ms, round) => ms / (bounds[round] ?? Number.NaN)));
  console.log(
    `A create over one connection: medians of ${ROUNDS} interleaved rounds, p50 of ${CREATES} creates each. A D1 round trip: a batch of one insert.`,
  );
  console.table({
    ours: { 'p50 ms': round2(median(p50s.ours)) },
    '(b) afternoon': { 'p50 ms': round2(median(p50s.afternoon)) },
    'PipeOps itself': { 'p50 ms': round2(median(p50s.upstream)) },
    'D1 round trip': { 'p50 ms': round2(median(p50s.trip)) },
    '(PipeOps + 2 D1 round trips) + 20 %': { 'p50 ms': round2(median(bounds)) },
  });
  return [atMost('create, 1 connection: p50, ratio to (PipeOps + 2 D1 round trips) + 20 %', ratio, 1)];
}

const createMs = async ({ origin, creates }: Target): Promise<number> =>
  (await runLoad({ origin, requests: creates, connections: 1, count: CREATES })).p50Ms;

/** Milliseconds of a D1 round trip, without the request that made the Worker do it. */
async function tripMs(url: string): Promise<number> {
  const request = async (times: number): Promise<number> => {
    const startedAt = performance.now();
    const response = await fetch(`${url}?times=${times}`);
    if (!response.ok) throw new Error(`the Worker answered ${response.status}: ${await response.text()}`);
    return performance.now() - startedAt;
  };
  const milliseconds: number[] = [];
  for (let index = 0; index < TRIP_REQUESTS; index += 1) {
    const emptyMs = await request(0);
    milliseconds.push(((await request(TRIPS_PER_REQUEST)) - emptyMs) / TRIPS_PER_REQUEST);
  }
  return percentile(milliseconds, 0.5);
}
