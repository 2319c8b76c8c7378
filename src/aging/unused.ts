import { UNUSED_NIGHT_LEAST_TOKENS, UNUSED_NIGHT_SHARE, USE_ADVANCE_STEP_MS } from '../config/aging-limits.ts';
import type { TokenRow } from '../db/schema.ts';
import { isExpired, type LookRow } from '../inventory/looks.ts';
import { unusedAfterOf, usageOf } from '../inventory/usage.ts';
import { isUnchanged, type SweptUse } from '../inventory/use.ts';
import type { Role } from '../policy/types.ts';
import type { TokenUsage } from '../vocabulary.ts';

// Which tokens a night suspends since nobody uses them: pure decisions. PipeOps' times of use are all that is known of that, so every
// doubt about them is a reason to leave a token alone.

/** What a nightly look needs to know of a token, beside what any look needs. */
export type SweptRow = LookRow & SweptUse & Pick<TokenRow, 'role' | 'replaced_by' | 'retires_at' | 'rotation_event_id'>;

/** A live token that a nightly look shows. */
export interface SweptToken {
  /** As it was before the look. */
  readonly row: SweptRow;
  /** What is kept of its use from this look on. */
  readonly use: SweptUse;
  /** Whether PipeOps says that it is active; null: it does not say. */
  readonly isActive: boolean | null;
}

/** Today's roles. */
export type UnusedRoles = readonly Pick<Role, 'name' | 'unusedAfterSeconds' | 'onUnused'>[];

/** What is known of the workspace. Times are milliseconds since the epoch. */
export interface SweptWorkspace {
  readonly liveTokens: number;
  /** `usage_advanced_at`, this look included. */
  readonly advancedAtMs: number | null;
  /** When the look before this one began; null: there was none. */
  readonly sweptAtMs: number | null;
}

/** A token that may be suspended, unless D1 knows a reason against it. */
export interface UnusedToken {
  readonly row: SweptRow;
  readonly use: SweptUse;
  readonly unusedAfterMs: number;
  /** Its last use, or its mint. */
  readonly idleSinceMs: number;
}

/** Whether a time that was noted is ahead of the clock, so that one of the two is wrong. */
const isAhead = (notedMs: number | null, nowMs: number): boolean =>
  notedMs !== null && notedMs - nowMs > USE_ADVANCE_STEP_MS;

/**
 * The tokens of a workspace that nobody has used for as long as the role that minted them allows, and of which all is known that a
 * suspension needs. None, where PipeOps is not seen to fill in times of use, or where the clock was ahead before: then nobody knows
 * which night it is.
 */
export function unusedTokens(
  swept: readonly SweptToken[],
  { advancedAtMs, sweptAtMs }: SweptWorkspace,
  roles: UnusedRoles,
  nowMs: number,
): readonly UnusedToken[] {
  if (isAhead(advancedAtMs, nowMs) || isAhead(sweptAtMs, nowMs)) return [];
  const byName = new Map(roles.map((role) => [role.name, role]));
  const unusedAfter = unusedAfterOf(roles);
  return swept.flatMap(({ row, use, isActive }) => {
    const role = row.role === null ? undefined : byName.get(row.role);
    if (role?.onUnused !== 'suspend' || !mayBeSuspended(row, isActive, nowMs)) return [];
    const usage = usageOf({ ...row, ...use }, advancedAtMs, unusedAfter, nowMs);
    const unusedAfterMs = role.unusedAfterSeconds * 1000;
    const idleSinceMs = Math.max(row.created_at, use.last_used_at ?? row.created_at);
    const isUnused = (usage === 'unused' || usage === 'never_used') && nowMs - idleSinceMs >= unusedAfterMs;
    return isUnused && isUnchanged(use, nowMs) ? [{ row, use, unusedAfterMs, idleSinceMs }] : [];
  });
}

/** How many of a workspace's live tokens are unused, and how many were never used. */
export function countUsages(
  swept: readonly SweptToken[],
  { advancedAtMs }: Pick<SweptWorkspace, 'advancedAtMs'>,
  roles: UnusedRoles,
  nowMs: number,
): { readonly unused: number; readonly neverUsed: number } {
  const unusedAfter = unusedAfterOf(roles);
  const usages = swept.map(({ row, use }) => usageOf({ ...row, ...use }, advancedAtMs, unusedAfter, nowMs));
  const countOf = (usage: TokenUsage): number => usages.filter((own) => own === usage).length;
  return { unused: countOf('unused'), neverUsed: countOf('never_used') };
}

/** Whether a token has an owner, who can lift the suspension, and nothing else is done about it. */
const mayBeSuspended = (row: SweptRow, isActive: boolean | null, nowMs: number): boolean =>
  row.owner_issuer !== null &&
  row.owner_subject !== null &&
  row.revoked_at === null &&
  row.ended_by === null &&
  row.unseen_at === null &&
  !isExpired(row, nowMs) &&
  row.suspended_by === null &&
  isActive !== false &&
  row.retires_at === null &&
  row.replaced_by === null;

/** What D1 knows of a token that may be suspended. */
export interface Hindrance {
  /** An order of it stands, or a change or a rotation of it is under way. */
  readonly isBusy: boolean;
  /** When somebody last resumed it; null: nobody did. */
  readonly resumedAtMs: number | null;
}

/**
 * Chooses the tokens that this night suspends: those that have been idle for longest. A token that somebody resumed begins anew.
 *
 * @param hindrances by the ids of tokens. A token without one is left alone.
 */
export function chooseUnused(
  unused: readonly UnusedToken[],
  hindrances: ReadonlyMap<string, Hindrance>,
  liveTokens: number,
  nowMs: number,
): readonly UnusedToken[] {
  const most = Math.max(UNUSED_NIGHT_LEAST_TOKENS, Math.floor(liveTokens * UNUSED_NIGHT_SHARE));
  const free = unused.filter(({ row, unusedAfterMs }) => {
    const known = hindrances.get(row.token_id);
    if (known === undefined || known.isBusy) return false;
    return known.resumedAtMs === null || nowMs - known.resumedAtMs >= unusedAfterMs;
  });
  return free
    .toSorted((a, b) => a.idleSinceMs - b.idleSinceMs || (a.row.token_id < b.row.token_id ? -1 : 1))
    .slice(0, most);
}
