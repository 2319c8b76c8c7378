/**
 * The text with each control character (Unicode's Cc) written as a JSON escape. A terminal does not obey it then, a line
 * stays one line, and text that is JSON means the same as before.
 */
export const escapeControls = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The text with what would break a line of a log or of a terminal shown as U+FFFD. */
export const replaceControls = (text: string): string => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '\u{FFFD}');

/**
 * Characters that nobody sees: Unicode's format characters (Cf: zero-width spaces and joiners, direction marks, tags), what a
 * font may leave out (Default_Ignorable_Code_Point: variation selectors, Hangul fillers too), and the empty Braille cell. Two
 * texts that differ in them look alike, and text can be hidden in them.
 */
const INVISIBLE = String.raw`\p{Cf}\p{Default_Ignorable_Code_Point}\u{2800}`;

/** Of those, what writing needs: joiners of Persian, Indic scripts and emoji, and the two styles of emoji. */
const JOINING = String.raw`\u{200C}\u{200D}\u{FE0E}\u{FE0F}`;

const ANY = new RegExp(`[${INVISIBLE}]`, 'u');
const EACH = new RegExp(ANY, 'gu');
/** A joined emoji has two of them between visible characters: a style and a joiner. */
const NOT_OF_WRITING = new RegExp(`(?![${JOINING}])[${INVISIBLE}]|[${JOINING}]{3}`, 'u');
const BEYOND_ASCII = /[^\0-\u{7F}]/u;

/** Whether there is anything in the text that nobody sees. */
export const containsInvisible = (text: string): boolean => ANY.test(text);

/** The same, but for joiners and emoji styles where writing has them: no more than two in a row. */
export const containsHiddenText = (text: string): boolean => NOT_OF_WRITING.test(text);

/** The text as it is seen. */
export const withoutInvisible = (text: string): string => (BEYOND_ASCII.test(text) ? text.replace(EACH, '') : text);
