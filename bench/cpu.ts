import { round2, type Bar } from './bars.ts';
import { runClosedLoad } from './load.ts';
import { printTable } from './print.ts';
import { sized } from './quick.ts';
import { interleave, medianRatio, type Step } from './rounds.ts';
import { median } from './statistics.ts';
import { requestOf, startTargets, TARGET_NAMES, workspaceUuid, type Target, type TargetName } from './targets.ts';
import { cpuMs } from './workerd-process.ts';

const CALLERS = 20;
const WORKSPACE = { uuid: workspaceUuid(0), tokenIds: Array.from({ length: 20 }, (_token, index) => `token-${index}`) };
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
  await using targets = await startTargets(CALLERS, [WORKSPACE]);
  const requests = targets.jwts.map((jwt) => requestOf.list(WORKSPACE.uuid, jwt));
  const steps = TARGET_NAMES.map((name): Step<TargetName, number> => [
    name,
    async () => await cpuMsPerRequest(targets.of[name], requests),
  ]);
  const rounds = await interleave(steps, ROUNDS, {
    between: async () => await targets.upstream.control.clearRequests(),
  });
  console.log(
    `Processor time of workerd (D1 is in it) a list, over ${CONNECTIONS} connections: medians of ${ROUNDS} interleaved rounds of ${REQUESTS} requests.`,
  );
  printTable(
    'processor',
    [...rounds].map(([name, figures]) => ({
      list: name,
      'CPU ms a request': round2(median(figures)),
      'ratio to (a)': round2(medianRatio(figures, rounds.get('(a)') ?? [])),
    })),
  );
  return [];
}

async function cpuMsPerRequest({ origin, workerd }: Target, requests: readonly Buffer[]): Promise<number> {
  const pid = workerd.pid ?? Number.NaN;
  const beforeMs = cpuMs(pid);
  const { answers } = await runClosedLoad({ origin, requests, connections: CONNECTIONS, count: REQUESTS });
  return (cpuMs(pid) - beforeMs) / answers;
}
