import type { DenialReason } from '../failures.ts';

/** The order in which a role is judged: the later its reason, the further the request got with it. */
const JUDGED_IN_ORDER = [
  'permission',
  'workspace',
  'ownership',
  'suspended',
  'preset_unknown',
  'scopes',
  'lifetime',
] as const satisfies readonly DenialReason[];

const rank = (reason: DenialReason): number => JUDGED_IN_ORDER.indexOf(reason);

/**
 * The reason that stands in the trail when no role allows a request: that of the role which came closest. It depends on
 * the roles alone, not on their order.
 *
 * @param reasons one for each role.
 */
export function furthest(reasons: readonly DenialReason[]): DenialReason {
  return reasons.reduce((best, reason) => (rank(reason) > rank(best) ? reason : best), 'permission');
}
