import type { Runtime } from '../../src/kit/runtime.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createWorker } from '../../src/worker.ts';
import { NO_LIMITS } from './no-limits.ts';
import { ageMaxSeconds } from '../hour-report.ts';
import type { App, HourReport, PlayCommand, PrepareCommand } from '../hour-report.ts';
import afternoon from './afternoon.ts';
import { countedD1, type D1Counts } from './d1-trips.ts';
import { createTraffic, type Traffic } from './traffic.ts';
import { createVirtualPipeOps, type Clock, type VirtualPipeOps } from './virtual-pipeops.ts';

// The service, everybody who calls it and the PipeOps behind it, all in one isolate and by one clock, which these commands
// move. Beside it (b), by the same clock.

/** The database of each is a binding of its name. */
type Env = Readonly<Record<string, unknown>>;

interface Play {
  readonly clock: Clock;
  readonly traffic: Traffic;
  readonly pipeops: VirtualPipeOps;
  readonly counts: D1Counts;
  readonly cron: () => Promise<void>;
  readonly settle: () => Promise<void>;
}

/** Tokens of each workspace in the beginning. */
const SEEDED_TOKENS = 20;
const SEEDED_NAMES = Array.from({ length: SEEDED_TOKENS }, (_item, index) => `deploy-${index}`);
const CRON_SECONDS = 60;

const plays = new Map<App, Play>();

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname === '/bench/prepare') {
      await prepare(await request.json<PrepareCommand>(), env);
      return new Response(null, { status: 204 });
    }
    const { app, seconds } = await request.json<PlayCommand>();
    const play = plays.get(app);
    if (play === undefined) throw new Error(`${app} is not prepared`);
    for (let second = 0; second < seconds; second += 1) {
      await play.traffic.playSecond();
      await play.settle();
      if (play.traffic.report().seconds % CRON_SECONDS === 0) await play.cron();
    }
    return Response.json(reportOf(play));
  },
};

async function prepare(command: PrepareCommand, env: Env): Promise<void> {
  const { app, statements } = command;
  const now = Date.now();
  const clock = { beganMs: now, ms: now };
  const counts = { trips: 0, statements: 0, rowsRead: 0, rowsWritten: 0 };
  const pipeops = createVirtualPipeOps(clock);
  const d1 = d1Of(env, app);
  const database = countedD1(d1, counts);
  await d1.batch(statements.map((sql) => d1.prepare(sql)));
  const handlers =
    app === 'afternoon' ? startAfternoon(env, database, pipeops) : startOurs(env, database, clock, pipeops);
  const seeded = (workspaceUuid: string) => pipeops.seed(workspaceUuid, SEEDED_NAMES);
  const ageMaxMs = 1000 * ageMaxSeconds(command.workspaces.length);
  const traffic = createTraffic({ ...command, ...handlers, clock, seeded, ageMaxMs });
  await handlers.settle();
  Object.assign(counts, { trips: 0 });
  plays.set(app, { clock, traffic, pipeops, counts, ...handlers });
}

function d1Of(env: Env, app: App): D1Database {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- bench/hour.ts declares them
  return env[app] as D1Database;
}

function startOurs(env: Env, database: D1Database, clock: Clock, pipeops: VirtualPipeOps) {
  const background: Promise<unknown>[] = [];
  const runtime: Runtime = {
    ...workerRuntime,
    now: () => clock.ms,
    fetch: pipeops.fetch,
    // No time passes while anything is under way.
    timeout: () => new AbortController().signal,
    background: (work) => void background.push(work),
    log: () => {},
  };
  const service = createWorker({ ...env, DB: database, ...NO_LIMITS }, runtime);
  return {
    send: async (request: Request) => await service.fetch(request),
    cron: async () => await service.scheduled(),
    settle: async () => {
      while (background.length > 0) await Promise.allSettled(background.splice(0));
    },
  };
}

function startAfternoon(env: Env, database: D1Database, pipeops: VirtualPipeOps) {
  // It knows no other.
  globalThis.fetch = async (input, init) => await pipeops.fetch(new Request(input).url, init ?? {});
  return {
    send: async (request: Request) => await afternoon.fetch(request, { ...env, DB: database }),
    cron: async () => {},
    settle: async () => {},
  };
}

const reportOf = ({ traffic, pipeops, counts }: Play): HourReport => ({
  ...traffic.report(),
  pipeopsCalls: pipeops.counts.calls,
  pipeops429s: pipeops.counts.refused,
  d1Trips: counts.trips,
});
