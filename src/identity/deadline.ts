import { err, ok, type Result } from '../result.ts';

/**
 * Waits for `work` until `signal` aborts: whatever it waits for may ignore the signal, or belong to a request that was
 * cancelled and so never settle. Errors: `timeout`, `failed` (the work threw).
 */
export async function within<T>(work: Promise<T>, signal: AbortSignal): Promise<Result<T, 'timeout' | 'failed'>> {
  const timeout = Promise.withResolvers<Result<never, 'timeout'>>();
  const abort = () => timeout.resolve(err('timeout'));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  const finished: Promise<Result<T, 'failed'>> = work.then(ok, () => err('failed'));
  try {
    return await Promise.race([finished, timeout.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
