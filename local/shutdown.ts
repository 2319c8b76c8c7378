import { setTimeout as delay } from 'node:timers/promises';

/** Nothing that is stopped here takes longer; a step that hangs must not keep the terminal. */
const STOP_PATIENCE_MS = 8_000;
const PARENT_CHECK_INTERVAL_MS = 500;

export interface Shutdown {
  /** A step to take when the process stops. Steps run in the reverse order of their registration. */
  onStop(step: () => void | Promise<void>): void;
  /** Takes the steps and ends the process. */
  stop(exitCode: number): Promise<never>;
  /** Makes Ctrl-C and SIGTERM stop in order, in place of whatever listens to them by now. */
  takeOverSignals(): void;
}

/**
 * How the process ends: on SIGINT, SIGTERM and SIGHUP, and, under npm, when npm is gone. npm passes signals on, but a
 * SIGKILL it cannot, and a service nobody owns would hold its port.
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
      // The process is about to end; the other steps still have to be taken.
    }
  }
}

function stopWithParent(onGone: () => void): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) onGone();
  }, PARENT_CHECK_INTERVAL_MS).unref();
}
