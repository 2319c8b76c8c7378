import { beforeAll, describe, expect, it } from 'vitest';
import { readIdempotencyKey } from '../../src/idempotency/header.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { create, createIdempotencyHarness, posts } from './harness.ts';

const UUID = '8e03978e-40d5-43dd-bc93-6894a57f9324';

describe('the header', () => {
  it.each([
    ['quoted, as the draft wants it', `"${UUID}"`, UUID],
    ['bare, as clients send it', UUID, UUID],
    ['of one character', 'k', 'k'],
    ['of 255 characters', 'k'.repeat(255), 'k'.repeat(255)],
    ['of 255 characters in quotes', `"${'k'.repeat(255)}"`, 'k'.repeat(255)],
    ['with escapes', String.raw`"a\"b\\c"`, String.raw`a"b\c`],
    ['with a comma in quotes', '"a,b"', 'a,b'],
    ['of every other visible character', "!#$%&'()*+-./:;<=>?@[]^_`{|}~", "!#$%&'()*+-./:;<=>?@[]^_`{|}~"],
  ])('is read %s', (_form, header, key) => {
    expect(readIdempotencyKey(header)).toEqual({ ok: true, value: key });
  });

  it('is not needed', () => {
    expect(readIdempotencyKey(null)).toEqual({ ok: true, value: null });
  });

  it.each([
    ['empty', ''],
    ['empty in quotes', '""'],
    ['of 256 characters', 'k'.repeat(256)],
    ['of 256 characters in quotes', `"${'k'.repeat(256)}"`],
    ['given twice', `${UUID}, ${UUID}`],
    ['given twice without a space', 'a,b'],
    ['given twice in quotes', '"a", "b"'],
    ['with a space', 'a b'],
    ['with a space in quotes', '"a b"'],
    ['with an open quote', '"a'],
    ['with a quote inside', 'a"b'],
    ['with a backslash', String.raw`a\b`],
    ['with another escape', String.raw`"a\n"`],
    ['with a parameter', '"a";b=1'],
    ['that is not ASCII', 'schlüssel'],
    ['with a control character', 'a\u0001b'],
    ['of two lines', 'a\nb'],
    ['that is a byte sequence', '"a"b'],
  ])('is refused %s', (_form, header) => {
    expect(readIdempotencyKey(header)).toMatchObject({
      ok: false,
      error: { kind: 'invalid_request', errors: { 'Idempotency-Key': [expect.stringContaining('1 to 255')] } },
    });
  });

  it.each([
    ['a token', 'sat_0123456789abcdef'],
    ['a token in quotes', '"sat_0123456789abcdef"'],
    ['a JWT', 'eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl'],
  ])('is refused if it looks like %s', (_what, header) => {
    const read = readIdempotencyKey(header);
    expect(read).toMatchObject({ ok: false, error: { kind: 'validation_failed' } });
    expect(JSON.stringify(read)).not.toContain(header.replaceAll('"', ''));
  });
});

describe('over HTTP', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await createHarness();
  });

  it.each([
    ['malformed', 'a b', 400, 'invalid_request'],
    ['a secret', 'sat_0123456789abcdef', 422, 'validation_failed'],
  ])('%s: nothing is recorded or minted', async (_case, key, status, code) => {
    const answer = await create(harness, key);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(Object.keys(answer.body.errors)).toEqual(['Idempotency-Key']);
    expect(await harness.rows()).toEqual([]);
    expect(await posts(harness)).toBe(0);
  });

  it('two headers are one malformed value', async () => {
    const request = new Request(`https://countersign.example${TOKENS}`, {
      method: 'POST',
      headers: [
        ['Authorization', `Bearer ${await harness.jwtFor('admin')}`],
        ['Content-Type', 'application/json'],
        ['Idempotency-Key', 'one'],
        ['Idempotency-Key', 'two'],
      ],
      body: '{"name":"deploy","scopes":["api:read"]}',
    });
    const answer = await harness.worker.fetch(request);
    expect([answer.status, await answer.json()]).toMatchObject([400, { code: 'invalid_request' }]);
  });

  it('is the same key in quotes and without', async () => {
    const h = await createIdempotencyHarness();
    const first = await create(h, UUID);
    const second = await create(h, `"${UUID}"`);
    expect([first.status, second.status, second.body.data]).toEqual([201, 201, first.body.data]);
    expect(await posts(h)).toBe(1);
  });

  it('means nothing on other routes', async () => {
    const h = await createIdempotencyHarness();
    const { id } = await h.mint();
    const headers = { 'Idempotency-Key': 'a b' };
    const rename = await h.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' }, headers });
    const list = await h.send('GET', TOKENS, { headers });
    const revoke = await h.send('DELETE', `${TOKENS}/${id}`, { headers });
    expect([rename.status, list.status, revoke.status]).toEqual([200, 200, 200]);
  });
});
