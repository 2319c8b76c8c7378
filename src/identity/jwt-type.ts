import { mediaTypeOf } from '../config/issuer-policy.ts';

/**
 * Whether a JWT of this type is a credential: RFC 8725 §3.11. One that says nothing of its type is taken for one; whoever signs
 * other kinds of JWT says which they are.
 *
 * @param accepted whole media types.
 */
export function isAcceptedType(typ: unknown, accepted: readonly string[]): boolean {
  return typ === undefined || (typeof typ === 'string' && accepted.includes(mediaTypeOf(typ)));
}
