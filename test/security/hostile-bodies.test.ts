import { beforeAll, describe, expect, it } from 'vitest';
import { askedIn } from '../support/audit-detail.ts';
import { REQUEST_BODY_MAX_BYTES, REQUEST_JSON_MAX_DEPTH } from '../../src/config/limits.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { badRequest, expectRefused, receivedBy, rowsOf } from './expectations.ts';

// Bodies that are not what they should be, on both routes that read one.

let harness: Harness;
let id: string;
beforeAll(async () => {
  harness = await createHarness();
  id = (await harness.mint()).id;
});

const targets = (): readonly (readonly [string, string])[] => [
  ['POST', TOKENS],
  ['PATCH', `${TOKENS}/${id}`],
];
async function expectBadBody(rawBody: BodyInit, refusal: ReturnType<typeof badRequest>, contentType?: string) {
  const headers = contentType === undefined ? {} : { 'Content-Type': contentType };
  for (const [method, path] of targets()) {
    await expectRefused(harness, async () => await harness.send(method, path, { rawBody, headers }), refusal);
  }
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const nested = (levels: number, [open, close]: readonly [string, string] = ['{"a":', '}']): string =>
  `{"scopes":["api:read"],"name":${open.repeat(levels - 1)}1${close.repeat(levels - 1)}}`;
const ofBytes = (size: number): string => `{"scopes":["api:read"],"name":"${'x'.repeat(size - 33)}"}`;

describe('not a JSON object', () => {
  it.each<[string, BodyInit]>([
    ['nothing', ''],
    ['spaces', ' \n\t '],
    ['text', 'name=deploy'],
    ['half an object', '{"name":"deploy"'],
    ['two objects', '{"name":"a"}{"name":"b"}'],
    ['an object and a NUL', '{"name":"a"}\0'],
    ['a list', '[{"name":"a"}]'],
    ['a string', '"name"'],
    ['a number', '1'],
    ['true', 'true'],
    ['null', 'null'],
    ['NaN', 'NaN'],
    ['an object with NaN', '{"name":NaN}'],
    ['an object with Infinity', '{"expires_in":-Infinity}'],
    ['an object with undefined', '{"name":undefined}'],
    ['a hexadecimal number', '{"expires_in":0x10}'],
    ['a number with a leading zero', '{"expires_in":010}'],
    ['single quotes', "{'name':'a'}"],
    ['a comment', '{"name":"a"/* */}'],
    ['a trailing comma', '{"name":"a",}'],
    ['a raw control character', '{"name":"a\u0001"}'],
    ['XML', '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'],
    ['bytes that are no UTF-8', Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['a surrogate as bytes', Uint8Array.from([...bytesOf('{"name":"'), 0xed, 0xa0, 0x80, ...bytesOf('"}')])],
    ['UTF-16', new Uint8Array(Uint16Array.from(bytesOf('{"name":"a"}')).buffer)],
  ])('%s is refused', async (_name, rawBody) => {
    await expectBadBody(rawBody, badRequest('invalid_json'));
  });
});

describe('deep JSON', () => {
  it('as deep as is read is judged by its fields', async () => {
    const deepest = nested(REQUEST_JSON_MAX_DEPTH);
    await expectBadBody(deepest, badRequest('validation_failed', ['name']));
  });

  it.each<[string, string]>([
    ['one level more', nested(REQUEST_JSON_MAX_DEPTH + 1)],
    ['one level more, of lists', nested(REQUEST_JSON_MAX_DEPTH + 1, ['[', ']'])],
    ['thousands of objects', nested(2500)],
    ['thousands of lists', nested(8000, ['[', ']'])],
    ['thousands of lists that are never closed', `{"name":${'['.repeat(16_000)}`],
  ])('%s is refused', async (_name, rawBody) => {
    await expectBadBody(rawBody, badRequest('invalid_json'));
  });
});

describe('size', () => {
  it('of 16 KiB is read', async () => {
    await expectBadBody(ofBytes(REQUEST_BODY_MAX_BYTES), badRequest('validation_failed', ['name']));
  });

  it.each<[string, () => BodyInit]>([
    ['of one byte more', () => ofBytes(REQUEST_BODY_MAX_BYTES + 1)],
    ['of one byte more, all spaces', () => `{"name":"a"}${' '.repeat(REQUEST_BODY_MAX_BYTES)}`],
    ['of a megabyte', () => ofBytes(1024 * 1024)],
    ['in characters of four bytes', () => `{"name":"${'🔑'.repeat(REQUEST_BODY_MAX_BYTES / 4)}"}`],
  ])('%s is refused', async (_name, rawBody) => {
    await expectBadBody(rawBody(), badRequest('body_too_large'));
  });

  it('that is not announced is counted all the same', async () => {
    for (const [method, path] of targets()) {
      const chunk = new TextEncoder().encode(' '.repeat(4096));
      let sent = 0;
      const endless = new ReadableStream({
        pull: (controller) => {
          sent += 1;
          if (sent > 100) controller.error(new Error('read on and on'));
          else controller.enqueue(chunk);
        },
      });
      await expectRefused(
        harness,
        async () => await harness.send(method, path, { rawBody: endless }),
        badRequest('body_too_large'),
      );
      expect(sent, 'chunks that were read').toBeLessThan(10);
    }
  });
});

describe('another content type', () => {
  it.each([
    'text/plain',
    'text/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/merge-patch+json',
    'application/jsonp',
    'application/json, text/plain',
    'application/json; charset=utf-16',
    'application/json; charset=utf-7',
    'application/json; charset=utf-8; charset=utf-16',
    'xapplication/json',
  ])('%s is refused', async (contentType) => {
    await expectBadBody('{"name":"a","scopes":["api:read"]}', badRequest('unsupported_media_type'), contentType);
  });

  it.each(['gzip', 'br', 'identity, gzip'])('%s as its coding is refused', async (coding) => {
    const headers = { 'Content-Encoding': coding };
    for (const [method, path] of targets()) {
      await expectRefused(
        harness,
        async () => await harness.send(method, path, { rawBody: '{"name":"a"}', headers }),
        badRequest('unsupported_media_type'),
      );
    }
  });
});

describe('keys of the language', () => {
  const KEYS = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '__defineGetter__'];
  const pollution = '{"polluted":true,"permissions":["api:write"],"role":"admin"}';

  it.each(KEYS)('%s in a body is an unknown field', async (key) => {
    const rawBody = `{"${key}":${pollution},"name":"a","scopes":["api:read"]}`;
    for (const [method, path] of targets()) {
      await expectRefused(
        harness,
        async () => await harness.send(method, path, { rawBody }),
        badRequest('invalid_request', [key]),
      );
    }
    expect('polluted' in {}).toBe(false);
  });

  it.each(KEYS)('%s in metadata is an unknown field', async (key) => {
    const rawBody = `{"metadata":{"${key}":${pollution}},"name":"a","scopes":["api:read"]}`;
    await expectRefused(
      harness,
      async () => await harness.send('POST', TOKENS, { rawBody }),
      badRequest('invalid_request', [`metadata.${key}`]),
    );
    expect('polluted' in {}).toBe(false);
  });

  it.each(['__proto__', 'constructor.prototype.polluted', 'toString'])(
    '%s in a query is an unknown parameter',
    async (key) => {
      for (const path of [TOKENS, `${TOKENS}/${id}`, '/api/v1/audit/events', '/api/v1/status', '/api/v1/whoami']) {
        await expectRefused(
          harness,
          async () => await harness.send('GET', `${path}?${key}=true`),
          badRequest('invalid_request', [key]),
        );
      }
      expect('polluted' in {}).toBe(false);
    },
  );

  it.each(['__proto__[polluted]', 'constructor[prototype][polluted]', 'workspace_uuid[]', 'workspace_uuid[$ne]'])(
    '%s in a query is an unknown parameter, not an object',
    async (key) => {
      await expectRefused(
        harness,
        async () => await harness.send('GET', `${TOKENS}?${encodeURIComponent(key)}=true`),
        badRequest('invalid_request', ['query']),
      );
      expect('polluted' in {}).toBe(false);
    },
  );

  it('as a value they are texts like any other', async () => {
    const answer = await harness.send('POST', TOKENS, { body: { name: '__proto__', scopes: ['api:read'] } });
    expect([answer.status, answer.body.data.name]).toEqual([201, '__proto__']);
  });
});

it('a field given twice means the same to PipeOps and to the trail: its last value', async () => {
  await harness.control.clearRequests({ credential: harness.credential });
  const rawBody = '{"name":"first","scopes":["api:write"],"name":"second","scopes":["api:read"]}';
  const answer = await harness.send('POST', TOKENS, { rawBody });
  expect(answer.status).toBe(201);
  const [sent] = await receivedBy(harness);
  expect(sent?.body).toMatchObject({ name: expect.stringMatching(/^second-csgn-/), scopes: ['api:read'] });
  const [row] = await rowsOf(answer);
  expect([row?.token_name, askedIn(row)]).toEqual(['second', { scopes: ['api:read'] }]);
});
