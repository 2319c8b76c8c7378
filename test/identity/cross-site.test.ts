import { describe, expect, it } from 'vitest';
import { isCrossSiteMutation } from '../../src/identity/authenticator.ts';

const URL_HERE = 'https://tokens.acme.example:8443/api/v1/service-account-tokens?x=1';
const HERE = 'https://tokens.acme.example:8443';

const cases: [string, string, Record<string, string>, boolean][] = [
  ['a read without either header', 'GET', {}, false],
  ['a read from another site', 'GET', { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' }, false],
  ['a HEAD from another site', 'HEAD', { 'Sec-Fetch-Site': 'cross-site' }, false],
  ['a mutation without either header', 'POST', {}, true],
  ['a mutation that says same-origin', 'POST', { 'Sec-Fetch-Site': 'same-origin' }, false],
  ['a mutation with our origin', 'PATCH', { Origin: HERE }, false],
  ['a mutation with both', 'DELETE', { 'Sec-Fetch-Site': 'same-origin', Origin: HERE }, false],
  ['a mutation from a sibling site', 'POST', { 'Sec-Fetch-Site': 'same-site', Origin: HERE }, true],
  ['a mutation from another site', 'POST', { 'Sec-Fetch-Site': 'cross-site' }, true],
  ['a mutation begun by no page', 'POST', { 'Sec-Fetch-Site': 'none' }, true],
  [
    'same-origin with another origin',
    'POST',
    { 'Sec-Fetch-Site': 'same-origin', Origin: 'https://evil.example' },
    true,
  ],
  ['an opaque origin', 'DELETE', { Origin: 'null' }, true],
  ['our host on another port', 'POST', { Origin: 'https://tokens.acme.example' }, true],
  ['our host on another scheme', 'POST', { Origin: 'http://tokens.acme.example:8443' }, true],
  ['our origin as a prefix', 'POST', { Origin: `${HERE}.evil.example` }, true],
  ['an unknown method', 'PURGE', {}, true],
];

describe('a request under the Access header', () => {
  it.each(cases)('%s', (_name, method, headers, expected) => {
    expect(isCrossSiteMutation({ method, url: URL_HERE, headers: new Headers(headers) })).toBe(expected);
  });
});
