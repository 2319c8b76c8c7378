import { env } from 'cloudflare:workers';
import { createApp } from '../../src/app.ts';
import { parseEnv } from '../../src/config/env.ts';
import type { Runtime } from '../../src/kit/runtime.ts';
import { createServices, type Services } from '../../src/services.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { adminCredential, FINGERPRINT_KEYS, IDEMPOTENCY_SECRET } from './harness.ts';
import { useState } from './state-secret.ts';

const unlimited = { limit: async () => await Promise.resolve({ success: true }) };

/** Everything that a Worker is made of, without a policy, before a PipeOps that is the runtime's alone. */
export function bareServices(runtime: Runtime = workerRuntime): Services {
  const bindings = {
    DB: env.DB,
    CALLER_LIMIT: unlimited,
    REJECTIONS_PER_ADDRESS: unlimited,
    REJECTIONS_IN_ALL: unlimited,
    PIPEOPS_API_URL: 'https://pipeops.example',
    PIPEOPS_ADMIN_TOKEN: adminCredential(),
    FINGERPRINT_KEYS,
    IDEMPOTENCY_SECRET,
    ...useState(),
    POLICY: JSON.stringify({ issuers: [], roles: {}, bindings: [] }),
  };
  const config = parseEnv(bindings, null);
  if (!config.ok) throw new Error(JSON.stringify(config.error));
  return createServices(config.value, runtime);
}

/** The router's own table: its routes and its middleware, in the order in which a request meets them. */
export const registeredRoutes = () => createApp(bareServices()).routes;
