import { workerRuntime } from '../../src/worker-runtime.ts';
import { createWorker, type Worker } from '../../src/worker.ts';
import { NO_LIMITS } from './no-limits.ts';

// The Worker as it ships, with rate limits that answer at once: miniflare's stand-in for them is a Worker of its own that each
// request calls, which on Cloudflare it does not.

interface Env {
  readonly DB: D1Database;
}

let worker: Worker | undefined;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname === '/bench/migrate') {
      await env.DB.batch((await request.json<string[]>()).map((sql) => env.DB.prepare(sql)));
      return new Response(null, { status: 204 });
    }
    worker ??= createWorker({ ...env, ...NO_LIMITS }, workerRuntime);
    return await worker.fetch(request);
  },
};
