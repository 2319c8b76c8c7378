import { and, type SQL } from 'drizzle-orm';
import { EXPIRY_NOTICE_DAYS } from '../config/aging-limits.ts';
import type { Database } from '../db/database.ts';
import { tokens, type TokenRow } from '../db/schema.ts';
import { SECONDS_PER_DAY } from '../kit/time.ts';
import type { TokenRef } from '../pipeops/types.ts';
import { isToken } from './inventory.ts';

// What was granted is recorded beside each token, since PipeOps' console may change a token behind our back: a rotation mints what was
// granted here, and never what somebody else has made of the token.

/** What a create was granted. */
export interface RecordedGrant {
  /** Without the marker. */
  readonly name: string;
  readonly scopes: readonly string[];
  readonly role: string;
  readonly policyVersion: string;
  /** Milliseconds since the epoch; null: without expiry. */
  readonly expiresAtMs: number | null;
}

/**
 * The columns of a minted token that record its grant.
 *
 * @param beganAtMs when its life began, of which the recorded lifetime is counted.
 */
export const grantColumns = (
  { name, scopes, role, policyVersion, expiresAtMs }: RecordedGrant,
  beganAtMs: number,
): Pick<TokenRow, 'name' | 'scopes' | 'role' | 'policy_version' | 'lifetime_seconds' | 'expiry_notice_at'> => ({
  name,
  scopes: JSON.stringify(scopes),
  role,
  policy_version: policyVersion,
  lifetime_seconds: expiresAtMs === null ? null : Math.round((expiresAtMs - beganAtMs) / 1000),
  expiry_notice_at: nextNoticeMs({ beganAtMs, expiresAtMs }, beganAtMs),
});

/** Records what an update granted, where `guard` holds. What is absent stays as it is recorded. */
export const recordChanges = (
  { build }: Pick<Database, 'build'>,
  ref: TokenRef,
  { name, scopes }: { readonly name?: string | undefined; readonly scopes?: readonly string[] | undefined },
  guard: SQL,
) =>
  build
    .update(tokens)
    .set({
      ...(name !== undefined && { name }),
      ...(scopes !== undefined && { scopes: JSON.stringify(scopes) }),
    })
    .where(and(isToken(ref), guard));

/**
 * When the next notice of a token's expiry is due after a moment; null: none is left. A threshold counts only for a token that is to
 * live more than twice as long, so that nobody is told daily of tokens that are minted for a week.
 */
export function nextNoticeMs(
  { beganAtMs, expiresAtMs }: { readonly beganAtMs: number; readonly expiresAtMs: number | null },
  afterMs: number,
): number | null {
  if (expiresAtMs === null) return null;
  const due = EXPIRY_NOTICE_DAYS.map((days) => days * SECONDS_PER_DAY * 1000)
    .filter((thresholdMs) => thresholdMs * 2 < expiresAtMs - beganAtMs)
    .map((thresholdMs) => expiresAtMs - thresholdMs);
  return due.find((atMs) => atMs > afterMs) ?? null;
}
