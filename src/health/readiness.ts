import { D1_SIZE_WARNING_BYTES, READY_PROBE_INTERVAL_MS } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import type { Runtime } from '../kit/runtime.ts';
import { newTrace } from '../kit/trace.ts';
import { type OpenWork, readOpenWork } from './open-work.ts';

type Readiness =
  | { readonly ready: false; readonly notReady: readonly string[] }
  | {
      readonly ready: true;
      readonly notReady: readonly [];
      /** The names of what works and still needs somebody to look into it. */
      readonly degraded: readonly string[];
      readonly open: OpenWork;
    };

/** Whether D1 is so near its largest size that its operators must act, as far as its last answer tells. */
export const nearlyFull = (database: Database): boolean => (database.sizeBytes() ?? 0) >= D1_SIZE_WARNING_BYTES;

/**
 * Tells whether the service can do its work. Anyone may ask, so D1 is probed at most one time in READY_PROBE_INTERVAL_MS, and
 * PipeOps never.
 */
export function createReadiness(health: {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly fingerprintKeyIds: readonly string[];
}): () => Promise<Readiness> {
  const { database, runtime } = health;
  let latest: { readonly atMs: number; readonly answer: Promise<Readiness> } | null = null;

  const probe = async (): Promise<Readiness> => {
    const read = await readOpenWork(health, { trace: newTrace() });
    if (!read.ok) return { ready: false, notReady: ['d1'] };
    const { orders } = read.value;
    const degraded = [
      ...(nearlyFull(database) ? ['d1_size'] : []),
      ...(orders.missingKeyIds.length > 0 ? ['fingerprint_keys'] : []),
      ...(orders.failed > 0 ? ['revocation_orders'] : []),
      ...(orders.contradicted > 0 ? ['revocation_contradicted'] : []),
    ];
    return { ready: true, notReady: [], degraded, open: read.value };
  };
  return async () => {
    const nowMs = runtime.now();
    if (latest === null || nowMs - latest.atMs >= READY_PROBE_INTERVAL_MS) {
      latest = { atMs: nowMs, answer: probe() };
      // Other requests wait for this probe too, so it must not end with the one that began it.
      runtime.background(latest.answer);
    }
    return await latest.answer;
  };
}
