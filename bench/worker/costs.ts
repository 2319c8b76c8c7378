import type { Runtime } from '../../src/kit/runtime.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createWorker, type Worker } from '../../src/worker.ts';
import { COST_HEADER, type Cost } from '../cost.ts';
import { countedD1, type D1Counts } from './d1-trips.ts';
import { NO_LIMITS } from './no-limits.ts';

// The service itself, with what each request cost in a header of its answer. One request at a time, or they would mix.

interface Env {
  readonly DB: D1Database;
}

const NOTHING: Readonly<D1Counts> = { trips: 0, statements: 0, rowsRead: 0, rowsWritten: 0 };
const counts: D1Counts = { ...NOTHING };
let pipeopsCalls = 0;
let service: Worker | undefined;
const background: Promise<unknown>[] = [];

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname === '/bench/migrate') {
      await env.DB.batch((await request.json<string[]>()).map((sql) => env.DB.prepare(sql)));
      return new Response(null, { status: 204 });
    }
    service ??= createWorker({ ...env, DB: countedD1(env.DB, counts), ...NO_LIMITS }, countedRuntime());
    Object.assign(counts, NOTHING);
    pipeopsCalls = 0;
    const response = await service.fetch(request);
    const { trips } = counts;
    // What goes on in the background may put more there.
    while (background.length > 0) await Promise.allSettled(background.splice(0));
    const { trips: tripsInAll, ...rest } = counts;
    const cost: Cost = { ...rest, trips, tripsInAll, pipeopsCalls };
    return new Response(response.body, {
      status: response.status,
      headers: [...response.headers, [COST_HEADER, JSON.stringify(cost)]],
    });
  },
};

/** With a clock that stands still, so that alike reads are always of one minute, and a snapshot is never too old. */
function countedRuntime(): Runtime {
  const nowMs = Date.now();
  return {
    ...workerRuntime,
    now: () => nowMs,
    fetch: async (url, init) => {
      pipeopsCalls += 1;
      return await workerRuntime.fetch(url, init);
    },
    background: (work) => void background.push(work),
    log: () => {},
  };
}
