import { D1_SIZE_WARNING_BYTES, READY_PROBE_INTERVAL_MS } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { newTrace } from '../request-context.ts';
import type { Runtime } from '../runtime.ts';
import { readOpenAttempts } from './open-attempts.ts';

export interface Readiness {
  readonly ready: boolean;
  /** Names of what is not ready. */
  readonly notReady: readonly string[];
  /** Names of what works and will not much longer. */
  readonly degraded: readonly string[];
  /** Attempts whose outcome is not known yet; null if D1 does not say. */
  readonly openAttempts: number | null;
}

/** Whether D1 is so near its end that its operators must act: as far as its last answer told. */
export const nearlyFull = (database: Database): boolean => (database.sizeBytes() ?? 0) >= D1_SIZE_WARNING_BYTES;

/**
 * Tells whether the service can do its work. Anyone may ask, so D1 is asked at most once in READY_PROBE_INTERVAL_MS
 * and PipeOps never.
 */
export function createReadiness(database: Database, runtime: Runtime): () => Promise<Readiness> {
  let latest: { readonly atMs: number; readonly answer: Promise<Readiness> } | null = null;

  const probe = async (): Promise<Readiness> => {
    const open = await readOpenAttempts(database, runtime, { trace: newTrace() });
    return open.ok
      ? { ready: true, notReady: [], degraded: nearlyFull(database) ? ['d1_size'] : [], openAttempts: open.value.count }
      : { ready: false, notReady: ['d1'], degraded: [], openAttempts: null };
  };
  return async () => {
    const nowMs = runtime.now();
    if (latest === null || nowMs - latest.atMs >= READY_PROBE_INTERVAL_MS) {
      latest = { atMs: nowMs, answer: probe() };
      // Others wait for it too, so it must not end with the request that began it.
      runtime.background(latest.answer);
    }
    return await latest.answer;
  };
}
