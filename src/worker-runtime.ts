import { waitUntil } from 'cloudflare:workers';
import type { Runtime } from './kit/runtime.ts';

/** The timer of each signal that `timeout` made, so that `cancel` can end it. */
const timers = new WeakMap<AbortSignal, number>();

/** The runtime of the deployed Worker. */
export const workerRuntime: Runtime = {
  now: () => Date.now(),
  newId: () => crypto.randomUUID(),
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  fetch: async (url, init) => await fetch(url, init),
  // `AbortSignal.timeout` cannot be cancelled, and a few seconds' worth of its signals make an isolate's garbage collection slow.
  timeout: (ms) => {
    const controller = new AbortController();
    const expire = () => controller.abort(new DOMException('The operation timed out.', 'TimeoutError'));
    timers.set(controller.signal, setTimeout(expire, ms));
    return controller.signal;
  },
  cancel: (signal) => clearTimeout(timers.get(signal) ?? null),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
  sleep: async (ms) => await scheduler.wait(ms),
  background: waitUntil,
  log: (line) => console.log(JSON.stringify(line)),
};
