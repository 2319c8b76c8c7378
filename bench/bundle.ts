import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { BUNDLE } from '../local/build.ts';
import { atMost, round2, type Bar } from './bars.ts';
import { runBuiltWorker, type Script } from './built-worker.ts';
import { makeCallers, serviceVariables } from './callers.ts';
import { sized } from './quick.ts';
import { median } from './statistics.ts';

const GZIP_MAX_KIB = 200;
const ROUNDS = sized(5, 2);

const EMPTY = 'export default { fetch: () => new Response("ok") };';
/** workerd refuses timers and random values while a module is evaluated, and any I/O fails then: this must not start. */
const BUSY = `setTimeout(() => {}, 1); ${EMPTY}`;

/** How large the Worker is as it is deployed, how long it takes to start, and that it does nothing then. */
export async function benchBundle(): Promise<readonly Bar[]> {
  const bundle = readFileSync(BUNDLE);
  const gzipKiB = gzipSync(bundle).byteLength / 1024;

  const callers = await makeCallers(1);
  // Nothing here asks PipeOps for anything.
  const upstream = { url: 'http://127.0.0.1:9', credential: 'nobody' };
  const variables = serviceVariables(upstream, callers);
  const start = async (script: Script): Promise<number> => await startMs(variables, script);
  const isBusyRefused = await start(BUSY).then(
    () => false,
    () => true,
  );

  const ours: number[] = [];
  const empty: number[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    const steps = [async () => ours.push(await start(null)), async () => empty.push(await start(EMPTY))];
    for (const step of round % 2 === 0 ? steps : steps.toReversed()) await step();
    // The first round warms up the file cache.
    if (round < 0) for (const figures of [ours, empty]) figures.length = 0;
  }
  const addedMs = median(ours.map((ms, round) => ms - (empty[round] ?? Number.NaN)));

  console.log(
    `workerd ${isBusyRefused ? 'refuses to start' : 'STARTS'} a Worker that sets a timer as it is loaded. Ours starts.`,
  );
  console.log(
    `The bundle, and the time from nothing to the first answer of /healthz beside an empty Worker with the same bindings: medians of ${ROUNDS} interleaved starts.`,
  );
  console.table({
    bundle: { KiB: round2(bundle.byteLength / 1024) },
    'bundle, gzip': { KiB: round2(gzipKiB) },
    'start of ours': { ms: Math.round(median(ours)) },
    'start of an empty Worker': { ms: Math.round(median(empty)) },
    'ours adds': { ms: Math.round(addedMs) },
  });
  return [
    atMost('bundle, gzip', gzipKiB, GZIP_MAX_KIB, 'KiB'),
    {
      name: 'nothing but definitions runs at start-up',
      figure: isBusyRefused ? 'starts' : 'not told',
      bar: 'workerd starts it',
      // That ours starts was seen above. It says something if one that sets a timer does not.
      kept: isBusyRefused,
    },
  ];
}

/** Milliseconds until a workerd that was not there answers. */
async function startMs(variables: Readonly<Record<string, string>>, script: Script): Promise<number> {
  const startedAt = performance.now();
  const worker = runBuiltWorker(variables, script);
  try {
    const response = await fetch(new URL('/healthz', await worker.ready));
    if (!response.ok) throw new Error(`/healthz answered ${response.status}: ${await response.text()}`);
    await response.arrayBuffer();
    return performance.now() - startedAt;
  } finally {
    // One that did not start fails a second time here.
    await worker.dispose().catch(() => {});
  }
}
