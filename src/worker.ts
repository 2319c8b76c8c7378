import { createApp } from './app.ts';
import { parseEnv } from './config/env.ts';
import { newTrace, type RequestContext } from './request-context.ts';
import type { Runtime } from './runtime.ts';
import { createServices, type Services } from './services.ts';
import { toWireError } from './wire-errors.ts';

/** The two handlers that Workers call. */
export interface Worker {
  fetch(request: Request): Promise<Response>;
  scheduled(): Promise<void>;
}

/**
 * Reads the configuration, once, and makes a Worker of it. One that does not parse serves nothing but a fixed 500, on
 * every path, and runs no cron: what is wrong goes to the log.
 */
export function createWorker(env: unknown, runtime: Runtime): Worker {
  const config = parseEnv(env);
  if (!config.ok) return misconfigured(config.error, runtime);
  const services = createServices(config.value, runtime);
  const app = createApp(services);
  return {
    fetch: async (request) => await app.fetch(request),
    scheduled: async () => await runCron(services),
  };
}

/**
 * Settles what nobody waits for any more, drives what webhooks ordered, and erases idempotency keys whose time is over. One
 * failing does not keep the others.
 */
async function runCron({ reconciler, orders, keyExpiry, runtime }: Services): Promise<void> {
  const context: RequestContext = {
    requestId: runtime.newId(),
    traceparent: null,
    ip: null,
    userAgent: null,
    trace: newTrace(),
  };
  const startedAt = runtime.now();
  // A leak first: PipeOps answers only so many calls a minute.
  const driven = await settled(async () => await orders.run(context, null), { due: 0, ended: 0 }, runtime);
  const looked = await settled(async () => await reconciler.run(context), { due: 0, settled: 0 }, runtime);
  const expired = await settled(async () => await keyExpiry.run(context), { erased: 0 }, runtime);
  const { d1Trips, upstreamCalls } = context.trace;
  runtime.log({
    level: 'info',
    event: 'cron',
    request_id: context.requestId,
    due_orders: driven.due,
    ended_orders: driven.ended,
    due_attempts: looked.due,
    settled: looked.settled,
    erased_keys: expired.erased,
    duration_ms: runtime.now() - startedAt,
    d1_trips: d1Trips,
    upstream_calls: upstreamCalls,
  });
}

async function settled<T>(job: () => Promise<T>, otherwise: T, runtime: Runtime): Promise<T> {
  try {
    return await job();
  } catch (error) {
    const name = error instanceof Error ? error.name : 'unknown';
    runtime.log({ level: 'error', event: 'cron_job_failed', name });
    return otherwise;
  }
}

function misconfigured(problems: readonly { key: string; problem: string }[], runtime: Runtime): Worker {
  const report = () => {
    for (const { key, problem } of problems) {
      runtime.log({ level: 'error', event: 'configuration_invalid', key, problem });
    }
  };
  const { status, code, message } = toWireError({ kind: 'configuration_invalid' });
  return {
    fetch: async () => {
      report();
      const requestId = runtime.newId();
      const body = { success: false, status: 'error', message, code, request_id: requestId };
      return Response.json(body, { status, headers: { 'X-Request-Id': requestId, 'Cache-Control': 'no-store' } });
    },
    scheduled: async () => report(),
  };
}
