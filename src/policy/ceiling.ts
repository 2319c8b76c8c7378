import { EXPIRY_TOLERANCE_SECONDS } from '../config/limits.ts';
import type { DenialReason } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { DecisionContext, PolicyRequest, ResultingToken, Role } from './types.ts';

type CreateRequest = Extract<PolicyRequest, { operation: 'create' }>;

/** What a token would get from a role. */
interface Minted {
  readonly scopes: readonly string[];
  readonly expiresAtMs: number | null;
}

/**
 * What a create would mint under this role: the scopes named and those that the preset stands for, and an expiry.
 *
 * Errors: `preset_unknown`; `scopes`, if one is beyond the ceiling or there is none at all; `lifetime`.
 */
export function mintedUnder(
  role: Role,
  request: CreateRequest,
  context: DecisionContext,
): Result<Minted, Extract<DenialReason, 'preset_unknown' | 'scopes' | 'lifetime'>> {
  const fromPreset = presetScopes(request.preset, context);
  if (fromPreset === undefined) return err('preset_unknown');
  const scopes = [...new Set([...(request.scopes ?? []), ...fromPreset])];
  if (scopes.length === 0 || !withinCeiling(role, scopes)) return err('scopes');
  const expiry = expiryUnder(role, request.expiresAtMs, context.nowMs);
  return expiry.ok ? ok({ scopes, expiresAtMs: expiry.value }) : expiry;
}

/**
 * Why a token may not come to be in this state under the role; null: it may.
 *
 * A token of which PipeOps names no scope may hold any, so no ceiling covers it. Nothing is cut here: PipeOps cannot
 * change an expiry.
 */
export function resultObstacle(
  role: Role,
  { scopes, expiresAtMs }: ResultingToken,
  nowMs: number,
): DenialReason | null {
  if (!withinCeiling(role, scopes)) return 'scopes';
  const latestMs = latestExpiryMs(role, nowMs);
  if (latestMs === null) return null;
  return expiresAtMs !== null && expiresAtMs <= latestMs ? null : 'lifetime';
}

/** Scopes are compared as whole strings: none implies another. */
export function withinCeiling(role: Pick<Role, 'scopes'>, scopes: readonly string[]): boolean {
  if (role.scopes.includes('*')) return true;
  return scopes.length > 0 && scopes.every((scope) => role.scopes.includes(scope));
}

/** The presets that a role can use, with the scopes that each stands for. */
export function usablePresets(
  role: Pick<Role, 'scopes'>,
  presets: DecisionContext['presets'],
): DecisionContext['presets'] {
  return Object.fromEntries(Object.entries(presets).filter(([, scopes]) => withinCeiling(role, scopes)));
}

/** Undefined: nobody configured what this preset stands for. */
function presetScopes(preset: string | null, { presets }: DecisionContext): readonly string[] | undefined {
  if (preset === null) return [];
  return Object.hasOwn(presets, preset) ? presets[preset] : undefined;
}

function expiryUnder(role: Role, wantedMs: number | null, nowMs: number): Result<number | null, 'lifetime'> {
  const latestMs = latestExpiryMs(role, nowMs);
  if (latestMs === null) return ok(wantedMs);
  if (wantedMs === null) return ok(latestMs);
  // Written so that NaN is refused.
  return wantedMs <= latestMs + EXPIRY_TOLERANCE_SECONDS * 1000 ? ok(Math.min(wantedMs, latestMs)) : err('lifetime');
}

/** Null: the role sets no limit. */
function latestExpiryMs(role: Role, nowMs: number): number | null {
  return role.maxTtlSeconds === null ? null : nowMs + role.maxTtlSeconds * 1000;
}
