import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csvCell, csvLine, type CsvValue } from '../../../src/trail/query/format.ts';

describe('a cell of CSV', () => {
  it.each<[string, CsvValue, string]>([
    ['null', null, ''],
    ['empty text, which is not null', '', '""'],
    ['a number', 42, '42'],
    ['a word', 'audit.query', 'audit.query'],
    ['a time', '2026-11-24T03:34:09.301Z', '2026-11-24T03:34:09.301Z'],
    ['an IPv6 address', '2001:db8::1', '2001:db8::1'],
    ['a comma', 'a,b', '"a,b"'],
    ['the separator of other countries', 'a;b', '"a;b"'],
    ['a quotation mark', 'say "yes"', '"say ""yes"""'],
    ['a space', ' a', '" a"'],
    ['letters beyond ASCII', 'Zoë', '"Zoë"'],
    ['JSON', { json: { scopes: ['api:read'] } }, '"{""scopes"":[""api:read""]}"'],
  ])('%s', (_what, value, cell) => {
    expect(csvCell(value)).toBe(cell);
  });

  it.each([
    ['=', '=1+1', `"'=1+1"`],
    ['+', '+1', `"'+1"`],
    ['-', '-1', `"'-1"`],
    ['@', '@SUM(A1)', `"'@SUM(A1)"`],
    ['a tab', '\tx', `"'\\u0009x"`],
    ['a carriage return', '\rx', `"'\\u000dx"`],
    ['a line feed', '\nx', `"'\\u000ax"`],
    ['a full-width =', '＝1', `"'＝1"`],
    ['a full-width +', '＋1', `"'＋1"`],
    ['a full-width -', '－1', `"'－1"`],
    ['a full-width @', '＠1', `"'＠1"`],
    ['= behind a space', ' =1', `"' =1"`],
    ['= behind a no-break space', '\u00a0=1', `"'\u00a0=1"`],
    ['= behind a byte order mark', '\ufeff=1', `"'\ufeff=1"`],
    ['= behind a zero-width space', '\u200b=1', `"'\u200b=1"`],
    ['= behind NUL', '\0=1', `"'\\u0000'=1"`],
    ['an apostrophe, so that a leading one is always ours', "'=1", `"''=1"`],
    ['a DDE call', `=cmd|' /C calc'!A0`, `"'=cmd|'' /C calc'!A0"`],
  ])('is no formula where text begins with %s', (_what, text, cell) => {
    expect(csvCell(text)).toBe(cell);
  });

  it.each([
    ['a semicolon', 'a;=cmd()', `"a;'=cmd()"`],
    ['a comma', 'a,+1', `"a,'+1"`],
    ['a bar', 'a|-1', `"a|'-1"`],
    ['a colon', 'a:@x', `"a:'@x"`],
    ['a tab', 'x\t=1+1', `"x\\u0009'=1+1"`],
    ['a quotation mark', '"=1', `"""'=1"`],
    ['a quotation mark and a bar', '"|=1', `"""|'=1"`],
    ['a bar and a quotation mark', 'a|"=1', `"a|""'=1"`],
    ['a semicolon and spaces', 'a; \u00a0=1', `"a;' \u00a0=1"`],
    ['a semicolon and what is not shown', 'a;\u200b=1', `"a;'\u200b=1"`],
    ['a semicolon, in full width', 'a;＝1', `"a;'＝1"`],
    ['each of several', ';=1;+2', `";'=1;'+2"`],
    ['two at once', ';;=1', `";;'=1"`],
    ['a semicolon, with an apostrophe of its own', "a;'=1", `"a;''=1"`],
  ])('is no formula behind %s either', (_what, text, cell) => {
    expect(csvCell(text)).toBe(cell);
  });

  it.each([
    ['letters', 'a-b=c+d@e', '"a-b=c+d@e"'],
    ['a space', 'foo - bar', '"foo - bar"'],
    ['a slash', 'https://x.example/-/a', 'https://x.example/-/a'],
    ['an apostrophe within', "it's", `"it's"`],
  ])('stays as it is behind %s', (_what, text, cell) => {
    expect(csvCell(text)).toBe(cell);
  });

  it.each([
    ['a value', { a: '=1' }, String.raw`{"a":"\u003d1"}`],
    ['a name', { '=a': 1 }, String.raw`{"\u003da":1}`],
    ['behind a semicolon', { a: 'x;@y' }, String.raw`{"a":"x;\u0040y"}`],
    ['behind a quotation mark', { a: '"+1' }, String.raw`{"a":"\"\u002b1"}`],
    ['behind a space', { a: ' -1' }, String.raw`{"a":" \u002d1"}`],
    ['in full width', { a: '＝1' }, String.raw`{"a":"\uff1d1"}`],
    ['elsewhere', { a: 'b=c', d: "it's" }, `{"a":"b=c","d":"it's"}`],
  ])('in JSON is no formula and means the same: %s', (_what, json, text) => {
    expect(csvCell({ json })).toBe(`"${text.replaceAll('"', '""')}"`);
    expect(JSON.parse(text)).toEqual(json);
  });

  it.each([
    ['a line break', 'a\r\n# {"complete":true}', '"a\\u000d\\u000a# {""complete"":true}"'],
    ['an escape sequence', 'a\u001b[2J', '"a\\u001b[2J"'],
    ['a C1 control', 'a\u009b2J', '"a\\u009b2J"'],
  ])('stays one line and harmless with %s', (_what, text, cell) => {
    expect(csvCell(text)).toBe(cell);
  });
});

