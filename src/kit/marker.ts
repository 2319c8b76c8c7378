/**
 * The marker: the random suffix of a token's upstream name by which a create is recognised.
 *
 * PipeOps has no idempotency key, and a create whose answer was lost gave us no id. The name is the one free text that
 * PipeOps' list is known to return, so only what stands in it can prove that a listed token came from one certain
 * create. It is a suffix so that names still sort and read as callers gave them. Callers never see it, and text of its
 * shape from a caller is refused: whoever could write one could have another's create taken for their own.
 */

/** Base32 in lower case (RFC 4648 §6): no character that a name field might change, and 32 divides 256, so no bias. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
/** 80 bits: no two creates ever share a marker, and none can be guessed. */
const RANDOM_CHARS = 16;

const SUFFIX = /-csgn-[a-z2-7]{16}$/;
// In any case of letters, since PipeOps might fold them.
const ANYWHERE = /-csgn-[a-z2-7]{16}/i;

/** A new marker; `randomBytes` must be cryptographically random. */
export function newMarker(randomBytes: (length: number) => Uint8Array): string {
  const chars = Array.from(randomBytes(RANDOM_CHARS), (byte) => ALPHABET.charAt(byte & 31));
  return `-csgn-${chars.join('')}`;
}

/** The upstream name of a token whose caller named it `name`. */
export const withMarker = (name: string, marker: string): string => name + marker;

/** The marker that an upstream name ends with; null: it has none. */
export const markerOf = (name: string): string | null => SUFFIX.exec(name)?.[0] ?? null;

/** The name as its caller gave it. Takes one marker off the end and touches nothing else. */
export const stripMarker = (name: string): string => name.replace(SUFFIX, '');

/** Whether text looks like a marker anywhere: such text is not accepted from callers. */
export const containsMarkerShape = (text: string): boolean => ANYWHERE.test(text);
