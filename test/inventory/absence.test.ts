import { describe, expect, it } from 'vitest';
import { isProofOfAbsence, judgeAbsence } from '../../src/inventory/absence.ts';

const SETTLED_MS = 1_000_000;

describe('a proof of absence', () => {
  it.each([
    ['counts for nothing within a minute of the create', null, SETTLED_MS + 59_999, 'too_early'],
    ['counts for nothing then, whatever was missed before', SETTLED_MS - 120_000, SETTLED_MS + 59_999, 'too_early'],
    ['is an observation where it is the first', null, SETTLED_MS + 60_000, 'unseen'],
    ['is no second one within a minute of the first', SETTLED_MS + 60_000, SETTLED_MS + 119_999, 'unseen'],
    [
      'makes a token gone where it agrees with one of a minute before',
      SETTLED_MS + 60_000,
      SETTLED_MS + 120_000,
      'gone',
    ],
    [
      'makes nothing gone where the clock was put back between the two',
      SETTLED_MS + 300_000,
      SETTLED_MS + 100_000,
      'unseen',
    ],
  ] as const)('%s', (_name, unseenAtMs, begunAtMs, finding) => {
    expect(judgeAbsence({ settledAtMs: SETTLED_MS, unseenAtMs }, begunAtMs)).toBe(finding);
  });

  it.each([
    [true, 1, true],
    [false, 1, false],
    [true, 2, false],
  ])('of a list that is complete: %s, of %d pages, proves by itself: %s', (complete, pages, proves) => {
    expect(isProofOfAbsence({ complete, pages })).toBe(proves);
  });
});
