import { withoutInvisible } from './text.ts';

/**
 * Finds text that is shaped like a secret: a PipeOps token (`sat_…`) or a JWT, whatever surrounds it, and even where invisible
 * characters stand in it.
 *
 * Everything here runs in linear time on any text, because PipeOps, issuers and callers choose the text.
 */

export const REDACTED = '[redacted]';

/**
 * PipeOps shows the first seven characters after `sat_` as the `token_prefix` (`sat_xxxxxxx`). A prefix is public and must
 * survive, so only twelve characters or more are a secret; the five between are room for a longer prefix.
 */
const SERVICE_ACCOUNT_TOKEN = /sat_[A-Za-z0-9_+/=.~-]{12,}/g;
const WHOLE_SERVICE_ACCOUNT_TOKEN = new RegExp(`^${SERVICE_ACCOUNT_TOKEN.source}$`);

/**
 * Words of base64 and dots, as a JWT has in its compact form, signed or encrypted (RFC 7515, RFC 7516). The alphabet of plain
 * base64 (RFC 4648 §4) is part of it, since careless encoders use that one and careless verifiers accept it.
 */
const COMPACT_RUN = /[A-Za-z0-9_.+/=-]+/g;

/** `{"` and a letter in base64: nearly every JWT's header begins with it. */
const JWT_START = 'eyJ';

/** `{"alg":"` alone encodes to eleven characters, so no header is shorter. */
const JWT_HEADER_MIN_CHARS = 11;

/** How a JSON object begins that has a member (RFC 8259 §2, §4): white space may stand around its first name. */
const JSON_OBJECT_START = /\{[\t\n\r ]*"(?:[^"\\]|\\.)*"[\t\n\r ]*:/s;

/** The text with `[redacted]` in place of everything shaped like a secret. */
export function redact(text: string): string {
  const seen = withoutInvisible(text);
  const redacted = redactSeen(seen);
  // A text that hides no secret keeps its invisible characters.
  return redacted === seen ? text : redacted;
}

/** Whether `redact` would change the text. */
export const containsSecret = (text: string): boolean => redact(text) !== text;

/**
 * Whether the whole of a text is a service account token. A secret of another shape could not be redacted, so it is not accepted
 * as one.
 */
export const isSecret = (text: string): boolean => WHOLE_SERVICE_ACCOUNT_TOKEN.test(text);

const redactSeen = (text: string): string =>
  text.replace(SERVICE_ACCOUNT_TOKEN, REDACTED).replace(COMPACT_RUN, (run) => {
    const index = jwtIndex(run);
    return index < 0 ? run : run.slice(0, index) + REDACTED;
  });

/** Where in a run a JWT begins, which is at a header that a dot follows, whatever stands in front of it; -1 if there is none. */
function jwtIndex(run: string): number {
  let offset = 0;
  for (const segment of run.split('.').slice(0, -1)) {
    const start = headerIndex(segment);
    if (start >= 0) return offset + start;
    offset += segment.length + 1;
  }
  return -1;
}

/** Where in a segment, which may end with padding, a header begins; -1 if there is none. */
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
 * Where in a word of base64 the encoding of a JSON object begins; -1 if there is none. Text that is glued to its front, or white
 * space before its brace, shifts the encoding, so each of the four places of a character is tried.
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
