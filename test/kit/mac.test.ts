import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createMac } from '../../src/kit/mac.ts';

const SECRET = new Uint8Array(32).fill(7);
const mac = createMac(SECRET, 'things/v1');

describe('a MAC', () => {
  it('is the half of an HMAC-SHA-256 under a key of its purpose', () => {
    const key = createHmac('sha256', SECRET).update('countersign things/v1\u0001').digest();
    const whole = createHmac('sha256', key).update('["things/v1","a",1,null]').digest('base64url');
    expect(mac('a', 1, null)).toBe(whole.slice(0, 22));
  });

  it.each<[string, string]>([
    ['another purpose', createMac(SECRET, 'things/v2')('a', 'b')],
    ['another secret', createMac(new Uint8Array(32).fill(8), 'things/v1')('a', 'b')],
    ['values that are cut elsewhere', mac('ab', '')],
    ['values in one text', mac('a","b')],
    ['the other order', mac('b', 'a')],
    ['one value more', mac('a', 'b', null)],
  ])('is another one for %s', (_case, other) => {
    expect(other).not.toBe(mac('a', 'b'));
  });

  it('tells null, a number and their texts apart', () => {
    expect(new Set([mac(null), mac('null'), mac(1), mac('1'), mac('')]).size).toBe(5);
  });
});
