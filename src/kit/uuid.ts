/** RFC 9562 §4: 32 hexadecimal digits, in either case. The hyphens help the eye and mean nothing. */
const DIGITS = /^[0-9a-f]{32}$/;
/** As RFC 9562 §4 writes it as a URN, and as .NET and PipeOps' Go library write it in braces. */
const WRAPPINGS = [/^urn:uuid:(.+)$/i, /^\{(.+)\}$/];

/**
 * The one spelling of a UUID, as RFC 9562 §4 has it: small letters, five groups. Null: the text is no UUID.
 *
 * It is read in any case, with hyphens or without, as a URN and in braces, for issuers, consoles and libraries write all of these.
 * Hyphens may stand between any digits: databases read them wherever they are, so a UUID with a hyphen in an odd place must not
 * pass for another id. `canonicalWorkspace` says the same to D1.
 */
export function uuidOf(text: string): string | null {
  const inner = WRAPPINGS.map((wrapping) => wrapping.exec(text)?.[1]).find((found) => found !== undefined) ?? text;
  const digits = inner.replaceAll('-', '').toLowerCase();
  if (!DIGITS.test(digits)) return null;
  const groups = [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ];
  return groups.join('-');
}
