import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startCron } from '../../local/cron.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('the cron', () => {
  it('runs on its timer until it is stopped', async () => {
    const job = vi.fn<() => Promise<void>>(async () => {});
    const cron = startCron(60, job, () => {});
    await vi.advanceTimersByTimeAsync(180_000);
    expect(job).toHaveBeenCalledTimes(3);
    cron.stop();
    cron.trigger();
    await vi.advanceTimersByTimeAsync(180_000);
    expect(job).toHaveBeenCalledTimes(3);
  });

  it('runs at once when it is triggered', () => {
    const job = vi.fn<() => Promise<void>>(async () => {});
    const cron = startCron(60, job, () => {});
    cron.trigger();
    expect(job).toHaveBeenCalledTimes(1);
    cron.stop();
  });

  it('never runs twice at a time, and once more after a run that was asked for meanwhile', async () => {
    const runs: PromiseWithResolvers<void>[] = [];
    const job = vi.fn<() => Promise<void>>(async () => {
      const run = Promise.withResolvers<void>();
      runs.push(run);
      await run.promise;
    });
    const cron = startCron(60, job, () => {});
    cron.trigger();
    cron.trigger();
    cron.trigger();
    expect(job).toHaveBeenCalledTimes(1);
    runs[0]?.resolve();
    await vi.waitFor(() => expect(job).toHaveBeenCalledTimes(2));
    runs[1]?.resolve();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(job).toHaveBeenCalledTimes(2);
    cron.stop();
  });

  it('goes on after a run that failed', async () => {
    const onFailure = vi.fn<(error: unknown) => void>();
    const cron = startCron(60, () => Promise.reject(new Error('down')), onFailure);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(onFailure).toHaveBeenCalledTimes(2);
    cron.stop();
  });
});
