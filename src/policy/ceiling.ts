import { EXPIRY_TOLERANCE_SECONDS } from '../config/limits.ts';
import type { DenialReason } from '../failures.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { DecisionContext, PolicyRequest, ResultingToken, Role } from './types.ts';

type CreateRequest = Extract<PolicyRequest, { operation: 'create' }>;
type RotateRequest = Extract<PolicyRequest, { operation: 'rotate' }>;

/** The scopes and the expiry that a token would get under a role. */
interface Minted {
  readonly scopes: readonly string[];
  readonly expiresAtMs: number | null;
}

/**
 * The token that a create would mint under this role: the scopes that it names and those of its preset, and an expiry.
 *
 * Errors: `preset_unknown`; `scopes` if a scope is beyond the ceiling, and if there is no scope at all; `lifetime`.
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
 * The token that a rotation would mint under this role: what its predecessor was granted, as far as the role allows all of it today.
 * The lifetime of the predecessor is cut to what the role allows, and an expiry that is asked for is judged as that of a create.
 *
 * Errors: `scopes`; `lifetime`.
 */
export function successorUnder(
  role: Role,
  { workspaceUuid, scopes, expiresAtMs, lifetimeSeconds }: RotateRequest,
  context: DecisionContext,
): ReturnType<typeof mintedUnder> {
  const againMs = lifetimeSeconds === null ? null : context.nowMs + lifetimeSeconds * 1000;
  const latestMs = latestExpiryMs(role, context.nowMs);
  const cutMs = againMs === null || latestMs === null ? againMs : Math.min(againMs, latestMs);
  const asked = { workspaceUuid, scopes, preset: null, expiresAtMs: expiresAtMs ?? cutMs, heldTokens: 0 } as const;
  return mintedUnder(role, { operation: 'create', ...asked }, context);
}

/**
 * Why an update may not leave a token in this state under the role; null if it may.
 *
 * A token of which PipeOps names no scope may hold any, so no ceiling covers it. The expiry is not cut as that of a create is,
 * since PipeOps cannot change an expiry.
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

/** Whether the ceiling of a role covers all of these scopes. They are compared as whole strings, since none implies another. */
export function withinCeiling(role: Pick<Role, 'scopes'>, scopes: readonly string[]): boolean {
  if (role.scopes.includes('*')) return true;
  return scopes.length > 0 && scopes.every((scope) => role.scopes.includes(scope));
}

/** The presets that a role can use, with the scopes of each. */
export function usablePresets(
  role: Pick<Role, 'scopes'>,
  presets: DecisionContext['presets'],
): DecisionContext['presets'] {
  return Object.fromEntries(Object.entries(presets).filter(([, scopes]) => withinCeiling(role, scopes)));
}

/** The scopes of a preset; undefined if the operator configured none for it. */
export function presetScopes(
  preset: string | null,
  { presets }: Pick<DecisionContext, 'presets'>,
): readonly string[] | undefined {
  if (preset === null) return [];
  return Object.hasOwn(presets, preset) ? presets[preset] : undefined;
}

/** The expiry of a token under a role: the one asked for, or the latest that the role allows. */
function expiryUnder(role: Role, wantedMs: number | null, nowMs: number): Result<number | null, 'lifetime'> {
  const latestMs = latestExpiryMs(role, nowMs);
  if (latestMs === null) return ok(wantedMs);
  if (wantedMs === null) return ok(latestMs);
  // The comparison is written so that NaN is refused.
  return wantedMs <= latestMs + EXPIRY_TOLERANCE_SECONDS * 1000 ? ok(Math.min(wantedMs, latestMs)) : err('lifetime');
}

/** The latest expiry that a role allows; null if it sets no limit. */
function latestExpiryMs(role: Role, nowMs: number): number | null {
  return role.maxTtlSeconds === null ? null : nowMs + role.maxTtlSeconds * 1000;
}
