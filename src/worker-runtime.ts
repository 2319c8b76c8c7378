import { waitUntil } from 'cloudflare:workers';
import type { Runtime } from './runtime.ts';

/** The runtime of the deployed Worker. */
export const workerRuntime: Runtime = {
  now: () => Date.now(),
  newId: () => crypto.randomUUID(),
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  fetch: async (url, init) => await fetch(url, init),
  timeout: (ms) => AbortSignal.timeout(ms),
  sleep: async (ms) => await scheduler.wait(ms),
  background: waitUntil,
  log: (line) => console.log(JSON.stringify(line)),
};
