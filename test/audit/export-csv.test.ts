import { describe, expect, it } from 'vitest';
import { csvCell, csvLine, type CsvValue } from '../../src/audit/csv.ts';

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
    ['JSON', '{"scopes":["api:read"]}', '"{""scopes"":[""api:read""]}"'],
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
    ['= behind NUL', '\0=1', `"'\\u0000=1"`],
    ['an apostrophe, so that a leading one is always ours', "'=1", `"''=1"`],
    ['a DDE call', `=cmd|' /C calc'!A0`, `"'=cmd|' /C calc'!A0"`],
  ])('is no formula where text begins with %s', (_what, text, cell) => {
    expect(csvCell(text)).toBe(cell);
  });

  it.each([
    ['a line break', 'a\r\n# {"complete":true}', '"a\\u000d\\u000a# {""complete"":true}"'],
    ['an escape sequence', 'a\u001b[2J', '"a\\u001b[2J"'],
    ['a C1 control', 'a\u009b2J', '"a\\u009b2J"'],
  ])('stays one line and harmless with %s', (_what, text, cell) => {
    expect(csvCell(text)).toBe(cell);
  });
});

it('a line ends as RFC 4180 says', () => {
  expect(csvLine([1, 'a', null, 'b c'])).toBe('1,a,,"b c"\r\n');
});
