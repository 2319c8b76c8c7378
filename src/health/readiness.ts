import { D1_SIZE_WARNING_BYTES, READY_PROBE_INTERVAL_MS, STATUS_OWNERS_MAX_COUNT } from '../config/limits.ts';
import type { Database, RowsOf } from '../db/database.ts';
import { type OpenWork, readOpenWork } from './open-work.ts';
import { selectHeld, type selectNearLimit } from '../inventory/token-counts.ts';
import type { Runtime } from '../kit/runtime.ts';
import { newTrace, type RequestContext } from '../kit/trace.ts';
import { mostTokensOf } from '../policy/decide.ts';
import type { Caller } from '../policy/types.ts';

type Readiness =
  | { readonly ready: false; readonly notReady: readonly string[] }
  | {
      readonly ready: true;
      readonly notReady: readonly [];
      /** Names of what works, and needs somebody to look into it. */
      readonly degraded: readonly string[];
      readonly open: OpenWork;
    };

/** Whether D1 is so near its end that its operators must act: as far as its last answer told. */
export const nearlyFull = (database: Database): boolean => (database.sizeBytes() ?? 0) >= D1_SIZE_WARNING_BYTES;

/**
 * Tells whether the service can do its work. Anyone may ask, so D1 is asked at most once in READY_PROBE_INTERVAL_MS
 * and PipeOps never.
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
      // Others wait for it too, so it must not end with the request that began it.
      runtime.background(latest.answer);
    }
    return await latest.answer;
  };
}

/**
 * How many live tokens a caller holds in all workspaces, its creates under way included, and the most that any of its roles allows;
 * null: none allows a create. `count` is null where D1 does not say: who a caller is and what it may do needs no database.
 */
export async function readLiveTokens(database: Database, context: RequestContext, caller: Caller, nowMs: number) {
  const read = await database.batch(context, [selectHeld(database, caller, nowMs)]);
  return { count: read.ok ? (read.value[0][0]?.held ?? 0) : null, limit: mostTokensOf(caller) };
}

/** Owners above four fifths of what their roles allow, as `/status` tells it. `more`: there may be others. */
export function presentNearLimit(rows: RowsOf<ReturnType<typeof selectNearLimit>>) {
  const shown = rows.slice(0, STATUS_OWNERS_MAX_COUNT);
  return {
    above_four_fifths: shown
      .filter(({ live, max_tokens }) => live * 5 > max_tokens * 4)
      .map(({ owner_issuer, owner_subject, live, max_tokens }) => ({
        issuer: owner_issuer,
        subject: owner_subject,
        live,
        limit: max_tokens,
      })),
    more: rows.length > shown.length,
  };
}
