import { describe, expect, it } from 'vitest';
import { fit, printable, printableJson, printableLines, widthOf } from '../../commands/terminal-text.ts';

const HOSTILE: readonly (readonly [string, string])[] = [
  ['an escape sequence', '\u001b[2J'],
  ['a C1 control', '\u009b2J'],
  ['DEL', '\u007f'],
  ['a line feed', '\n'],
  ['a carriage return', '\r'],
  ['a bell', '\u0007'],
  ['a change of direction', '\u202e'],
  ['an isolate', '\u2066'],
  ['a zero-width space', '\u200b'],
  ['a tag beyond 16 bits', '\u{e0041}'],
  ['a line separator', '\u2028'],
  ['half of a surrogate pair', '\ud800'],
];

describe('what a terminal is given', () => {
  it.each(HOSTILE)('has a mark in place of %s', (_what, text) => {
    expect(printable(`a${text}b`)).toMatch(/^a\ufffd[[\]2J]*b$/);
  });

  it.each(HOSTILE)('is JSON that means the same, with %s escaped', (_what, text) => {
    const json = printableJson({ text });
    expect(json).toBe(printable(json));
    expect(JSON.stringify(JSON.parse(json))).toBe(JSON.stringify({ text }));
  });

  it('keeps its line ends where it is lines', () => {
    expect(printableLines('a\u001bb\r\nc\rd\n')).toBe('a\ufffdb\r\nc\ufffdd\n');
  });

  it('leaves letters of all scripts alone', () => {
    const text = 'Zoë – 東京 – 한국 – नमस्ते – 🙂';
    expect(printable(text)).toBe(text);
  });
});

describe('the width of text', () => {
  it.each([
    ['', 0],
    ['abc', 3],
    ['東京', 4],
    ['한국', 4],
    ['🙂', 2],
    ['e\u0301', 1],
    ['ＡＢ', 4],
  ])('of %j is %i cells', (text, cells) => {
    expect(widthOf(text)).toBe(cells);
  });

  it.each([
    ['abc', 5, 'abc  '],
    ['abc', 3, 'abc'],
    ['abcd', 3, 'ab…'],
    ['東京都', 5, '東京…'],
    ['東京都', 4, '東… '],
    ['abc', 1, '…'],
    ['abc', 0, ''],
  ])('%j in %i cells is %j', (text, cells, fitted) => {
    expect(fit(text, cells)).toBe(fitted);
    expect(widthOf(fitted)).toBe(cells);
  });

  it.each([
    ['service_account_token.revoke', 14, '…_token.revoke'],
    ['東京都', 4, '…都 '],
    ['abc', 3, 'abc'],
    ['abc', 1, '…'],
  ])('%j in %i cells, cut at its beginning, is %j', (text, cells, fitted) => {
    expect(fit(text, cells, 'beginning')).toBe(fitted);
  });
});
