import { escapeControls } from '../../kit/control-characters.ts';

/** A value of a cell. Null is an empty cell; text that is empty is `""`. */
export type CsvValue = string | number | null | { readonly json: unknown };

/**
 * Behind these a spreadsheet may take a new cell to begin: whatever it was told to split at, and where a quotation mark ends
 * what it was told to keep together.
 */
const CELL_BEGINS = String.raw`^|[,;:|"\p{Cc}]`;
/** What it does not show there. */
const UNSHOWN = String.raw`[\p{Cc}\p{Cf}\p{Z}]*`;
/** What it takes for the beginning of a formula (OWASP, "CSV Injection"): also in its full-width form. */
const FORMULA = String.raw`[=+\-@\uff1d\uff0b\uff0d\uff20]`;

/** Where a cell might begin with a formula, or with an apostrophe: of those there, the first is always ours. */
const FORMULA_CELL = new RegExp(`(?<=${CELL_BEGINS})(?=${UNSHOWN}(?:${FORMULA}|'))|^(?=[\t\r\n])`, 'gu');
const JSON_FORMULA = new RegExp(`(?<=(?:${CELL_BEGINS})${UNSHOWN})${FORMULA}`, 'gu');
const JSON_STRING = /"(?:[^"\\]|\\.)*"/gu;
/** Text that looks like what a control character is written as. */
const ESCAPE_LIKE = /\\(?=u[0-9a-f]{4})/giu;
/** What means nothing to any reader of CSV, whatever its separator. */
const PLAIN = /^[A-Za-z0-9_.:/-]+$/;

/** A line of CSV (RFC 4180), with its line end. It is one line whatever is in it: control characters are escaped. */
export const csvLine = (values: readonly CsvValue[]): string => `${values.map(csvCell).join(',')}\r\n`;

/**
 * A cell, of which no part is a formula to a spreadsheet that splits elsewhere than at commas.
 *
 * Text gets an apostrophe in front of whatever might be one, and a control character is written `\u0009`. The value is got
 * back by taking away one apostrophe at its beginning and behind each `,` `;` `:` `|` `"` and control character, once each `\u`
 * with its four digits is the character again. JSON means the same as before: what might begin a formula in its strings is written `\u003d`.
 */
export function csvCell(value: CsvValue): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const text = typeof value === 'string' ? harmlessText(value) : harmlessJson(value.json);
  return PLAIN.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}

const harmlessText = (text: string): string =>
  escapeControls(text.replace(FORMULA_CELL, "'").replace(ESCAPE_LIKE, String.raw`\u005c`));

const harmlessJson = (value: unknown): string =>
  escapeControls(JSON.stringify(value)).replace(JSON_STRING, (literal) =>
    literal.replace(JSON_FORMULA, escapeCharacter),
  );

const escapeCharacter = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