/** The cells of a line, as RFC 4180 reads it. */
function readLine(line: string): string[] {
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n$)/gy;
  const cells: string[] = [];
  let end = 0;
  for (let match = cell.exec(line); match !== null; match = cell.exec(line)) {
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    end = cell.lastIndex;
    if (match[3] !== ',') break;
  }
  expect(end).toBe(line.length);
  return cells;
}

/** The value of a cell of text, got back as docs/audit.md tells readers to. */
const valueOf = (cell: string): string =>
  cell
    .replace(/\\u([0-9a-f]{4})/g, (_escape, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
    .replace(/(^|[,;:|"\p{Cc}])'/gu, '$1');

/** The value of a cell, if it is such a value. */
function readCell(cell: string, like: CsvValue): CsvValue {
  if (like === null) return cell === '' ? null : cell;
  if (typeof like === 'object') return { json: JSON.parse(cell) as unknown };
  return typeof like === 'number' ? Number(cell) : valueOf(cell);
}

const SPECIAL = Array.from(',;:|"\'=+-@\t\r\n \\u0009＝＋－＠\u200b\u00a0\ufeff\0ab');
const hostile = fc.oneof(
  fc.string({ unit: fc.constantFrom(...SPECIAL), maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.toWellFormed()),
  fc.constantFrom('\\u0009', '\\\\u0009', "''=1", ";''", '\\u005cu0009', "\t'x", '=1', "'"),
);
const jsonOf = fc.dictionary(hostile, fc.oneof(hostile, fc.nat(), fc.boolean(), fc.array(hostile, { maxLength: 3 })), {
  maxKeys: 4,
});
const values = fc.array(
  fc.oneof(
    hostile,
    hostile,
    fc.nat(),
    fc.constant(null),
    jsonOf.map((json) => ({ json: JSON.parse(JSON.stringify(json)) as unknown })),
  ),
  {
    minLength: 1,
    maxLength: 6,
  },
);

describe('a line of any values', () => {
  it('is one line of RFC 4180, and gives each value back', () => {
    fc.assert(
      fc.property(values, (given) => {
        const line = csvLine(given);
        expect(line.slice(0, -2)).not.toMatch(/\p{Cc}/u);
        expect(readLine(line).map((cell, index) => readCell(cell, given[index] ?? null))).toEqual(given);
      }),
      { numRuns: 2_000 },
    );
  });

  it('has no formula in it, wherever it is split', () => {
    fc.assert(
      fc.property(values, (given) => {
        for (const part of csvLine(given).split(/[,;:|"\t]/)) {
          expect(part).not.toMatch(/^[\p{Cc}\p{Cf}\p{Z}]*[=+\-@＝＋－＠]/u);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

it('a line ends as RFC 4180 says', () => {
  expect(csvLine([1, 'a', null, 'b c'])).toBe('1,a,,"b c"\r\n');
});
