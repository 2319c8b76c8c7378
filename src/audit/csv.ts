import { escapeControls } from '../text/control-characters.ts';

/** A value of a cell. Null is an empty cell; text that is empty is `""`. */
export type CsvValue = string | number | null;

/**
 * What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection"): also in its full-width form, and behind
 * what it does not show. An apostrophe is among them so that a leading one is always ours.
 */
const FORMULA = /^[\p{Cc}\p{Cf}\p{Z}]*[=+\-@'\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/u;
/** What means nothing to any reader of CSV, whatever its separator. */
const PLAIN = /^[A-Za-z0-9_.:/-]+$/;

/** A line of CSV (RFC 4180), with its line end. It is one line whatever is in it: control characters are escaped. */
export const csvLine = (values: readonly CsvValue[]): string => `${values.map(csvCell).join(',')}\r\n`;

/** A cell. One that a spreadsheet would run gets an apostrophe in front, which makes it text. */
export function csvCell(value: CsvValue): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const text = (FORMULA.test(value) ? "'" : '') + escapeControls(value);
  return PLAIN.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}
