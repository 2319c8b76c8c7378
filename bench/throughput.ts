import { atLeast, atMost, round2, type Bar } from './bars.ts';
import { startChildServer } from './child-server.ts';
import { benchCreate } from './create-latency.ts';
import { runLoad, type Load } from './load.ts';
import { sized } from './quick.ts';
import { interleave, medianOf, ratioOf, type Rounds } from './rounds.ts';
import { startTargets, type Target, type Targets } from './targets.ts';

const CONNECTIONS = [1, 16, 64] as const;
const ROUNDS = sized(7, 2);
const LOAD_MS = sized(2_000, 300);
const TRIVIAL_SERVER = new URL('trivial-server.ts', import.meta.url);

const THROUGHPUT_TO_BARE_MIN = 0.8;
const THROUGHPUT_TO_AFTERNOON_MIN = 2;
const P50_TO_BARE_MAX = 1.5;

const NAMES = ['ours', '(a) bare proxy', '(b) afternoon', 'PipeOps itself'] as const;
type Name = (typeof NAMES)[number];

/**
 * How many lists the built Worker answers, and how fast, beside (a) a proxy that audits nothing, (b) the service as it
 * would be written in an afternoon, and the simulated PipeOps behind all of them; then how long a create takes.
 */
export async function benchThroughput(): Promise<readonly Bar[]> {
  await printCeiling();
  await using targets = await startTargets();
  const bars: Bar[] = [];
  for (const connections of CONNECTIONS) {
    const rounds = await interleave(loadsOf(targets, connections), ROUNDS, async () => {
      await targets.upstream.control.clearRequests();
    });
    print(connections, rounds);
    bars.push(...barsOf(connections, rounds));
  }
  return [...bars, ...(await benchCreate(targets))];
}

/** What the generator of the load reaches where nothing else limits it. */
async function printCeiling(): Promise<void> {
  await using server = await startChildServer(TRIVIAL_SERVER, {});
  const load = { origin: server.url, requests: [Buffer.from('GET / HTTP/1.1\r\n\r\n')], forMs: LOAD_MS };
  const ceilings: string[] = [];
  for (const connections of CONNECTIONS) {
    const { perSecond } = await runLoad({ ...load, connections });
    ceilings.push(`${Math.round(perSecond)} (${connections})`);
  }
  console.log(
    `The load generator alone, against a server that answers 8 KiB unread: ${ceilings.join(', ')} requests/s (connections).`,
  );
}

function loadsOf({ ours, bareProxy, afternoon, direct }: Targets, connections: number): Readonly<Record<Name, Load>> {
  const load = ({ origin, lists }: Target): Load => ({ origin, requests: lists, connections, forMs: LOAD_MS });
  return {
    ours: load(ours),
    '(a) bare proxy': load(bareProxy),
    '(b) afternoon': load(afternoon),
    'PipeOps itself': load(direct),
  };
}

function print(connections: number, rounds: Rounds<Name>): void {
  console.log(
    `Lists of 20 tokens over ${connections} connections: medians of ${ROUNDS} interleaved rounds of ${LOAD_MS / 1000} s; 20 callers in turns, whose limit of 100 requests in 10 s is lifted here. Alike reads of a minute share a row.`,
  );
  console.table(
    Object.fromEntries(
      NAMES.map((name) => [
        name,
        {
          'requests/s': Math.round(medianOf(rounds, name, 'perSecond')),
          'p50 ms': round2(medianOf(rounds, name, 'p50Ms')),
          'p99 ms': round2(medianOf(rounds, name, 'p99Ms')),
          'requests/s, ratio to (a)': round2(ratioOf(rounds, name, '(a) bare proxy', 'perSecond')),
          'to (b)': round2(ratioOf(rounds, name, '(b) afternoon', 'perSecond')),
          'p50, ratio to (a)': round2(ratioOf(rounds, name, '(a) bare proxy', 'p50Ms')),
        },
      ]),
    ),
  );
}

function barsOf(connections: number, rounds: Rounds<Name>): readonly Bar[] {
  const ratio = (to: Name, figure: 'perSecond' | 'p50Ms') => ratioOf(rounds, 'ours', to, figure);
  if (connections === 16) {
    return [
      atLeast(
        'list, 16 connections: requests/s, ratio to (a)',
        ratio('(a) bare proxy', 'perSecond'),
        THROUGHPUT_TO_BARE_MIN,
      ),
      atLeast(
        'list, 16 connections: requests/s, ratio to (b)',
        ratio('(b) afternoon', 'perSecond'),
        THROUGHPUT_TO_AFTERNOON_MIN,
      ),
    ];
  }
  if (connections !== 1) return [];
  return [atMost('list, 1 connection: p50, ratio to (a)', ratio('(a) bare proxy', 'p50Ms'), P50_TO_BARE_MAX)];
}
