import {
  EXPIRY_TOLERANCE_SECONDS,
  LEFT_OUT_PAUSE_MS,
  OUTCOME_DETAIL_MAX_BYTES,
  SCOPE_MAX_CHARS,
  UPSTREAM_TIMEOUT_MS,
} from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import { byteLength, cutToBytes } from '../kit/bytes.ts';
import { pause } from '../kit/deadline.ts';
import { isElsewhere } from '../kit/ids.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import { msOrNull } from '../kit/time.ts';
import type { Call, MintedToken, PipeOps, UpstreamToken } from '../pipeops/types.ts';

/** What a create was allowed to mint. */
export interface Granted {
  readonly workspaceUuid: string;
  readonly scopes: readonly string[];
  /** Milliseconds since the epoch; null: without expiry. */
  readonly expiresAtMs: number | null;
}

/** What was minted, as PipeOps tells it. Here null and empty mean none: what the answer left out has been read since. */
export type MintedEffect = Pick<UpstreamToken, 'scopes' | 'expiresAt' | 'workspaceId'>;

/** What an update asks for, as far as its answer can contradict it. What is absent stays as it is. */
interface AskedChange {
  readonly scopes?: readonly string[];
  readonly isActive?: boolean;
}

/** What PipeOps did other than it was asked to, in the words of its wire. */
interface Came {
  readonly scopes?: readonly string[];
  /** How many scopes came beyond those that the row has room for. */
  readonly more_scopes?: number;
  readonly expires_at?: string | null;
  readonly workspace_id?: string | null;
  readonly is_active?: boolean;
}

/** Two times within a second are one time: some databases keep no fractions of a second. */
const TIME_PRECISION_MS = 1_000;

/**
 * Tells which fields of a minted token contradict its grant; null: none. A scope outside the grant does, in whatever case of letters;
 * so does an expiry that is later by more than EXPIRY_TOLERANCE_SECONDS, no expiry where one was granted, and another UUID as
 * workspace. Less than was granted contradicts nothing.
 */
export function contradiction(granted: Granted, minted: MintedEffect): readonly (keyof MintedEffect)[] | null {
  const fields = [
    ...(outside(granted.scopes, minted.scopes).length > 0 ? (['scopes'] as const) : []),
    ...(outlives(granted.expiresAtMs, msOrNull(minted.expiresAt)) ? (['expiresAt'] as const) : []),
    ...(isElsewhere(granted.workspaceUuid, minted.workspaceId) ? (['workspaceId'] as const) : []),
  ];
  return fields.length === 0 ? null : fields;
}

/** Tells what a create brought that is not what was granted: more, less, or earlier. */
export function cameOfCreate(granted: Granted, minted: MintedEffect): Came {
  const expiresAtMs = msOrNull(minted.expiresAt);
  return {
    ...(isElsewhere(granted.workspaceUuid, minted.workspaceId) && { workspace_id: minted.workspaceId }),
    ...(!isSameTime(granted.expiresAtMs, expiresAtMs) && { expires_at: minted.expiresAt }),
    ...(!isSameSet(granted.scopes, minted.scopes) && { scopes: outsideFirst(granted.scopes, minted.scopes) }),
  };
}

/**
 * Tells what in the answer to an update contradicts it; null: nothing. The opposite state does, and so does a scope outside those that
 * were asked for. What the answer leaves out says nothing.
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
 * Adds what came to a detail, cut to what an outcome may add to its row: PipeOps may tell of any number of scopes, of any length. The
 * scopes outside what was asked for come first.
 *
 * @param keptBytes room that is left for what is added to the detail later.
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
    // The number of those that are left out needs room too.
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

/**
 * Reads by one GET what the answer to a create left out. What the GET lacks too, the token does not have. A whole answer costs no
 * call, and neither does one that leaves out an expiry where none was granted.
 *
 * A 404 is lag, since the token was minted a moment ago: the GET is tried again until the time of the call is up. After any failure
 * nobody knows what was minted.
 */
export async function readLeftOut(
  { pipeops, runtime }: { readonly pipeops: Pick<PipeOps, 'get'>; readonly runtime: Pick<Runtime, 'sleep'> },
  granted: Granted,
  minted: MintedToken,
  call: Call,
): Promise<Result<MintedToken, UpstreamFailure>> {
  const { leftOut } = minted;
  const isWanted = [...leftOut].some((field) => field !== 'expires_at' || granted.expiresAtMs !== null);
  if (!isWanted) return ok(minted);
  const ref = { workspaceUuid: granted.workspaceUuid, tokenId: minted.id };
  let pausedMs = 0;
  for (let pauseMs = LEFT_OUT_PAUSE_MS; ; pauseMs *= 2) {
    const got = await pipeops.get(ref, call);
    if (got.ok) {
      const { scopes, expiresAt, workspaceId } = got.value.data;
      return ok({
        ...minted,
        ...(leftOut.has('scopes') && { scopes }),
        ...(leftOut.has('expires_at') && { expiresAt }),
        ...(leftOut.has('workspace_id') && { workspaceId }),
      });
    }
    if (got.error.kind !== 'upstream_not_found') return got;
    pausedMs += pauseMs;
    if (pausedMs > UPSTREAM_TIMEOUT_MS || !(await pause(runtime, pauseMs, call.signal))) {
      // Its caller asked for no token, so it must not hear of one that is missing.
      return err({ kind: 'upstream_invalid_response', status: got.error.status });
    }
  }
}
