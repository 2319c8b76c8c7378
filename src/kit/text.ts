/**
 * The text with each control character (Unicode's Cc) written as a JSON escape: a terminal does not obey it, a line stays one
 * line, and text that is JSON means the same as before.
 */
export const escapeControls = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Characters that break a line of a log or of a terminal: controls, and Unicode's separators of lines and paragraphs. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;
const EACH_CONTROL = new RegExp(CONTROL, 'gu');

/** Whether a text holds a character that would break a line of a log or of a terminal. */
export const containsControls = (text: string): boolean => CONTROL.test(text);

/** The text with U+FFFD in place of each character that would break a line of a log or of a terminal. */
export const replaceControls = (text: string): string => text.replace(EACH_CONTROL, '\u{FFFD}');

/**
 * Invisible characters: Unicode's format characters (Cf: zero-width spaces and joiners, direction marks, tags), those that a
 * font may leave out (Default_Ignorable_Code_Point: also variation selectors and Hangul fillers), and the empty Braille cell.
 * Two texts that differ in them alone look alike, and text can be hidden in them.
 */
const INVISIBLE = String.raw`\p{Cf}\p{Default_Ignorable_Code_Point}\u{2800}`;

/** The invisible characters that writing needs: joiners of Persian, Indic scripts and emoji, and the two styles of emoji. */
const JOINING = String.raw`\u{200C}\u{200D}\u{FE0E}\u{FE0F}`;

const ANY_INVISIBLE = new RegExp(`[${INVISIBLE}]`, 'u');
const EACH_INVISIBLE = new RegExp(ANY_INVISIBLE, 'gu');
/** An invisible character that writing does not need, or three in a row: a joined emoji has two, a style and a joiner. */
const NOT_OF_WRITING = new RegExp(`(?![${JOINING}])[${INVISIBLE}]|[${JOINING}]{3}`, 'u');
const BEYOND_ASCII = /[^\0-\u{7F}]/u;

/** Whether a text holds an invisible character. */
export const containsInvisible = (text: string): boolean => ANY_INVISIBLE.test(text);

/**
 * Whether a text holds invisible characters beyond the joiners and emoji styles that writing needs, which are at most two in a
 * row.
 */
export const containsHiddenText = (text: string): boolean => NOT_OF_WRITING.test(text);

/** The text without its invisible characters. */
export const withoutInvisible = (text: string): string =>
  BEYOND_ASCII.test(text) ? text.replace(EACH_INVISIBLE, '') : text;
