import { round2, type Bar } from './bars.ts';
import { runLoad } from './load.ts';
import { sized } from './quick.ts';
import { median } from './statistics.ts';
import { startTargets, type Target } from './targets.ts';
import { cpuMs } from './workerd-process.ts';

const CONNECTIONS = 16;
const ROUNDS = sized(5, 2);
/** The kernel counts in hundredths of a second: the load has to be many of them. */
const REQUESTS = sized(2_000, 200);

/**
 * Processor time of workerd a list, D1 included, which runs in the same process here. No bar stands on it. Linux alone
 * tells it.
 */
export async function benchCpu(): Promise<readonly Bar[]> {
  if (process.platform !== 'linux') {
    console.log('Processor time is measured on Linux alone.');
    return [];
  }
  await using targets = await startTargets();
  const { ours, bareProxy, afternoon } = targets;
  const measured = [
    { name: 'ours', target: ours, figures: [] as number[] },
    { name: '(a) bare proxy', target: bareProxy, figures: [] as number[] },
    { name: '(b) afternoon', target: afternoon, figures: [] as number[] },
  ];
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const { target, figures } of round % 2 === 0 ? measured : measured.toReversed()) {
      const figure = await cpuMsPerRequest(target);
      // The first round warms up.
      if (round >= 0) figures.push(figure);
    }
    await targets.upstream.control.clearRequests();
  }
  const bare = measured[1]?.figures ?? [];
  console.log(
    `Processor time of workerd (D1 is in it) a list, over ${CONNECTIONS} connections: medians of ${ROUNDS} interleaved rounds of ${REQUESTS} requests.`,
  );
  console.table(
    Object.fromEntries(
      measured.map(({ name, figures }) => [
        name,
        {
          'CPU ms a request': round2(median(figures)),
          'ratio to (a)': round2(median(figures.map((figure, round) => figure / (bare[round] ?? Number.NaN)))),
        },
      ]),
    ),
  );
  return [];
}

async function cpuMsPerRequest({ origin, lists, workerd }: Target): Promise<number> {
  const pid = workerd?.pid ?? Number.NaN;
  const beforeMs = cpuMs(pid);
  const { answers } = await runLoad({ origin, requests: lists, connections: CONNECTIONS, count: REQUESTS });
  return (cpuMs(pid) - beforeMs) / answers;
}
