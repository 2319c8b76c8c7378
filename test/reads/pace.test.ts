import { describe, expect, it } from 'vitest';
import { createQuota } from '../../src/pipeops/quota.ts';
import { createPace, msOfEachWorkspace, pacedSinceMs } from '../../src/reads/pace.ts';

const NOW = Date.parse('2026-11-28T12:00:00Z');
const HOUR_MS = 3_600_000;
const paceOf = (leastSeconds: number, hour = 1_000) =>
  createPace(leastSeconds * 1000, createQuota({ minute: 100, hour }));

describe('how old a list may be', () => {
  it.each([
    ['one workspace: the least', 1, 15, 1_000, 15_000],
    ['three', 3, 15, 1_000, 15_000],
    ['four: what the hour has', 4, 15, 1_000, 19_500],
    ['sixty', 60, 15, 1_000, 292_500],
    ['two hundred', 200, 15, 1_000, 975_000],
    ['so many that it would be more than an hour: an hour', 900, 15, 1_000, HOUR_MS],
    ['none that is known', 0, 15, 1_000, 15_000],
    ['ten, where five minutes are the least', 10, 300, 1_000, 300_000],
    ['two hundred, where PipeOps takes ten times as many calls', 200, 15, 10_000, 97_600],
  ])('%s', (_case, inUse, leastSeconds, hour, expected) => {
    const pace = paceOf(leastSeconds, hour);
    pace.learn(inUse);
    expect(pace.freshness(false, NOW).maxAgeMs).toBe(expected);
  });

  it.each([
    ['two seconds for no-cache, however many are in use', 15, true, 2_000],
    ['the least for no-cache, where that is less', 1, true, 1_000],
    ['nothing where lists are off', 0, false, 0],
    ['nothing where lists are off, for no-cache too', 0, true, 0],
  ])('%s', (_case, leastSeconds, isNoCache, expected) => {
    const pace = paceOf(leastSeconds);
    pace.learn(200);
    expect(pace.freshness(isNoCache, NOW).maxAgeMs).toBe(expected);
  });

  it('leaves the hour of all calls what it keeps from reads, wherever that hour begins', () => {
    for (const calls of [8, 799, 800, 801, 8_000]) {
      const each = msOfEachWorkspace(calls);
      for (const inUse of [1, 15, 200]) {
        expect((65 * 60_000) / ((inUse * each) / inUse)).toBeLessThanOrEqual(calls);
      }
    }
  });

  it('is judged alike where one is looked for in D1', () => {
    expect(pacedSinceMs({ minBegunMs: NOW - 15_000, eachMs: 4_875 }, 100, NOW)).toBe(NOW - 487_500);
    expect(pacedSinceMs({ minBegunMs: NOW - 2_000, eachMs: 0 }, 100, NOW)).toBe(NOW - 2_000);
  });
});

describe('after a refusal', () => {
  it('nothing is asked for some seconds, and what is told is when there may be a call again', () => {
    const pace = paceOf(15);
    expect(pace.refusedSeconds(NOW)).toBe(0);
    pace.refuse(40, NOW);
    expect(pace.refusedSeconds(NOW)).toBe(40);
    expect(pace.refusedSeconds(NOW + 4_000)).toBe(36);
    expect(pace.refusedSeconds(NOW + 5_000)).toBe(0);
  });

  it('that ends sooner, it is asked sooner', () => {
    const pace = paceOf(15);
    pace.refuse(2, NOW);
    expect(pace.refusedSeconds(NOW + 1_999)).toBe(1);
    expect(pace.refusedSeconds(NOW + 2_000)).toBe(0);
  });
});
