import { env } from 'cloudflare:workers';
import { expect } from 'vitest';
import { parsePolicy } from '../../src/config/policy.ts';
import { policyVersion } from '../../src/policy/version.ts';

/** The version of a policy as an operator writes it; empty for one that no Worker serves. */
export function versionOf(policy: unknown): string {
  const parsed = parsePolicy(policy);
  return parsed.ok ? policyVersion(parsed.value) : '';
}

/** The `detail` that a row of this harness has: what was asked for, and the version of the policy. */
export const detailOf = ({ policyVersion: policy }: { readonly policyVersion: string }, asked: object = {}): string =>
  JSON.stringify({ ...asked, policy });

/** The `detail` of a row where nothing was asked for, under whichever policy. */
export const NOTHING_ASKED: string = expect.stringMatching(/^\{"policy":"[0-9a-f]{16}"\}$/);

/** What a row says was asked for, without the version of the policy. */
export function askedIn(row: { readonly detail: string } | null | undefined): Readonly<Record<string, unknown>> {
  const { policy: _version, ...asked } = JSON.parse(row?.detail ?? '{}') as Record<string, unknown>;
  return asked;
}

/** The rows that the Worker wrote and that name no version of the policy. Those that a test inserts itself come from no request. */
export async function rowsWithoutPolicy(): Promise<readonly object[]> {
  const query = env.DB.prepare(
    `select action, status, detail from audit_events where request_id is not null and detail ->> 'policy' is null`,
  );
  return (await query.all()).results;
}
