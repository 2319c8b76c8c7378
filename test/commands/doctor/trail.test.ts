import { expect, test } from 'vitest';
import { sealingFindings } from '../../../commands/doctor/trail.ts';

const ALL = ['TRAIL_KEY', 'STATE_SECRET', 'TRAIL_ANCHORS'];

test.each([
  ['all of it', ALL, true, []],
  ['a witness in place of an anchor', ['TRAIL_KEY', 'STATE_SECRET', 'TRAIL_WITNESSES'], true, []],
  ['nothing', [], true, ['TRAIL_KEY', 'STATE_SECRET']],
  ['no bucket', ALL, false, ['TRAIL']],
  ['nobody outside', ['TRAIL_KEY', 'STATE_SECRET'], true, ['TRAIL_WITNESSES']],
  ['secrets that nobody knows', null, true, []],
])('a trail with %s is told what that is worth', (_case, names, hasBucket, keys) => {
  const found = sealingFindings({ names: names === null ? null : new Set(names), hasBucket, section: 'staging' });
  expect(found.map(({ key }) => key)).toEqual(keys);
  expect(found.every(({ severity }) => severity === 'warning')).toBe(true);
});
