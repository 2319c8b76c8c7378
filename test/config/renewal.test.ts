import { describe, expect, it } from 'vitest';
import { readRenewal, renewalAdvice } from '../../src/config/renewal.ts';

const KEY = btoa('a-key-of-thirty-two-bytes-or-more');
const REFRESH = 'rt-the-refresh-token-of-a-session';
const FULL = { PIPEOPS_REFRESH_TOKEN: REFRESH, PIPEOPS_CLIENT_ID: 'pipeops_public_client', CREDENTIAL_SEAL_KEY: KEY };

describe('the renewal', () => {
  it.each<[string, unknown]>([
    ['nothing is set', {}],
    ['the seal key alone is set', { CREDENTIAL_SEAL_KEY: KEY }],
    ['all but the refresh token are set', { ...FULL, PIPEOPS_REFRESH_TOKEN: undefined }],
    ['there is no environment', null],
  ])('is off where %s', (_, env) => {
    expect(readRenewal(env)).toEqual({ ok: true, value: null });
  });

  it('is on where it has what it needs', () => {
    expect(readRenewal(FULL)).toMatchObject({
      ok: true,
      value: { refreshToken: REFRESH, clientId: 'pipeops_public_client', clientSecret: null },
    });
    expect(readRenewal({ ...FULL, PIPEOPS_CLIENT_SECRET: 's3cret' })).toMatchObject({
      ok: true,
      value: { clientSecret: 's3cret' },
    });
  });

  it('seals under the first of several keys, and opens under any', () => {
    const read = readRenewal({ ...FULL, CREDENTIAL_SEAL_KEY: `${KEY}, ${KEY.replace('a', 'b')}` });
    expect(read.ok && read.value?.sealKeys).toHaveLength(2);
  });

  it.each<[string, object, string, RegExp]>([
    ['no client', { PIPEOPS_CLIENT_ID: undefined }, 'PIPEOPS_CLIENT_ID', /missing: PIPEOPS_REFRESH_TOKEN needs it/],
    [
      'no seal key',
      { CREDENTIAL_SEAL_KEY: undefined },
      'CREDENTIAL_SEAL_KEY',
      /missing: PIPEOPS_REFRESH_TOKEN needs it/,
    ],
    ['an empty client', { PIPEOPS_CLIENT_ID: '' }, 'PIPEOPS_CLIENT_ID', /empty/],
    ['an empty client secret', { PIPEOPS_CLIENT_SECRET: '' }, 'PIPEOPS_CLIENT_SECRET', /empty/],
    ['an empty refresh token', { PIPEOPS_REFRESH_TOKEN: '' }, 'PIPEOPS_REFRESH_TOKEN', /empty/],
    ['a refresh token of two lines', { PIPEOPS_REFRESH_TOKEN: `${REFRESH}\n` }, 'PIPEOPS_REFRESH_TOKEN', /one line/],
    ['a short refresh token', { PIPEOPS_REFRESH_TOKEN: 'short' }, 'PIPEOPS_REFRESH_TOKEN', /guessed/],
    ['a service token', { PIPEOPS_REFRESH_TOKEN: 'sat_0123456789abcdef' }, 'PIPEOPS_REFRESH_TOKEN', /service token/],
    ['the access token', { PIPEOPS_ADMIN_TOKEN: REFRESH }, 'PIPEOPS_REFRESH_TOKEN', /same as PIPEOPS_ADMIN_TOKEN/],
    ['a short key', { CREDENTIAL_SEAL_KEY: 'c2hvcnQ=' }, 'CREDENTIAL_SEAL_KEY', /32 bytes/],
    ['a key that is no base64', { CREDENTIAL_SEAL_KEY: `${KEY},?` }, 'CREDENTIAL_SEAL_KEY', /base64/],
  ])('is refused with %s', (_, change, key, problem) => {
    const read = readRenewal({ ...FULL, ...change });
    expect(read).toEqual({
      ok: false,
      error: expect.arrayContaining([expect.objectContaining({ key, problem: expect.stringMatching(problem) })]),
    });
    expect(JSON.stringify(read)).not.toContain(REFRESH);
  });

  it.each<[string, object]>([
    ['all is set', FULL],
    ['nothing is set', {}],
    ['only the seal key is set', { CREDENTIAL_SEAL_KEY: KEY }],
  ])('is no matter for the doctor where %s', (_, env) => {
    expect(renewalAdvice({ ...env })).toEqual([]);
  });

  it.each<[string, object, string]>([
    ['the client is set', { PIPEOPS_CLIENT_ID: 'c' }, 'PIPEOPS_CLIENT_ID has no effect'],
    [
      'client and secret are set',
      { PIPEOPS_CLIENT_ID: 'c', PIPEOPS_CLIENT_SECRET: 's' },
      'PIPEOPS_CLIENT_ID and PIPEOPS_CLIENT_SECRET have no effect',
    ],
  ])('is half configured, as the doctor says, where only %s', (_, env, told) => {
    const problem = expect.stringContaining(told);
    expect(renewalAdvice({ ...env })).toEqual([expect.objectContaining({ key: 'PIPEOPS_REFRESH_TOKEN', problem })]);
  });
});
