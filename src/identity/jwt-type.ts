/** The types of JWT that are credentials where an issuer names none: a plain JWT (RFC 7519 §5.1), an access token (RFC 9068 §2.1). */
export const DEFAULT_TYPES = ['JWT', 'at+jwt'] as const;

/**
 * A JWT's `typ` as a whole media type: one without a slash is short for one under `application/` (RFC 7515 §4.1.9), and the case
 * of letters does not count (RFC 2045 §5.1).
 */
export function mediaTypeOf(typ: string): string {
  const lower = typ.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return lower.includes('/') ? lower : `application/${lower}`;
}

/**
 * Whether a JWT of this type is a credential: RFC 8725 §3.11. One that says nothing of its type is taken for one; whoever signs
 * other kinds of JWT says which they are.
 *
 * @param accepted whole media types.
 */
export function isAcceptedType(typ: unknown, accepted: readonly string[]): boolean {
  return typ === undefined || (typeof typ === 'string' && accepted.includes(mediaTypeOf(typ)));
}
