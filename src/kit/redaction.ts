import { withoutInvisible } from './text.ts';

/**
 * Finds text shaped like a secret: a PipeOps token (`sat_…`) or a JWT, in any surrounding, also where characters that nobody
 * sees stand in it.
 *
 * All of it runs in linear time on any text, because PipeOps, issuers and callers choose it.
 */

export const REDACTED = '[redacted]';

/**
 * PipeOps shows the first seven characters of a secret as its `token_prefix` (`sat_xxxxxxx`). That is public and must
 * survive, so a secret needs at least twelve; the five between are room for a longer prefix.
 */
const SERVICE_ACCOUNT_TOKEN = /sat_[A-Za-z0-9_+/=.~-]{12,}/g;
const WHOLE_SERVICE_ACCOUNT_TOKEN = new RegExp(`^${SERVICE_ACCOUNT_TOKEN.source}$`);

/**
 * Words of base64 and dots: a JWT in its compact form, signed or encrypted (RFC 7515, RFC 7516). The alphabet of plain base64
 * (RFC 4648 §4) is in it, since careless encoders use that one and careless verifiers take it.
 */
const COMPACT_RUN = /[A-Za-z0-9_.+/=-]+/g;

/** `{"` and a letter in base64, with which nearly every JWT's header begins. */
const JWT_START = 'eyJ';

/** `{"alg":"` alone encodes to eleven characters; no header is shorter. */
const JWT_HEADER_MIN_CHARS = 11;

/** How a JSON object begins that has a member (RFC 8259 §2, §4): white space may stand around its first name. */
const JSON_OBJECT_START = /\{[\t\n\r ]*"(?:[^"\\]|\\.)*"[\t\n\r ]*:/s;

/** The text with `[redacted]` in place of everything shaped like a secret. */
export function redact(text: string): string {
  const seen = withoutInvisible(text);
  const redacted = redactSeen(seen);
  // Invisible characters are taken out only where they hide a secret.
  return redacted === seen ? text : redacted;
}

/** Whether `redact` would change the text. */
export const containsSecret = (text: string): boolean => redact(text) !== text;

/** Whether a text is a service account token, whole: what is not recognised as a secret cannot be kept out of sight. */
export const isSecret = (text: string): boolean => WHOLE_SERVICE_ACCOUNT_TOKEN.test(text);

const redactSeen = (text: string): string =>
  text.replace(SERVICE_ACCOUNT_TOKEN, REDACTED).replace(COMPACT_RUN, (run) => {
    const index = jwtIndex(run);
    return index < 0 ? run : run.slice(0, index) + REDACTED;
  });

/** Where in a run a JWT begins: at a header that a dot follows, whatever stands in front of it; -1 if nowhere. */
function jwtIndex(run: string): number {
  let offset = 0;
  for (const segment of run.split('.').slice(0, -1)) {
    const start = headerIndex(segment);
    if (start >= 0) return offset + start;
    offset += segment.length + 1;
  }
  return -1;
}

/** Where in a segment, which may end with padding, a header begins; -1 if nowhere. */
function headerIndex(segment: string): number {
  let end = segment.length;
  while (segment.endsWith('=', end)) end -= 1;
  const start = segment.lastIndexOf('=', end - 1) + 1;
  const word = segment.slice(start, end);
  if (word.length < JWT_HEADER_MIN_CHARS) return -1;
  const plain = word.indexOf(JWT_START);
  const index = plain >= 0 && word.length - plain >= JWT_HEADER_MIN_CHARS ? plain : jsonObjectIndex(word);
  return index < 0 ? -1 : start + index;
}

/**
 * Where in a word of base64 the encoding of a JSON object begins; -1 if nowhere. What is glued to its front, or white space
 * in front of its brace, shifts the encoding, so each of the four places of a character is tried.
 */
function jsonObjectIndex(word: string): number {
  const base64 = word.replaceAll('-', '+').replaceAll('_', '/');
  for (let shift = 0; shift < 4; shift += 1) {
    const chars = base64.length - shift;
    // A single character left over stands for no byte.
    const bytes = atob(base64.slice(shift, base64.length - (chars % 4 === 1 ? 1 : 0)));
    const start = bytes.search(JSON_OBJECT_START);
    if (start >= 0) return shift + Math.floor((start * 4) / 3);
  }
  return -1;
}
