import { describe, expect, it } from 'vitest';
import { containsSecret, redact } from '../../src/text/redaction.ts';

const secret = 'sat_Zk3nP0qLmW8xYb71';
const jwt = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';

describe('text shaped like a secret is redacted', () => {
  it.each([
    ['a token alone', secret, '[redacted]'],
    ['a token in a sentence', `use ${secret} today`, 'use [redacted] today'],
    ['a token glued to a word', `x${secret}`, 'x[redacted]'],
    ['a token of the least length', `sat_${'a'.repeat(12)}`, '[redacted]'],
    ['a token with dashes and underscores', 'sat_a-b_c-d_e-f_g', '[redacted]'],
    ['two tokens', `${secret},${secret}`, '[redacted],[redacted]'],
    ['a JWT alone', jwt, '[redacted]'],
    ['a JWT in a header', `Bearer ${jwt}`, 'Bearer [redacted]'],
    ['a JWT glued to a word', `x${jwt}`, 'x[redacted]'],
    ['a JWT behind dotted words', `a.eyJ.${jwt}`, 'a.eyJ.[redacted]'],
    ['a JWT without its signature', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0', '[redacted]'],
    ['an unsecured JWT', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.', '[redacted]'],
    ['an encrypted JWT with an empty key', 'eyJhbGciOiJkaXIifQ..aXY.Y3Q.dGFn', '[redacted]'],
    ['both at once', `${secret} ${jwt}`, '[redacted] [redacted]'],
  ])('%s', (_case, text, expected) => {
    expect(redact(text)).toBe(expected);
    expect(containsSecret(text)).toBe(true);
  });
});

describe('other text is left as it is', () => {
  it.each([
    ['nothing', ''],
    ['a public token prefix', 'sat_xxxxxxx'],
    ['one character short of a token', `sat_${'a'.repeat(11)}`],
    ['a scope', 'deployments:create'],
    ['a UUID', '5877a4ae-0d0c-4f6c-9a4c-5d2f2f9b0b11'],
    ['a host name', 'eyJ.example.com'],
    ['a base64url word without a dot', 'eyJhbGciOiJFUzI1NiJ9'],
    ['the placeholder itself', '[redacted]'],
    ['text beyond ASCII', 'Prüfung 🔑'],
  ])('%s', (_case, text) => {
    expect(redact(text)).toBe(text);
    expect(containsSecret(text)).toBe(false);
  });
});

it('stays linear on text made to make a pattern backtrack', () => {
  // Quadratic work on four megabytes would take hours, so this would never end.
  const length = 4 * 1024 * 1024;
  for (const unit of ['eyJ', 'sat_', 'sat_.', 'eyJ.', 'a']) {
    const text = unit.repeat(length / unit.length);
    expect(redact(text).length).toBeLessThanOrEqual(text.length);
  }
});
