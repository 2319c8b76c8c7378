import { round2, type Bar } from './bars.ts';
import { startChildServer } from './child-server.ts';
import { benchCosts } from './costs.ts';
import { barsOf, printMeasured, type Measured, type Round } from './feel-report.ts';
import { runClosedLoad, runOpenLoad, type LoadFigures } from './load.ts';
import { sized } from './quick.ts';
import { interleave, type Step } from './rounds.ts';
import { CALLERS_IN_ALL, SCENARIOS, SEEDED, type Operation, type Scenario, type ScenarioName } from './scenarios.ts';
import { createChance } from './statistics.ts';
import { requestOf, startTargets, type SeededWorkspace, type TargetName, type Targets } from './targets.ts';

const TRIVIAL_SERVER = new URL('trivial-server.ts', import.meta.url);
/** So many different requests are sent in turns: enough for an open loop, in which none comes twice within a list's life. */
const DIFFERENT_REQUESTS = 5_000;

const PICKS_SEED = 1_000;
const FETCHES_AT_ONCE = 8;

/** `BENCH_ONLY=usual,lists300`: these scenarios alone, and their bars. */
const ONLY = process.env['BENCH_ONLY']?.split(',');

const NO_WORKSPACE: SeededWorkspace = { uuid: '', tokenIds: [] };

/** Whose load it is, what it does, and what decides its chances. */
interface Turn {
  readonly name: TargetName;
  readonly operation: Operation;
  readonly seed: number;
}

/**
 * What users feel: how long the service takes beside (a) and (b), over the same distances to D1 and PipeOps, for one caller at a
 * time, for many, and for requests that arrive whether or not those before were answered. Then what each operation costs.
 */
export async function benchFeel(): Promise<readonly Bar[]> {
  await printCeiling();
  const measured = await measureAll();
  printMeasured(measured);
  return [...barsOf(measured), ...(ONLY === undefined ? await benchCosts() : [])];
}

/** What the generator of the load reaches where nothing else limits it. */
async function printCeiling(): Promise<void> {
  await using server = await startChildServer(TRIVIAL_SERVER, {});
  const load = { origin: server.url, requests: [Buffer.from('GET / HTTP/1.1\r\n\r\n')], forMs: sized(1_000, 200) };
  const one = await runClosedLoad({ ...load, connections: 1 });
  const many = await runClosedLoad({ ...load, connections: 64 });
  const open = await runOpenLoad({ ...load, perSecond: 300, seed: 1 });
  console.log(
    `The load generator alone, against a server that answers 8 KiB unread: ${Math.round(one.perSecond)} requests/s over 1 connection, ${Math.round(many.perSecond)} over 64. ` +
      `Of 300 a second that arrive at random it adds ${round2(open.p50Ms)} ms (p50) and ${round2(open.p99Ms)} ms (p99).`,
  );
}

async function measureAll(): Promise<Measured> {
  await using targets = await startTargets(CALLERS_IN_ALL, SEEDED);
  const measured = new Map<ScenarioName, ReadonlyMap<TargetName, readonly Round[]>>();
  for (const [name, scenario] of Object.entries<Scenario>(SCENARIOS)) {
    if (ONLY !== undefined && !ONLY.includes(name)) continue;
    const startedAt = performance.now();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- these are the keys of that very object
    measured.set(name as ScenarioName, await measureOrSay(targets, scenario));
    console.error(`${name}: measured in ${Math.round((performance.now() - startedAt) / 1000)} s.`);
  }
  return measured;
}

/** A scenario that breaks off keeps no bar, and the others are measured all the same. */
async function measureOrSay(targets: Targets, scenario: Scenario): Promise<ReadonlyMap<TargetName, readonly Round[]>> {
  try {
    return await measure(targets, scenario);
  } catch (error) {
    console.error(error);
    return new Map();
  }
}

async function measure(targets: Targets, scenario: Scenario): Promise<ReadonlyMap<TargetName, readonly Round[]>> {
  await targets.moveTo(scenario.distance);
  const isAlone = 'connections' in scenario.load && scenario.load.connections === 1;
  const steps = scenario.targets.map((name): Step<TargetName, Round> => [
    name,
    async (round) => {
      const figures = new Map<Operation, LoadFigures>();
      for (const operation of scenario.operations) {
        figures.set(operation, await runLoad(targets, scenario, { name, operation, seed: round }));
      }
      return { figures, tripMs: name === 'ours' && isAlone ? await targets.tripMs() : Number.NaN };
    },
  ]);
  return await interleave(steps, scenario.rounds, {
    // An open loop leads in instead.
    warmsUp: !('perSecond' in scenario.load),
    between: async () => await targets.upstream.control.clearRequests(),
  });
}

/** A target's load of one round. All targets of a round have the same requests, at the same moments. */
async function runLoad(targets: Targets, scenario: Scenario, turn: Turn): Promise<LoadFigures> {
  const { load, leadSeconds } = scenario;
  const { name, operation, seed } = turn;
  const { origin } = targets.of[name];
  const requests = await requestsFor(targets, scenario, turn);
  const seconds = name === 'ours' ? (scenario.oursSeconds ?? scenario.seconds) : scenario.seconds;
  if ('perSecond' in load) {
    if (name === 'ours') await fetchLists(targets, scenario);
    const [forMs, leadMs] = [(leadSeconds + seconds) * 1000, leadSeconds * 1000];
    return await runOpenLoad({ origin, requests, perSecond: load.perSecond, forMs, leadMs, seed });
  }
  // There is something to revoke once for each request, however long it takes.
  const until = operation === 'revoke' ? { count: requests.length } : { forMs: seconds * 1000 };
  return await runClosedLoad({ origin, requests, connections: load.connections, ...until });
}

/** Has every list fetched that has to be, by readers who wait for it: no load begins with none of them there. */
async function fetchLists({ of, jwts }: Targets, { workspaces }: Scenario): Promise<void> {
  const requests = workspaces.map(({ uuid }, index) => requestOf.list(uuid, jwts[index % jwts.length] ?? ''));
  const { origin } = of.ours;
  await runClosedLoad({ origin, requests, connections: FETCHES_AT_ONCE, count: requests.length, accepts: () => true });
}

async function requestsFor(
  { of, jwts, upstream }: Targets,
  { workspaces, callersOfEach }: Scenario,
  { name, operation, seed }: Turn,
): Promise<readonly Buffer[]> {
  const { createWorkspace } = of[name];
  // Not the numbers that the arrivals are made of.
  const chance = createChance(seed + PICKS_SEED);
  const below = (count: number): number => Math.floor(chance() * count);
  const pick = (items: readonly string[]): string => items[below(items.length)] ?? '';
  if (operation === 'revoke') {
    const tokens = await upstream.control.tokens(createWorkspace);
    const live = tokens.filter((token) => !token.is_revoked);
    return live.map(({ id }) => requestOf.revoke(createWorkspace, pick(jwts), id));
  }
  return Array.from({ length: DIFFERENT_REQUESTS }, () => {
    const index = below(workspaces.length);
    const { uuid, tokenIds } = workspaces[index] ?? NO_WORKSPACE;
    // Each workspace has callers of its own, where there are enough of them.
    const jwt = jwts[(index * callersOfEach + below(callersOfEach)) % jwts.length] ?? '';
    if (operation === 'create') return requestOf.create(createWorkspace, jwt);
    return operation === 'list' ? requestOf.list(uuid, jwt) : requestOf.get(uuid, jwt, pick(tokenIds));
  });
}
