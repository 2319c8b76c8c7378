/**
 * Characters that a terminal may obey or hide instead of showing: control and format characters (some of them turn the
 * direction of writing), halves of surrogate pairs, line and paragraph separators.
 */
const UNSHOWN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const COMBINING = /^\p{M}$/u;
/** Characters that terminals draw in two cells. */
const WIDE =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]$/u;

/** Makes text safe for a terminal: it becomes one line, and nothing in it is a command. */
export const printable = (text: string): string => text.replace(UNSHOWN, '\ufffd');

/** Makes text of several lines safe for a terminal, and keeps the line ends. */
export const printableLines = (text: string): string =>
  text
    .split('\n')
    .map((line) => (line.endsWith('\r') ? `${printable(line.slice(0, -1))}\r` : printable(line)))
    .join('\n');

/** Writes a value as JSON in which everything that a terminal would obey is escaped. */
export const printableJson = (value: unknown): string =>
  JSON.stringify(value).replace(UNSHOWN, (character) =>
    Array.from({ length: character.length }, (_item, index) => escapeUnit(character.charCodeAt(index))).join(''),
  );

const escapeUnit = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`;

/** A time of the service (RFC 3339 in UTC), to the second. */
export const shownTime = (time: string | null): string => (time ?? '').replace('T', ' ').replace(/\.\d+Z$/, 'Z');

/** The number of terminal cells that the text takes. */
export function widthOf(shown: string): number {
  let cells = 0;
  for (const character of shown) cells += cellsOf(character);
  return cells;
}

/** Fits the text into exactly this many cells: pads it with spaces, or cuts it with `…` at its end or beginning. */
export function fit(shown: string, cells: number, cut: 'end' | 'beginning' = 'end'): string {
  const width = widthOf(shown);
  if (width <= cells) return shown + ' '.repeat(cells - width);
  if (cells < 1) return '';
  const characters = cut === 'end' ? Array.from(shown) : Array.from(shown).toReversed();
  const kept: string[] = [];
  let used = 1;
  for (const character of characters) {
    if (used + cellsOf(character) > cells) break;
    kept.push(character);
    used += cellsOf(character);
  }
  const fitted = cut === 'end' ? `${kept.join('')}…` : `…${kept.toReversed().join('')}`;
  return fitted + ' '.repeat(cells - used);
}

function cellsOf(character: string): number {
  if (COMBINING.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
