import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonFault } from '../../src/kit/json.ts';

describe('the first fault of a text that should be JSON', () => {
  test.each<[string, string, number, number]>([
    ['a word', '{"a": x}', 1, 7],
    ['a word in a later line', '[1,\n2,\n  secret]', 3, 3],
    ['a word far behind', `{"a": "${'long '.repeat(40)}",\n"b": secret}`, 2, 6],
    ['a comma at the end', '{"a": 1,\n}', 2, 1],
    ['a missing comma', '[1\n 2]', 2, 2],
    ['a name without quotes', '{\n  issuers: []}', 2, 3],
    ['single quotes', "{'a': 1}", 1, 2],
    ['a line end in a string', '{"a": "b\nc"}', 1, 9],
    ['a string without an end', '["secret', 1, 9],
    ['an early end', '{"a": [', 1, 8],
    ['nothing', '', 1, 1],
    ['more than one value', '{} {}', 1, 4],
    ['a comment', '// policy\n{}', 1, 1],
    ['a number that starts with 0', '[01]', 1, 3],
  ])('%s', (_, text, line, column) => {
    const fault = jsonFault(text);
    expect(fault).toMatchObject({ line, column });
    expect(fault?.reason).not.toMatch(/secret|position|line/);
  });

  test('JSON has none', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(jsonFault(text)).toBeNull();
      }),
    );
  });
  test('it stands in the text, or at its end', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.constantFrom('?', 'x', '}', '"', ',', '\n', '\\'), (json, at, inserted) => {
        const index = at % (json.length + 1);
        const text = json.slice(0, index) + inserted + json.slice(index);
        const fault = jsonFault(text);
        if (fault === null) return;
        const lines = text.split('\n');
        expect(fault.line).toBeLessThanOrEqual(lines.length);
        expect(fault.column).toBeLessThanOrEqual((lines[fault.line - 1] ?? '').length + 1);
      }),
    );
  });
});
