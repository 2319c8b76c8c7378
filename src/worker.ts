import policy from '../policy.ts';
import { createApp } from './app.ts';
import { parseEnv } from './config/env.ts';
import { runCron } from './cron.ts';
import { withoutPadding } from './http/context.ts';
import type { Runtime } from './kit/runtime.ts';
import { createServices } from './services.ts';
import { failureBody, toWireError } from './http/wire-errors.ts';

/** The two handlers of a Worker: requests and the cron. */
export interface Worker {
  fetch(request: Request): Promise<Response>;
  scheduled(): Promise<void>;
}

/**
 * Reads the configuration once and creates the Worker. One whose configuration does not parse serves only a fixed 500, on every path,
 * and runs no cron; the problems go to the log.
 */
export function createWorker(env: unknown, given: Runtime): Worker {
  const runtime = withTimedLog(given);
  const config = parseEnv(env, policy);
  if (!config.ok) return misconfigured(config.error, runtime);
  const services = createServices(config.value, runtime);
  const app = createApp(services);
  return {
    fetch: async (request) => await app.fetch(withoutPadding(request)),
    scheduled: async () => await runCron(services),
  };
}

/** Each line says when it was written. Where lines are collected, they may come late and in any order. */
const withTimedLog = (runtime: Runtime): Runtime => ({
  ...runtime,
  log: (line) => runtime.log({ time: new Date(runtime.now()).toISOString(), ...line }),
});

function misconfigured(problems: readonly { key: string; problem: string }[], runtime: Runtime): Worker {
  const report = () => {
    for (const { key, problem } of problems) {
      runtime.log({ level: 'error', event: 'configuration_invalid', key, problem });
    }
  };
  const answer = toWireError({ kind: 'configuration_invalid' });
  return {
    fetch: async () => {
      report();
      const requestId = runtime.newId();
      return Response.json(failureBody(answer, requestId, null), {
        status: answer.status,
        headers: { 'X-Request-Id': requestId, 'Cache-Control': 'no-store' },
      });
    },
    scheduled: async () => report(),
  };
}
