import { expect, it } from 'vitest';
import { durationSeconds } from '../../src/kit/time.ts';

it.each([
  ['90s', 90],
  ['15m', 900],
  ['1h', 3_600],
  ['30d', 2_592_000],
  ['2w', 1_209_600],
  ['0d', 0],
])('%s is %i seconds', (text, seconds) => {
  expect(durationSeconds(text)).toBe(seconds);
});

it.each(['', 'd', '30', '1.5h', '-1d', '1y', ' 1d', '1D', '1000000000s'])('"%s" is no duration', (text) => {
  expect(durationSeconds(text)).toBeNull();
});
