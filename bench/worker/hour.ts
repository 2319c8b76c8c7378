import type { Runtime } from '../../src/runtime.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createWorker } from '../../src/worker.ts';
import { NO_LIMITS } from './no-limits.ts';
import type { App, HourReport, PlayCommand, PrepareCommand } from '../hour-report.ts';
import { LIST_WORKSPACE } from '../names.ts';
import afternoon from './afternoon.ts';
import type { Clock } from './clock.ts';
import { countedD1, type D1Counts } from './counted-d1.ts';
import { createTraffic, type Traffic } from './traffic.ts';
import { createVirtualPipeOps, type VirtualPipeOps } from './virtual-pipeops.ts';

// The service, everybody who calls it and the PipeOps behind it, all in one isolate and by one clock, which these commands
// move. Beside it (b), by the same clock.

interface Env extends Readonly<Record<string, unknown>> {
  /** The database of each. */
  readonly ours: D1Database;
  readonly afternoon: D1Database;
}

interface Play {
  readonly clock: Clock;
  readonly traffic: Traffic;
  readonly pipeops: VirtualPipeOps;
  readonly counts: D1Counts;
  readonly cron: () => Promise<void>;
  readonly settle: () => Promise<void>;
}

/** What was used before the hour began is forgotten by PipeOps' shorter window. */
const SEEDED_BEFORE_MS = 61_000;
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
  const clock = { beganMs: Date.now() + SEEDED_BEFORE_MS, ms: Date.now() };
  const counts = { trips: 0, statements: 0, rowsRead: 0, rowsWritten: 0 };
  const pipeops = createVirtualPipeOps(clock, LIST_WORKSPACE);
  const database = countedD1(env[app], counts);
  await env[app].batch(statements.map((sql) => env[app].prepare(sql)));
  const handlers = app === 'ours' ? startOurs(env, database, clock, pipeops) : startAfternoon(env, database, pipeops);
  const traffic = createTraffic({ ...command, ...handlers, clock });
  await traffic.seed();
  await handlers.settle();
  Object.assign(counts, { trips: 0 });
  Object.assign(pipeops.counts, { calls: 0, refused: 0 });
  plays.set(app, { clock, traffic, pipeops, counts, ...handlers });
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
