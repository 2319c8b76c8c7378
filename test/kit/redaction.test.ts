import { base64url } from 'jose';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { containsSecret, redact } from '../../src/kit/redaction.ts';

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

const compact = (header: string, payload = '{"sub":"a"}'): string =>
  `${base64url.encode(header)}.${base64url.encode(payload)}.c2lnbmF0dXJl`;
/** The text as an encoder for plain base64 writes it, with padding. */
const plainBase64 = (header: string, payload = '{"sub":"a"}'): string => `${btoa(header)}.${btoa(payload)}.c2ln/+YQ==`;

describe('a JWT is found, however its header is written', () => {
  it.each([
    ['a space behind the brace', '{ "alg":"ES256"}'],
    ['a line break behind the brace', '{\n  "alg": "ES256"\n}'],
    ['a Windows line break behind the brace', '{\r\n"alg":"ES256"}'],
    ['a tab behind the brace', '{\t"alg":"ES256"}'],
    ['a hundred spaces behind the brace', `{${' '.repeat(100)}"alg":"ES256"}`],
    ['a space in front of the brace', ' {"alg":"ES256"}'],
    ['two spaces in front of the brace', '  {"alg":"ES256"}'],
    ['a line break in front and one behind', '\n{\n"alg":"ES256"}'],
    ['a byte order mark', '\u{FEFF}{ "alg":"ES256"}'],
    ['spaces around the colon', '{ "alg" : "ES256" }'],
    ['its type first', '{"typ":"JWT","alg":"ES256"}'],
    ['its type first, behind a space', '{ "typ":"JWT","alg":"ES256"}'],
    ['a digit first', '{"1":0,"alg":"ES256"}'],
    ['a name beyond ASCII first', '{"é":0,"alg":"ES256"}'],
    ['an escape first', String.raw`{"\u0061lg":"ES256"}`],
    ['a quote in its first name', String.raw`{"\"":0,"alg":"ES256"}`],
    ['an empty name first', '{"":0,"alg":"ES256"}'],
  ])('%s', (_case, header) => {
    expect(redact(compact(header))).not.toContain('c2lnbmF0dXJl');
    expect(redact(`see ${compact(header)} there`)).toMatch(/^see .*\[redacted\] there$/);
    for (const glued of ['x', 'xy', 'xyz', 'token=', 'a.b.'])
      expect(containsSecret(glued + compact(header))).toBe(true);
  });

  it.each([
    ['in plain base64 with padding', plainBase64('{"alg":"ES256"}', '{"sub":"ab"}')],
    ['in plain base64 with a plus and a slash', plainBase64('{"kid":"~~~???>>>","alg":"ES256"}')],
    ['in plain base64, spaced', plainBase64('{ "alg":"ES256" }')],
    ['behind a parameter', `token=${plainBase64('{"alg":"ES256"}')}`],
    ['in a path', `https://ci.example/log/${compact('{ "alg":"ES256"}')}`],
    ['encrypted, spaced', `${base64url.encode('{ "alg":"RSA-OAEP","enc":"A256GCM"}')}.a2V5.aXY.Y3Q.dGFn`],
    ['encrypted with an empty key, spaced', `${base64url.encode('{ "alg":"dir"}')}..aXY.Y3Q.dGFn`],
    ['without a signature, spaced', compact('{ "alg":"none"}').replace(/[^.]*$/, '')],
    ['of which the header was cut off, spaced', compact('{}', '{ "sub":"a"}').replace(/^[^.]*\./, '')],
    ['with a zero-width space in it', jwt.replace('J', 'J\u{200B}')],
    ['with a zero-width space behind each character', jwt.replaceAll(/./g, '$&\u{200B}')],
    ['with a soft hyphen in it', jwt.replace('.', '.\u{AD}')],
    ['with a variation selector in it', jwt.replace('.', '\u{FE0F}.')],
    ['with a tag in it', jwt.replace('G', 'G\u{E0041}')],
  ])('%s', (_case, text) => {
    expect(containsSecret(text)).toBe(true);
    expect(redact(text)).toMatch(/\[redacted\]$/);
    expect(redact(text)).not.toMatch(/c2ln|dGFn/);
  });

  it.each(['\u{200B}', '\u{2060}', '\u{FEFF}', '\u{AD}', '\u{3164}', '\u{E0020}'])(
    'a token secret too, with U+%s in it',
    (invisible) => {
      expect(redact(`for ${secret.replace('_', `_${invisible}`)}!`)).toBe('for [redacted]!');
    },
  );

  it('any object with a member, written with any white space, in either alphabet, behind anything', () => {
    const space = fc.stringMatching(/^[ \t\r\n]{0,5}$/);
    const header = fc
      .tuple(space, space, fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1, noNullPrototype: true }), space)
      .map(([before, behind, object, end]) => `${before}{${behind}${JSON.stringify(object).slice(1)}${end}`);
    const encode = fc.constantFrom<(text: string) => string>(
      (text) => base64url.encode(text),
      (text) => btoa(String.fromCodePoint(...new TextEncoder().encode(text))),
    );
    fc.assert(
      fc.property(header, encode, fc.stringMatching(/^[A-Za-z0-9 ]{0,6}$/), (text, encoder, front) => {
        fc.pre(encoder(text).replaceAll('=', '').length >= 11);
        expect(containsSecret(`${front}${encoder(text)}.eyJhIjoxfQ.c2lnbmF0dXJl`)).toBe(true);
      }),
      { numRuns: 500 },
    );
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
    ['a joined emoji', 'team 👩‍👩‍👧 ❤️'],
    ['a path', 'src/config/limits-of-everything.ts'],
    ['base64 of prose before a dot', 'TG9yZW0gaXBzdW0gZG9sb3Igc2l0.txt'],
    ['base64 of a list before a dot', `${btoa('["alg","ES256"]')}.x`],
    ['base64 of an object without a member before a dot', `${btoa('{           }')}.x`],
    ['base64 of braces and quotes without a colon', `${btoa('{ "alg"} { "typ"}')}.x`],
    ['base64 of an object without a dot', btoa('{ "alg":"ES256" }')],
    ['JSON itself', '{ "alg":"ES256" }.x'],
    ['parameters and dots', 'a=b.c=d&host=www.example.com'],
    ['a version', 'v1.2.3-rc.1+build.5'],
  ])('%s', (_case, text) => {
    expect(redact(text)).toBe(text);
    expect(containsSecret(text)).toBe(false);
  });
});

it('stays linear on text made to make a pattern backtrack', () => {
  // Quadratic work on a megabyte would take many minutes, so this would never end.
  const length = 1024 * 1024;
  const opening = btoa('{"\\{"');
  for (const unit of [
    'eyJ',
    'sat_',
    'sat_.',
    'eyJ.',
    'a',
    '=',
    '=.',
    'a=',
    'e3si',
    'eyIi',
    'ICAg',
    opening,
    '\u{200B}',
  ]) {
    const text = unit.repeat(length / unit.length);
    for (const end of ['', '.']) expect(redact(text + end).length).toBeLessThanOrEqual(text.length + 1);
  }
});

it('a secret of any form that a create accepts is known as a secret', () => {
  // src/pipeops/wire.ts takes /^sat_[\x21-\x7e]+$/ as a secret.
  expect(containsSecret('sat_ab+cd/efghijklmnopqrstuv==')).toBe(true);
});
