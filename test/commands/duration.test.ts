import { describe, expect, it } from 'vitest';
import { parseTtlSeconds } from '../../commands/duration.ts';

describe('a lifetime', () => {
  it.each([
    ['1s', 1],
    ['90s', 90],
    ['15m', 900],
    ['1h', 3_600],
    ['24h', 86_400],
    ['1d', 86_400],
  ])('%s is %i seconds', (text, seconds) => {
    expect(parseTtlSeconds(text)).toBe(seconds);
  });

  it.each(['', '0s', '10', '1w', '1.5h', '-1h', ' 1h', '25h', '86401s', '1h30m', '9999999s'])('%j is none', (text) => {
    expect(() => parseTtlSeconds(text)).toThrow(`--ttl ${JSON.stringify(text)} is not a lifetime`);
  });
});
