import { expect, it } from 'vitest';
import { addressGroup } from '../../src/trail/rejections.ts';

it.each([
  [null, 'unknown'],
  ['203.0.113.9', '203.0.113.9'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
  ['2001:db8::9', '2001:db8:0:0::/64'],
  ['2001:db8:0:0:ffff::', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['1::2::3', '1:0:0:0::/64'],
])('%s belongs to %s', (ip, group) => {
  expect(addressGroup(ip)).toBe(group);
});
