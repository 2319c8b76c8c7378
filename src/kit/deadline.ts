import { err, ok, type Result } from './result.ts';
import type { Runtime } from './runtime.ts';

/**
 * Settles as `work` does, or rejects as soon as `signal` aborts, even where `work` never settles: it may not hear the
 * signal, or belong to a request that was cancelled.
 */
export const untilAborted = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new Error('The deadline has passed.'));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};

/** Waits `ms` milliseconds. False: `signal` aborted before they were over. */
export async function pause(runtime: Pick<Runtime, 'sleep'>, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await untilAborted(runtime.sleep(ms), signal);
    return !signal.aborted;
  } catch {
    return false;
  }
}

/** Settles as `work` does, as a result: `timeout` if the signal aborted first, `failed` if the work threw. */
export async function within<T>(work: Promise<T>, signal: AbortSignal): Promise<Result<T, 'timeout' | 'failed'>> {
  try {
    return ok(await untilAborted(work, signal));
  } catch {
    return err(signal.aborted ? 'timeout' : 'failed');
  }
}

/**
 * Waits at most `ms` milliseconds for work that hears of no deadline, and then leaves it to itself. It sets a timer and makes no
 * signal, which would cost too much in what every request does.
 */
export async function waitFor<T>(
  runtime: Pick<Runtime, 'after'>,
  ms: number,
  work: Promise<T>,
): Promise<Result<T, 'timeout' | 'failed'>> {
  const { promise, resolve } = Promise.withResolvers<Result<T, 'timeout' | 'failed'>>();
  const cancel = runtime.after(ms, () => resolve(err('timeout')));
  const settle = (result: Result<T, 'failed'>): void => {
    cancel();
    resolve(result);
  };
  work.then(
    (value) => settle(ok(value)),
    () => settle(err('failed')),
  );
  return await promise;
}

/** Runs `work` under a deadline of its own, `ms` milliseconds from now, and lets go of that as soon as the work is over. */
export async function underDeadline<T>(
  runtime: Pick<Runtime, 'timeout' | 'cancel'>,
  ms: number,
  work: (deadline: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = runtime.timeout(ms);
  try {
    return await work(deadline);
  } finally {
    runtime.cancel(deadline);
  }
}
