/**
 * The text with each control character (Unicode's Cc) written as a JSON escape. A terminal does not obey it then, a line
 * stays one line, and text that is JSON means the same as before.
 */
export const escapeControls = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The text with what would break a line of a log or of a terminal shown as U+FFFD. */
export const replaceControls = (text: string): string => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '\u{FFFD}');
