import { EXPIRY_TOLERANCE_SECONDS, OUTCOME_DETAIL_MAX_BYTES, SCOPE_MAX_CHARS } from '../config/limits.ts';
import { isElsewhere } from '../kit/ids.ts';
import type { UpstreamToken } from '../pipeops/types.ts';
import { byteLength, cutToBytes } from '../kit/caps.ts';
import { msOrNull } from '../kit/time.ts';

/** What a create was allowed to mint. */
export interface Granted {
  readonly workspaceUuid: string;
  readonly scopes: readonly string[];
  /** Milliseconds since the epoch; null: without expiry. */
  readonly expiresAtMs: number | null;
}

/** What was minted, as PipeOps tells it. Null and empty mean none here: what an answer left out has been read since. */
export type MintedEffect = Pick<UpstreamToken, 'scopes' | 'expiresAt' | 'workspaceId'>;

/** What an update changes, as far as its answer can contradict it. Absent: it stays as it is. */
export interface AskedChange {
  readonly scopes?: readonly string[];
  readonly isActive?: boolean;
}

/** What PipeOps did, in the words of its wire, as far as it is not what was asked for. */
export interface Came {
  readonly scopes?: readonly string[];
  /** How many further scopes came, for which the row has no room. */
  readonly more_scopes?: number;
  readonly expires_at?: string | null;
  readonly workspace_id?: string | null;
  readonly is_active?: boolean;
}

/** A time without its fraction of a second is the same time: some databases keep no more. */
const TIME_PRECISION_MS = 1_000;

/**
 * What contradicts the grant of a create: a scope outside it, in whatever case of letters; an expiry that is later by more than
 * EXPIRY_TOLERANCE_SECONDS, or none where one was granted; another UUID as workspace. Null: nothing does. Less than was granted
 * contradicts nothing.
 */
export function contradiction(granted: Granted, minted: MintedEffect): readonly (keyof MintedEffect)[] | null {
  const fields = [
    ...(outside(granted.scopes, minted.scopes).length > 0 ? (['scopes'] as const) : []),
    ...(outlives(granted.expiresAtMs, msOrNull(minted.expiresAt)) ? (['expiresAt'] as const) : []),
    ...(isElsewhere(granted.workspaceUuid, minted.workspaceId) ? (['workspaceId'] as const) : []),
  ];
  return fields.length === 0 ? null : fields;
}

/** What came of a create where it is not what was granted: more, less, or earlier. */
export function cameOfCreate(granted: Granted, minted: MintedEffect): Came {
  const expiresAtMs = msOrNull(minted.expiresAt);
  return {
    ...(isElsewhere(granted.workspaceUuid, minted.workspaceId) && { workspace_id: minted.workspaceId }),
    ...(!isSameTime(granted.expiresAtMs, expiresAtMs) && { expires_at: minted.expiresAt }),
    ...(!isSameSet(granted.scopes, minted.scopes) && { scopes: outsideFirst(granted.scopes, minted.scopes) }),
  };
}

/**
 * What of an update's answer contradicts it: the other state than was asked for, or a scope outside those that were. What the
 * answer leaves out says nothing. Null: nothing contradicts it.
 */
export function contradictionOfUpdate(
  asked: AskedChange,
  shown: Pick<UpstreamToken, 'scopes' | 'isActive'>,
): Came | null {
  const isOther = asked.isActive !== undefined && shown.isActive !== null && shown.isActive !== asked.isActive;
  const isWider = asked.scopes !== undefined && outside(asked.scopes, shown.scopes).length > 0;
  if (!isOther && !isWider) return null;
  return {
    ...(isOther && { is_active: shown.isActive }),
    ...(isWider && { scopes: outsideFirst(asked.scopes, shown.scopes) }),
  };
}

/**
 * `detail` with what came beside it, cut to what an outcome may add to its row: PipeOps may tell of any number of scopes, of any
 * length. Those outside what was asked for are named first.
 *
 * @param keptBytes room for what is added to the detail later.
 */
export function withCame(
  detail: Readonly<Record<string, unknown>>,
  came: Came,
  keptBytes = 0,
): Readonly<Record<string, unknown>> {
  if (Object.keys(came).length === 0) return detail;
  const { scopes, ...rest } = came;
  if (scopes === undefined) return { ...detail, came: rest };
  const cut = scopes.map((scope) => cutToBytes(scope, SCOPE_MAX_CHARS));
  const shown: string[] = [];
  for (const scope of cut) {
    const tried = [...shown, scope];
    // As if some were left, whose number needs room too.
    const whole = { ...detail, came: { ...rest, scopes: tried, more_scopes: scopes.length } };
    if (byteLength(JSON.stringify(whole)) + keptBytes > OUTCOME_DETAIL_MAX_BYTES) break;
    shown.push(scope);
  }
  const more = scopes.length - shown.length;
  return { ...detail, came: { ...rest, scopes: shown, ...(more > 0 && { more_scopes: more }) } };
}

function outlives(grantedMs: number | null, cameMs: number | null): boolean {
  if (grantedMs === null) return false;
  return cameMs === null || cameMs - grantedMs > EXPIRY_TOLERANCE_SECONDS * 1000;
}

const isSameTime = (a: number | null, b: number | null): boolean =>
  a === null || b === null ? a === b : Math.abs(a - b) < TIME_PRECISION_MS;

const folded = (scopes: readonly string[]): ReadonlySet<string> => new Set(scopes.map((scope) => scope.toLowerCase()));

function outside(granted: readonly string[], came: readonly string[]): readonly string[] {
  const known = folded(granted);
  return came.filter((scope) => !known.has(scope.toLowerCase()));
}

const outsideFirst = (granted: readonly string[] = [], came: readonly string[]): readonly string[] => {
  const beyond = outside(granted, came);
  return [...beyond, ...came.filter((scope) => !beyond.includes(scope))];
};

const isSameSet = (granted: readonly string[], came: readonly string[]): boolean =>
  outside(granted, came).length === 0 && outside(came, granted).length === 0;
