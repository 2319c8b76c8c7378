export interface Cron {
  /** Runs the job now, or once more after the run that is under way. It never throws. */
  readonly trigger: () => void;
  readonly stop: () => void;
}

/**
 * Calls a job on a timer, as Cloudflare calls `scheduled`: neither miniflare nor `wrangler dev` ever does.
 *
 * @param onFailure is told of a run that threw. Later runs take place all the same.
 */
export function startCron(seconds: number, job: () => Promise<unknown>, onFailure: (error: unknown) => void): Cron {
  const state = { running: false, again: false, stopped: false };

  const runOnce = async (): Promise<void> => {
    try {
      await job();
    } catch (error) {
      if (!state.stopped) onFailure(error);
    }
  };
  const run = async (): Promise<void> => {
    state.running = true;
    await runOnce();
    state.running = false;
    if (!state.again) return;
    state.again = false;
    trigger();
  };
  const trigger = (): void => {
    if (state.running) state.again = true;
    else if (!state.stopped) void run();
  };

  const timer = setInterval(trigger, seconds * 1_000);
  return {
    trigger,
    stop: () => {
      state.stopped = true;
      clearInterval(timer);
    },
  };
}
