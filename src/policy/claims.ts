import { isObject } from '../kit/json.ts';

/**
 * Reads one claim of a verified JWT by the name that the operator's policy gives it.
 *
 * A name that starts with `/` is a JSON Pointer (RFC 6901) into objects: `/kubernetes.io/namespace` is the `namespace`
 * of the claim `kubernetes.io`. Any other name is a top-level claim, verbatim, so `https://acme.example/groups` and
 * `kubernetes.io` need no escaping. A pointer does not index arrays: bindings match their members instead.
 *
 * Only own properties are read, so a name such as `__proto__` or `constructor` finds nothing that the issuer did not send.
 * Undefined: no such claim.
 */
export function readClaim(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  const path = name.startsWith('/') ? name.slice(1).split('/').map(unescapeToken) : [name];
  let value: unknown = claims;
  for (const key of path) {
    if (!isObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/** RFC 6901 §4: `~1` first, so that `~01` means `~1` and not `/`. */
function unescapeToken(token: string): string {
  return token.replaceAll('~1', '/').replaceAll('~0', '~');
}
