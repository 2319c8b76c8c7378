import diagnosticsChannel from 'node:diagnostics_channel';
import { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { convertV4MiniflareOptions, Miniflare, type Request, type Response } from 'miniflare';
import { unstable_getMiniflareWorkerOptions } from 'wrangler';
import * as z from 'zod';
import { logLine } from './log-file.ts';
import { LOOPBACK } from './ports.ts';
import { siteOf } from './site.ts';
import { TOP_LEVEL, WRANGLER_TOML } from './wrangler.ts';

/** The memory that Cloudflare gives an isolate. */
const ISOLATE_MAX_MB = 128;

/**
 * Makes V8 end the process when an isolate needs more than Cloudflare gives it. By default V8 sizes its heaps by the
 * machine's memory: they grow for half an hour, and how much garbage they hold is chance. Whoever measures memory sets it in
 * miniflare's environment variable `MINIFLARE_WORKERD_V8_FLAGS`.
 */
export const ISOLATE_HEAP_FLAG = `--max-heap-size=${ISOLATE_MAX_MB}`;

/** Where miniflare calls `scheduled`. */
const SCHEDULED_PATH = '/cdn-cgi/local/scheduled';

export interface WorkerOptions {
  readonly port: number;
  readonly stateDir: string;
  /** Path of the built Worker. The pages of `/docs` are beside it. */
  readonly bundle: string;
  /** Variables and secrets. They override those in wrangler.toml. */
  readonly bindings: Readonly<Record<string, string>>;
  readonly log: (line: string) => void;
  /** Answers the paths `/local` and `/local/…`, of which the Worker knows nothing. By default the Worker is asked there too. */
  readonly local?: (request: Request) => Promise<Response>;
  /** Is told of each workerd process: the first, and each that replaces one that died. */
  readonly onProcess: (pid: number) => void;
}

/**
 * Runs the built Worker on workerd, with the bindings that wrangler.toml declares. The database is the one that
 * `wrangler … --local --persist-to STATE_DIR` opens. A workerd that dies is replaced on the same port.
 */
export function startWorker(options: WorkerOptions): Miniflare {
  reportProcesses(options.onProcess);
  const { workerOptions } = unstable_getMiniflareWorkerOptions(WRANGLER_TOML, TOP_LEVEL);
  // The bundle is one file, so module rules have nothing to find. The paths are set below.
  const { modulesRules: _modulesRules, rootPath: _rootPath, bindings, assets, ...declared } = workerOptions;
  return new Miniflare(
    convertV4MiniflareOptions({
      host: LOOPBACK,
      port: options.port,
      cf: false,
      // For `runScheduled`. Others on this machine can run the cron as well, as they can with `kill -USR2`.
      unsafeTriggerHandlers: true,
      telemetry: { enabled: false },
      resourcePersistencePath: path.join(options.stateDir, 'v3'),
      handleStructuredLogs: ({ level, message }) => options.log(asJsonLine(level, message)),
      handleUncaughtError: (error) => options.log(asJsonLine('error', error.message)),
      workers: [
        {
          ...declared,
          name: 'countersign',
          ...(assets !== undefined && { assets: { ...assets, directory: siteOf(options.bundle) } }),
          bindings: { ...Variables.parse(bindings ?? {}), ...options.bindings },
          modulesRoot: path.dirname(options.bundle),
          modules: [{ type: 'ESModule', path: options.bundle }],
        },
        ...(options.local === undefined ? [] : [inFront(options.local)]),
      ],
    }),
  );
}

/**
 * Calls `scheduled`, as a cron trigger does. miniflare's `getWorker` would block this process for its first call, and for good where
 * workerd waits meanwhile for this process to read what it prints: then neither goes on.
 *
 * @throws if the call throws, or workerd ends meanwhile.
 */
export async function runScheduled(worker: Pick<Miniflare, 'dispatchFetch'>, cron: string): Promise<void> {
  const answer = await worker.dispatchFetch(`http://${LOOPBACK}${SCHEDULED_PATH}?${new URLSearchParams({ cron })}`);
  const outcome = await answer.text();
  if (!answer.ok) throw new Error(`the run ended with ${outcome}`);
}

/** A Worker that stands beside the real one and passes its routes on to a function here. Requests to other paths take no detour. */
const inFront = (answer: (request: Request) => Promise<Response>) => ({
  name: 'countersign-local-routes',
  compatibilityDate: '2026-10-01',
  routes: ['*/local', '*/local/*'],
  serviceBindings: { ANSWER: answer },
  modules: true,
  script: 'export default { fetch: (request, env) => env.ANSWER.fetch(request) };',
});

const Variables = z.record(z.string(), z.json());
const ChildProcessMessage = z.object({ process: z.instanceof(ChildProcess) });

/** miniflare does not say which process it starts. Node tells of every process that this one starts. */
function reportProcesses(onProcess: (pid: number) => void): void {
  diagnosticsChannel.subscribe('child_process', (message) => {
    const { process: child } = ChildProcessMessage.parse(message);
    child.once('spawn', () => {
      if (child.pid !== undefined && path.basename(child.spawnfile).startsWith('workerd')) onProcess(child.pid);
    });
  });
}

/** The Worker's own lines are JSON already. Those of workerd are not. */
function asJsonLine(level: string, message: string): string {
  return message.startsWith('{') ? message : logLine(level, message);
}
