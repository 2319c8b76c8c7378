/**
 * The marker is the random suffix of a token's upstream name by which a create is recognised.
 *
 * PipeOps has no idempotency key, and a create whose answer was lost gave us no id. The name is the one free text that
 * PipeOps' list is known to return, so only the name can prove that a listed token came from one certain create. The marker
 * is a suffix so that names still sort and read as callers gave them. Callers never see it, and text of its shape from a
 * caller is refused: whoever could write a marker could have another's create taken for their own.
 */

/**
 * Base32 in lower case (RFC 4648 §6). A name field changes none of these characters, and no letter is likelier, since 32 divides
 * 256.
 */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
/** These characters are 80 bits: no two creates ever share a marker, and nobody can guess one. */
const RANDOM_CHARS = 16;

const SUFFIX = /-csgn-[a-z2-7]{16}$/;
// Letters count in either case, since PipeOps might fold them.
const ANYWHERE = /-csgn-[a-z2-7]{16}/i;

/** Makes a marker. `randomBytes` must be cryptographically random. */
export function newMarker(randomBytes: (length: number) => Uint8Array): string {
  const chars = Array.from(randomBytes(RANDOM_CHARS), (byte) => ALPHABET.charAt(byte & 31));
  return `-csgn-${chars.join('')}`;
}

/** The upstream name of a token that its caller named `name`. */
export const withMarker = (name: string, marker: string): string => name + marker;

/** The marker that an upstream name ends with; null if it has none. */
export const markerOf = (name: string): string | null => SUFFIX.exec(name)?.[0] ?? null;

/** The name as its caller gave it: without the one marker at its end. */
export const stripMarker = (name: string): string => name.replace(SUFFIX, '');

/** Whether any part of a text looks like a marker. Such text is not accepted from callers. */
export const containsMarkerShape = (text: string): boolean => ANYWHERE.test(text);
