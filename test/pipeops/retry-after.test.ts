import { expect, it } from 'vitest';
import { retryAfterSeconds } from '../../src/pipeops/failures.ts';

const now = Date.parse('2026-11-24T12:00:00.500Z');

it.each([
  ['30', 30],
  ['0', 0],
  [' 30 ', 30],
  ['3600', 3600],
  ['3601', 3600],
  ['9'.repeat(400), 3600],
  ['Tue, 24 Nov 2026 12:00:30 GMT', 30],
  ['Tue, 24 Nov 2026 11:00:00 GMT', 0],
  ['Tue, 24 Nov 2027 12:00:00 GMT', 3600],
  [null, null],
  ['', null],
  ['-5', null],
  ['1.5', null],
  ['soon', null],
  ['2026-11-24T12:00:30Z', null],
  ['Tue, 99 Nov 2026 12:00:30 GMT', null],
])('%j is %j seconds', (header, expected) => {
  expect(retryAfterSeconds(header, now)).toBe(expected);
});
