/**
 * Finds text shaped like a secret: a PipeOps token (`sat_…`) or a JWT, in any surrounding.
 *
 * Both run in linear time on any text, because PipeOps, issuers and callers choose it.
 */

export const REDACTED = '[redacted]';

/**
 * PipeOps shows the first seven characters of a secret as its `token_prefix` (`sat_xxxxxxx`). That is public and must
 * survive, so a secret needs at least twelve; the five between are room for a longer prefix.
 */
const SERVICE_ACCOUNT_TOKEN = /sat_[A-Za-z0-9_+/=.~-]{12,}/g;
const WHOLE_SERVICE_ACCOUNT_TOKEN = new RegExp(`^${SERVICE_ACCOUNT_TOKEN.source}$`);

/** Words of base64url and dots: the alphabet of a JWT in its compact form (RFC 7515, RFC 7516). */
const COMPACT_RUN = /[A-Za-z0-9_.-]+/g;

/** `{"` in base64url, with which every JWT's header begins. */
const JWT_START = 'eyJ';

/** `{"alg":"` alone encodes to eleven characters; no header is shorter. */
const JWT_HEADER_MIN_CHARS = 11;

/** Where in a run a JWT begins: at a header that a dot follows, whatever stands in front of it; -1 if nowhere. */
const jwtIndex = (run: string): number => {
  const segments = run.split('.');
  let offset = 0;
  for (const segment of segments.slice(0, -1)) {
    const start = segment.indexOf(JWT_START);
    if (start >= 0 && segment.length - start >= JWT_HEADER_MIN_CHARS) return offset + start;
    offset += segment.length + 1;
  }
  return -1;
};

/** The text with `[redacted]` in place of everything shaped like a secret. */
export const redact = (text: string): string =>
  text.replace(SERVICE_ACCOUNT_TOKEN, REDACTED).replace(COMPACT_RUN, (run) => {
    const index = jwtIndex(run);
    return index < 0 ? run : run.slice(0, index) + REDACTED;
  });

/** Whether `redact` would change the text. */
export const containsSecret = (text: string): boolean => redact(text) !== text;

/** Whether a text is a service account token, whole: what is not recognised as a secret cannot be kept out of sight. */
export const isSecret = (text: string): boolean => WHOLE_SERVICE_ACCOUNT_TOKEN.test(text);
