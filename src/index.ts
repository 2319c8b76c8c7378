import { workerRuntime } from './worker-runtime.ts';
import { createWorker, type Worker } from './worker.ts';

/** The Worker of this isolate. An isolate needs one, since its configuration cannot change during its life. */
let worker: Worker | undefined;

export default {
  fetch: async (request, env) => {
    worker ??= createWorker(env, workerRuntime);
    return await worker.fetch(request);
  },
  scheduled: async (_controller, env) => {
    worker ??= createWorker(env, workerRuntime);
    await worker.scheduled();
  },
} satisfies ExportedHandler;
