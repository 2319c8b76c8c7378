import { workerRuntime } from '../../src/worker-runtime.ts';
import { createWorker, type Worker } from '../../src/worker.ts';
import { farD1, type FarD1 } from './d1-trips.ts';
import { NO_LIMITS } from './no-limits.ts';

// The Worker as it ships, with a D1 that may be far away, and with rate limits that answer at once: miniflare's stand-in for them
// is a Worker of its own that each request calls, which on Cloudflare it does not. What the bench asks for is under /bench.

interface Env {
  readonly DB: D1Database;
}

let running: { readonly service: Worker; readonly far: FarD1 } | undefined;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    running ??= start(env);
    const { pathname, searchParams } = new URL(request.url);
    if (!pathname.startsWith('/bench/')) return await running.service.fetch(request);
    const done = new Response(null, { status: 204 });
    if (pathname === '/bench/sql') {
      await env.DB.batch((await request.json<string[]>()).map((sql) => env.DB.prepare(sql)));
      return done;
    }
    if (pathname === '/bench/delay') {
      running.far.delayMs = Number(searchParams.get('ms'));
      return done;
    }
    // Time is taken outside: a Worker's clock stands still while it computes.
    await makeTrips(running.far.d1, Number(searchParams.get('times')));
    return done;
  },
};

function start(env: Env) {
  const far = farD1(env.DB);
  return { far, service: createWorker({ ...env, ...NO_LIMITS, DB: far.d1 }, workerRuntime) };
}

/** So many batches of one insert each, one after the other, into a table with no index. */
async function makeTrips(d1: D1Database, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    const insert = d1.prepare('INSERT INTO one_row (at, what) VALUES (?, ?)').bind(Date.now(), 'what happened');
    await d1.batch([insert]);
  }
}
