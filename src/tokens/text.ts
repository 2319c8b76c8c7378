import * as z from 'zod';
import { byteLength } from '../kit/caps.ts';
import { containsHiddenText, containsInvisible } from '../kit/invisible-characters.ts';
import { containsSecret } from '../kit/redaction.ts';
import { TOKEN_DESCRIPTION_MAX_BYTES, TOKEN_NAME_MAX_BYTES } from '../config/limits.ts';
import { containsMarkerShape } from '../kit/marker.ts';

/** Control characters, and line and paragraph separators: in the trail they could make one name look like two. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;
const CONTROL_BUT_NEWLINE_AND_TAB = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}]/u;

export const LIKE_A_SECRET = 'Leave out what looks like a token or a JWT: this text is stored.';
export const LIKE_A_MARKER = 'Leave out "-csgn-" with 16 letters or digits after it: this service adds it.';

/** Text that is passed on and stored: nothing shaped like a secret, and nothing that could pass for a marker. */
const wellFormedText = (maxBytes: number) =>
  z
    .string('Use text.')
    .refine((text) => !containsSecret(text), LIKE_A_SECRET)
    .refine((text) => !containsMarkerShape(text), LIKE_A_MARKER)
    .refine((text) => text.isWellFormed(), 'Use well-formed Unicode, without lone surrogates.')
    .refine((text) => byteLength(text) <= maxBytes, `Use at most ${maxBytes} bytes of UTF-8.`);

/** The name of a token, as its caller will read it again: never trimmed or otherwise changed here. */
export const tokenName = wellFormedText(TOKEN_NAME_MAX_BYTES)
  .refine((name) => name !== '', 'Give the token a name.')
  .refine((name) => name === name.trim(), 'Leave out the spaces at the beginning and the end.')
  .refine(
    (name) => !CONTROL.test(name) && !containsInvisible(name),
    'Leave out control characters, line breaks, direction marks and what nobody sees, such as zero-width spaces.',
  );

/** A description; it may be empty. It may hold the joiners and emoji styles that writing needs. */
export const tokenDescription = wellFormedText(TOKEN_DESCRIPTION_MAX_BYTES).refine(
  (text) => !CONTROL_BUT_NEWLINE_AND_TAB.test(text) && !containsHiddenText(text),
  'Leave out control characters other than newline (U+000A) and tab, direction marks and what nobody sees, such as zero-width spaces.',
);
