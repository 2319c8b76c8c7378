import type { Policy } from '../config/policy.ts';
import { canonicalJson, sha256HexSync } from '../kit/digest.ts';

/** 64 bits of SHA-256: nobody finds a second policy with the version of a reviewed one, and a row of the trail grows by 28 bytes. */
const VERSION_CHARS = 16;

/**
 * The version of a policy: a digest of all that decides, with its defaults filled in. So it is the same for `policy.ts` and for the
 * same policy in the binding POLICY, and it changes where a later release of this service has other defaults.
 *
 * How the policy is written does not count: comments, spaces, the order of keys. The order of `issuers`, `roles` and other lists
 * does, since the first that fits decides.
 */
export const policyVersion = ({ webhooks, ...policy }: Policy): string => {
  // They are found by their names, so their order does not count either.
  const byName = Object.fromEntries(webhooks.map((source) => [source.name, source]));
  return sha256HexSync(canonicalJson({ ...policy, webhooks: byName })).slice(0, VERSION_CHARS);
};
