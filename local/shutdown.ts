import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

/** No step takes longer than this unless it hangs, and a step that hangs must not keep the terminal. */
const STOP_PATIENCE_MS = 8_000;
const PARENT_CHECK_INTERVAL_MS = 500;

export interface Shutdown {
  /** Registers a step to take when the process stops. Steps run in the reverse order of their registration. */
  onStop(step: () => void | Promise<void>): void;
  /** Takes the steps and ends the process. */
  stop(exitCode: number): Promise<never>;
  /** Makes Ctrl-C and SIGTERM stop in order. It removes the listeners that they have by now. */
  takeOverSignals(): void;
}

/**
 * Ends the process on SIGINT, SIGTERM and SIGHUP, and, under npm, when npm is gone. npm passes signals on, but cannot pass
 * on a SIGKILL, and a service that nobody owns would hold its port.
 */
export function createShutdown(): Shutdown {
  const steps: (() => void | Promise<void>)[] = [];
  let stopping = false;

  const stop = async (exitCode: number): Promise<never> => {
    if (stopping) process.exit(exitCode);
    stopping = true;
    await Promise.race([takeSteps(steps), delay(STOP_PATIENCE_MS)]);
    process.exit(exitCode);
  };
  const onSignal = (): void => void stop(0);

  return {
    onStop: (step) => void steps.push(step),
    stop,
    takeOverSignals: () => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
        // miniflare's own listener ends the process at once, before an asynchronous step is done.
        process.removeAllListeners(signal);
        process.on(signal, onSignal);
      }
      if (process.env['npm_lifecycle_event'] !== undefined) stopWithParent(onSignal);
    },
  };
}

async function takeSteps(steps: readonly (() => void | Promise<void>)[]): Promise<void> {
  for (const step of steps.toReversed()) {
    try {
      await step();
    } catch {
      // The process is about to end, and the other steps still have to be taken.
    }
  }
}

function stopWithParent(onGone: () => void): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) onGone();
  }, PARENT_CHECK_INTERVAL_MS).unref();
}

/** Reads process ids, one a line, until its input ends. Then it kills the last one, unless that line was empty. */
const GUARD_SCRIPT = 'while read -r pid; do last=$pid; done; [ -z "$last" ] || kill -9 "$last" 2>/dev/null';

export interface OrphanGuard {
  /** The process that goes when this one goes, or null for none. It replaces the one named before. */
  watch(pid: number | null): void;
}

/**
 * Starts a shell that outlives this process by a moment and takes workerd with it. A SIGKILL leaves this process no chance
 * to do so, and workerd would go on holding its port. The shell has a session of its own, so that neither Ctrl-C nor a
 * signal to our process group ends it first.
 */
export function startOrphanGuard(): OrphanGuard {
  const shell = spawn('/bin/sh', ['-c', GUARD_SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  // Somebody may kill the shell by hand; that must not take the service down.
  shell.stdin.on('error', () => {});
  shell.on('error', () => {});
  shell.unref();
  return { watch: (pid) => void shell.stdin.write(`${pid ?? ''}\n`) };
}
