import { describe, expect, it } from 'vitest';
import { isPassed } from '../../src/trail/late-settlement.ts';
import { AUDIT_ANNOUNCE_AFTER_MS, AUDIT_UNFINISHED_MS } from '../../src/config/limits.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 24 * 60 * 60 * 1000;

describe('a row that is settled is announced where followers may have passed it', () => {
  it.each([
    ['just now', 0, false],
    ['a moment ahead', -1_000, false],
    ['nearly old', AUDIT_ANNOUNCE_AFTER_MS - 1, false],
    ['old', AUDIT_ANNOUNCE_AFTER_MS, true],
    ['a day old', DAY_MS, true],
    ['nearly of another clock', 1 - AUDIT_ANNOUNCE_AFTER_MS, false],
    ['as far ahead as nobody waits for', -AUDIT_UNFINISHED_MS, true],
    ['of a clock that ran a day ahead', -DAY_MS, true],
  ])('%s', (_name, ageMs, expected) => {
    expect(isPassed(NOW_MS - ageMs, NOW_MS)).toBe(expected);
  });
});
