import type { Identity } from '../identity/identity.ts';
import { uuidOf } from '../kit/ids.ts';
import { isObject } from '../kit/json.ts';
import type { Binding, Role } from './types.ts';

/**
 * The claims that name a workspace by the last word of their own name, such as `workspace_uuid` or
 * `https://acme.test/workspace`.
 */
const WORKSPACE_CLAIM = /(?:^|[/:.])workspace(?:_uuid|_id)?$/;

/** The claims that hold words with spaces between them (RFC 8693 §4.2). Some issuers send `scp`, and some of those an array. */
const SET_CLAIMS: readonly string[] = ['scope', 'scp'];

/**
 * The roles that the operator's bindings give to an identity, in file order and each once. An identity without a role is no
 * caller.
 */
export function rolesFor(
  identity: Identity,
  policy: { readonly roles: readonly Role[]; readonly bindings: readonly Binding[] },
): readonly Role[] {
  const names = new Set(policy.bindings.filter((binding) => matches(binding, identity)).map(({ role }) => role));
  return policy.roles.filter((role) => names.has(role.name));
}

/** Whether a binding gives its role to an identity. */
export function matches(binding: Binding, identity: Pick<Identity, 'issuer' | 'claims'>): boolean {
  // A binding without claims would match everybody.
  if (Object.keys(binding.claims).length === 0 || binding.issuer !== identity.issuer) return false;
  return unmatchedClaims(binding, identity.claims).length === 0;
}

/** The names of the claims that a binding wants and that these claims do not match, in the order of the binding. */
export const unmatchedClaims = (
  binding: Pick<Binding, 'claims'>,
  claims: Readonly<Record<string, unknown>>,
): readonly string[] =>
  Object.entries(binding.claims)
    .filter(([name, pattern]) => !matchesClaim(name, pattern, readClaim(claims, name)))
    .map(([name]) => name);

/**
 * Whether a claim matches what a binding asks for: by its value or, if it is an array, by one member. The UUID of a workspace
 * matches in any spelling. `scope` and `scp` match if each word of the pattern matches a word of the claim, in any order.
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

/**
 * Reads a claim of a verified JWT by the name that the operator's policy gives it; undefined if there is no such claim.
 *
 * A name that starts with `/` is a JSON Pointer (RFC 6901) into objects: `/kubernetes.io/namespace` is the `namespace`
 * of the claim `kubernetes.io`. Any other name is a top-level claim, verbatim, so `https://acme.example/groups` and
 * `kubernetes.io` need no escaping. A pointer does not index arrays: bindings match their members instead.
 *
 * Only own properties are read, so a name such as `__proto__` or `constructor` finds nothing that the issuer did not send.
 */
export function readClaim(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  let value: unknown = claims;
  for (const key of pathOf(name)) {
    if (!isObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/** The top-level claim in which `readClaim` finds a name. */
export const topLevelClaim = (name: string): string => pathOf(name)[0] ?? name;

const pathOf = (name: string): readonly string[] =>
  name.startsWith('/') ? name.slice(1).split('/').map(unescapeToken) : [name];

/** Undoes the escapes of a JSON Pointer (RFC 6901 §4): `~1` first, so that `~01` means `~1` and not `/`. */
function unescapeToken(token: string): string {
  return token.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** The characters between the segments of claims such as `refs/heads/main`, `acme/shop` and `system:serviceaccount:shop:ci`. */
const SEPARATORS = /[/:]/g;

/**
 * Whether a value matches a pattern. Each `*` stands for any run of characters without `/` and `:`, and every other character for
 * itself. Nothing matches an empty value.
 *
 * The pieces between the `*` hold every separator of the pattern. So if the value has no more separators than the pattern, the
 * text that is left for each `*` has none.
 */
export function matchesPattern(pattern: string, value: string): boolean {
  if (value === '') return false;
  if (!pattern.includes('*')) return pattern === value;
  return separatorCount(pattern) === separatorCount(value) && matchesPieces(pattern, value);
}

/**
 * Whether the pieces between the `*` stand in the value in their order. Each takes its leftmost place: if any choice leads to a
 * match, that one does. The value is walked once from left to right, so no input makes this backtrack.
 */
function matchesPieces(pattern: string, value: string): boolean {
  const firstStar = pattern.indexOf('*');
  const lastStar = pattern.lastIndexOf('*');
  if (!value.startsWith(pattern.slice(0, firstStar))) return false;
  let end = firstStar;
  for (const piece of pattern.slice(firstStar, lastStar).split('*')) {
    const start = value.indexOf(piece, end);
    if (start < 0) return false;
    end = start + piece.length;
  }
  const suffix = pattern.slice(lastStar + 1);
  return value.length - suffix.length >= end && value.endsWith(suffix);
}

function separatorCount(text: string): number {
  return text.match(SEPARATORS)?.length ?? 0;
}
