import { decodeJwt } from 'jose';
import { ADMIN_CREDENTIAL_WARNING_SECONDS } from './limits.ts';
import type { ConfigProblem } from './problems.ts';

/** The last second that a Date can hold (ECMA-262 §21.4.1.1). */
const DATE_MAX_SECONDS = 8_640_000_000_000;
const SECONDS_PER_DAY = 24 * 60 * 60;
const EXAMPLE =
  'a fresh session JWT of a PipeOps administrator, as PIPEOPS_ADMIN_TOKEN_NEXT first: `npx wrangler secret put PIPEOPS_ADMIN_TOKEN_NEXT`';

/** When PipeOps' admin credential ends by its own `exp`, in milliseconds since the epoch; null if it does not say. */
export function credentialExpiryMs(credential: string): number | null {
  try {
    const { exp } = decodeJwt(credential);
    return typeof exp === 'number' && Math.abs(exp) <= DATE_MAX_SECONDS ? exp * 1000 : null;
  } catch {
    return null;
  }
}

/**
 * Whether a credential has ended, or ends so soon that its successor should exist by now. Null: neither, as far as it
 * says; PipeOps may end a session earlier.
 *
 * @param key the setting that holds it.
 */
export function expiryProblem(key: string, credential: string, nowMs: number): ConfigProblem | null {
  const expiresAtMs = credentialExpiryMs(credential);
  if (expiresAtMs === null || expiresAtMs > nowMs + ADMIN_CREDENTIAL_WARNING_SECONDS * 1000) return null;
  const when = new Date(expiresAtMs).toISOString();
  const days = ADMIN_CREDENTIAL_WARNING_SECONDS / SECONDS_PER_DAY;
  const problem = expiresAtMs <= nowMs ? `expired at ${when}` : `expires within ${days} days, at ${when}`;
  return { key, problem, example: EXAMPLE };
}
