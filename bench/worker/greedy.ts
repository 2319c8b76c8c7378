import { CALLER_LIMIT_PERIOD_SECONDS, CALLER_LIMIT_REQUESTS } from '../../src/config/limits.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createWorker, type Worker } from '../../src/worker.ts';
import { GREEDY } from '../names.ts';
import { NO_LIMITS } from './no-limits.ts';

// The Worker as it ships. Its limit of requests counts one caller alone, by the clock, as the binding does it; all others of the load
// are one after the other whom nobody limits.

interface Env {
  readonly DB: D1Database;
}

let worker: Worker | undefined;
let period = 0;
let requests = 0;
const CALLER_LIMIT = {
  limit: async ({ key }: { readonly key: string }) => {
    if (!key.includes(JSON.stringify(GREEDY))) return await Promise.resolve({ success: true });
    const now = Math.floor(Date.now() / (CALLER_LIMIT_PERIOD_SECONDS * 1000));
    if (now !== period) requests = 0;
    period = now;
    requests += 1;
    return await Promise.resolve({ success: requests <= CALLER_LIMIT_REQUESTS });
  },
};

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === '/bench/migrate') {
      await env.DB.batch((await request.json<string[]>()).map((sql) => env.DB.prepare(sql)));
      return new Response(null, { status: 204 });
    }
    if (pathname === '/bench/rows') {
      const query = env.DB.prepare(
        `select max(n) as most from (select count(*) as n from audit_events where actor_subject = ? group by occurred_at / 60000)`,
      );
      return Response.json((await query.bind(GREEDY).first<number>('most')) ?? 0);
    }
    worker ??= createWorker({ ...env, ...NO_LIMITS, CALLER_LIMIT }, workerRuntime);
    return await worker.fetch(request);
  },
};
