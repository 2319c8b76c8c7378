import { describe, expect, it } from 'vitest';
import { findCredentials } from '../../src/identity/authenticator.ts';
import { JWT_MAX_BYTES } from '../../src/config/limits.ts';

const JWT = 'aGVhZA.Ym9keQ.c2ln';
const ACCESS = 'Cf-Access-Jwt-Assertion';

const missing = { kind: 'credentials_missing' };
const rejected = (reason: string) => ({ kind: 'token_rejected', reason });

const oversized = `${'a'.repeat(JWT_MAX_BYTES - 3)}.b.c`;
const atTheLimit = `${'a'.repeat(JWT_MAX_BYTES - 4)}.b.c`;

const accepted: [string, HeadersInit, { token: string; header: string }][] = [
  ['Bearer', { Authorization: `Bearer ${JWT}` }, { token: JWT, header: 'Authorization' }],
  ['the scheme in any case', { Authorization: `bEARER ${JWT}` }, { token: JWT, header: 'Authorization' }],
  ['several spaces after the scheme', { Authorization: `Bearer   ${JWT}` }, { token: JWT, header: 'Authorization' }],
  [
    'an empty signature, for verification to refuse',
    { Authorization: 'Bearer a.b.' },
    { token: 'a.b.', header: 'Authorization' },
  ],
  [
    'a JWT of just the largest size',
    { Authorization: `Bearer ${atTheLimit}` },
    { token: atTheLimit, header: 'Authorization' },
  ],
  ['the Access header', { [ACCESS]: JWT }, { token: JWT, header: ACCESS }],
  [
    'Authorization where both are there',
    { Authorization: `Bearer ${JWT}`, [ACCESS]: 'x.y.z' },
    { token: JWT, header: 'Authorization' },
  ],
];

const refused: [string, HeadersInit, object][] = [
  ['no header', {}, missing],
  ['another scheme', { Authorization: 'Basic dXNlcjpwYXNz' }, missing],
  ['another scheme with a comma in it', { Authorization: 'Digest username="a", realm="b"' }, missing],
  ['a scheme that starts like ours', { Authorization: `BearerX ${JWT}` }, missing],
  ['a token without a scheme', { Authorization: JWT }, missing],
  ['an empty Authorization, even with an Access header', { Authorization: '', [ACCESS]: JWT }, missing],
  ['another scheme, even with an Access header', { Authorization: 'Basic dXNlcjpwYXNz', [ACCESS]: JWT }, missing],
  ['an empty Access header', { [ACCESS]: '' }, missing],
  ['a scheme without a token', { Authorization: 'Bearer' }, rejected('malformed')],
  ['two tokens with a space between', { Authorization: `Bearer ${JWT} ${JWT}` }, rejected('malformed')],
  [
    'two Authorization headers',
    [
      ['Authorization', `Bearer ${JWT}`],
      ['Authorization', `Bearer ${JWT}`],
    ],
    rejected('credentials_ambiguous'),
  ],
  [
    'ours after another scheme',
    [
      ['Authorization', 'Basic dXNlcjpwYXNz'],
      ['Authorization', `Bearer ${JWT}`],
    ],
    rejected('credentials_ambiguous'),
  ],
  ['two credentials in one header', { Authorization: `Bearer ${JWT},${JWT}` }, rejected('credentials_ambiguous')],
  [
    'two Access headers',
    [
      [ACCESS, JWT],
      [ACCESS, JWT],
    ],
    rejected('credentials_ambiguous'),
  ],
  ['a JWT over the limit', { Authorization: `Bearer ${oversized}` }, rejected('too_large')],
  ['an Access JWT over the limit', { [ACCESS]: oversized }, rejected('too_large')],
  ['no segments', { Authorization: 'Bearer abc' }, rejected('malformed')],
  ['two segments', { Authorization: 'Bearer a.b' }, rejected('malformed')],
  ['four segments', { Authorization: 'Bearer a.b.c.d' }, rejected('malformed')],
  ['the five segments of an encrypted JWT', { Authorization: 'Bearer a.b.c.d.e' }, rejected('malformed')],
  ['an empty header segment', { Authorization: 'Bearer .b.c' }, rejected('malformed')],
  ['an empty payload segment', { Authorization: 'Bearer a..c' }, rejected('malformed')],
  ['base64 with padding', { Authorization: 'Bearer YQ==.b.c' }, rejected('malformed')],
  ['base64 of the other alphabet', { Authorization: 'Bearer a+/.b.c' }, rejected('malformed')],
  ['white space inside a segment', { [ACCESS]: 'a.b b.c' }, rejected('malformed')],
];

describe('finding the JWT of a request', () => {
  it.each(accepted)('takes %s', (_name, headers, credentials) => {
    expect(findCredentials(new Headers(headers))).toEqual({ ok: true, value: credentials });
  });

  it.each(refused)('refuses %s', (_name, headers, error) => {
    expect(findCredentials(new Headers(headers))).toEqual({ ok: false, error });
  });
});
