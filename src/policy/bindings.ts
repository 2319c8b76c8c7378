import { readClaim } from './claims.ts';
import type { Identity } from '../identity/types.ts';
import { uuidOf } from '../kit/uuid.ts';
import { matchesPattern } from './pattern.ts';
import type { Binding, Role } from './types.ts';

/** Claims that name a workspace, such as `workspace_uuid` or `https://acme.test/workspace`: the last word of the name says so. */
const WORKSPACE_CLAIM = /(?:^|[/:.])workspace(?:_uuid|_id)?$/;

/** Claims that hold space-separated words (RFC 8693 §4.2; some issuers send `scp`, some of them as an array). */
const SET_CLAIMS: readonly string[] = ['scope', 'scp'];

/**
 * The roles that the operator's bindings give to an identity, in file order and each once. Empty: the identity is not a
 * caller.
 */
export function rolesFor(
  identity: Identity,
  policy: { readonly roles: readonly Role[]; readonly bindings: readonly Binding[] },
): readonly Role[] {
  const names = new Set(policy.bindings.filter((binding) => matches(binding, identity)).map(({ role }) => role));
  return policy.roles.filter((role) => names.has(role.name));
}

function matches(binding: Binding, identity: Identity): boolean {
  const wanted = Object.entries(binding.claims);
  // A binding that asks for nothing would match everybody.
  if (wanted.length === 0 || binding.issuer !== identity.issuer) return false;
  return wanted.every(([name, pattern]) => matchesClaim(name, pattern, readClaim(identity.claims, name)));
}

/**
 * A claim matches by its own value or, if it is an array, by one member; the UUID of a workspace does in whatever spelling. `scope` and `scp` match if each word of the
 * pattern is matched by a word of the claim, whatever their order.
 */
function matchesClaim(name: string, pattern: string, claim: unknown): boolean {
  if (!SET_CLAIMS.includes(name)) {
    const isSame = WORKSPACE_CLAIM.test(name) ? namesSameWorkspace : matchesPattern;
    return texts(claim).some((value) => isSame(pattern, value));
  }
  const granted = texts(claim).flatMap(words);
  const wanted = words(pattern);
  return wanted.length > 0 && wanted.every((word) => granted.some((value) => matchesPattern(word, value)));
}

function namesSameWorkspace(pattern: string, value: string): boolean {
  const uuid = uuidOf(pattern);
  return matchesPattern(pattern, value) || (uuid !== null && uuid === uuidOf(value));
}

/**
 * The values of a claim as text: a string, a whole number, a boolean, or an array of these. Everything else has none, so
 * it matches nothing: null, objects, and numbers that JSON's readers may have rounded, since two ids could become one.
 */
function texts(claim: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
  return values.flatMap((value) => {
    if (typeof value === 'string') return [value];
    return typeof value === 'boolean' || Number.isSafeInteger(value) ? [String(value)] : [];
  });
}

function words(text: string): readonly string[] {
  return text.split(' ').filter((word) => word !== '');
}
