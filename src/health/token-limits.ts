import { STATUS_OWNERS_MAX_COUNT } from '../config/limits.ts';
import type { Database, RowsOf } from '../db/database.ts';
import { selectHeld, type selectNearLimit } from '../inventory/token-counts.ts';
import { mostTokensOf } from '../policy/decide.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';

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
