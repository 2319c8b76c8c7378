import { describe, expect, it } from 'vitest';
import { readJsonBody } from '../../src/http/body.ts';

const MAX_BYTES = 16 * 1024;

const post = (body: BodyInit | null, headers: Record<string, string> = { 'Content-Type': 'application/json' }) =>
  readJsonBody(new Request('https://countersign.example/', { method: 'POST', headers, body }));

const nested = (levels: number): string => `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;
const ofBytes = (size: number): string => `{"a":"${'x'.repeat(size - 8)}"}`;

describe('a JSON object in UTF-8 is read', () => {
  it.each([
    ['an object', '{"name":"Prüfung 🔑"}', { name: 'Prüfung 🔑' }],
    ['an empty object', '{}', {}],
    ['with a byte order mark and spaces', '\uFEFF \n{"a":1}\n', { a: 1 }],
    ['of eight levels', nested(8), JSON.parse(nested(8))],
    ['of as many bytes as allowed', ofBytes(MAX_BYTES), JSON.parse(ofBytes(MAX_BYTES))],
  ])('%s', async (_case, body, value) => {
    expect(await post(body)).toEqual({ ok: true, value });
  });

  it.each([
    'application/json',
    'Application/JSON',
    'application/json;charset=utf-8',
    'application/json; charset="UTF-8"',
    'application/json; version=1',
  ])('as %s', async (contentType) => {
    expect(await post('{}', { 'Content-Type': contentType })).toMatchObject({ ok: true });
  });

  it('in any number of pieces, cut within a character', async () => {
    const bytes = new TextEncoder().encode('{"name":"🔑é"}');
    const body = new ReadableStream({
      start: (controller) => {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    expect(await post(body)).toEqual({ ok: true, value: { name: '🔑é' } });
  });

  it('with keys such as __proto__ as plain keys', async () => {
    const read = await post('{"__proto__":{"admin":true},"constructor":1}');
    expect(read).toMatchObject({ ok: true });
    if (!read.ok) return;
    expect(Object.keys(read.value)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(read.value)).toBe(Object.prototype);
    expect('admin' in {}).toBe(false);
  });
});

describe('what is no JSON object: invalid_json', () => {
  it.each([
    ['an empty body', ''],
    ['no body', null],
    ['spaces', '  '],
    ['half an object', '{"name":'],
    ['two objects', '{}{}'],
    ['text', 'name=shop'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a string', '"{}"'],
    ['NaN', '{"expires_in":NaN}'],
    ['a comment', '{}//'],
    ['bytes that are not UTF-8', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)],
    ['half a character at the end', Uint8Array.of(0x7b, 0x7d, 0xc3)],
    ['a surrogate in UTF-8', Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d)],
    ['UTF-16', new Uint8Array(Uint16Array.from('{}', (char) => char.charCodeAt(0)).buffer)],
    ['nine levels', nested(9)],
    ['nine levels of lists', `{"a":${'['.repeat(8)}${']'.repeat(8)}}`],
    ['as many levels as a body can hold', '['.repeat(MAX_BYTES)],
    ['that many, closed', `{"a":${'['.repeat(8000)}${']'.repeat(8000)}}`],
  ])('%s', async (_case, body) => {
    expect(await post(body)).toEqual({ ok: false, error: { kind: 'invalid_json' } });
  });

  it('a sender that breaks off', async () => {
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('{"a":1')),
      pull: (controller) => controller.error(new Error('gone')),
    });
    expect(await post(body)).toEqual({ ok: false, error: { kind: 'invalid_json' } });
  });
});

describe('another type of body: unsupported_media_type', () => {
  it.each([
    ['none', {}],
    ['text', { 'Content-Type': 'text/plain' }],
    ['a form', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['JSON of another kind', { 'Content-Type': 'application/merge-patch+json' }],
    ['a longer name', { 'Content-Type': 'application/jsonp' }],
    ['two types', { 'Content-Type': 'application/json, text/plain' }],
    ['another charset', { 'Content-Type': 'application/json; charset=iso-8859-1' }],
    ['two charsets', { 'Content-Type': 'application/json; charset=utf-8; charset=utf-16' }],
    ['a compressed body', { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }],
  ])('%s', async (_case, headers) => {
    const body = new TextEncoder().encode('{}');
    expect(await post(body, headers)).toEqual({ ok: false, error: { kind: 'unsupported_media_type' } });
  });
});

describe('over 16 KiB: body_too_large', () => {
  it('by one byte', async () => {
    expect(await post(ofBytes(MAX_BYTES + 1))).toEqual({
      ok: false,
      error: { kind: 'body_too_large', maxBytes: MAX_BYTES },
    });
  });

  it('counted in bytes, not in characters', async () => {
    expect(await post(`{"a":"${'é'.repeat(MAX_BYTES / 2)}"}`)).toEqual({
      ok: false,
      error: { kind: 'body_too_large', maxBytes: MAX_BYTES },
    });
  });

  it('by what the header says, without reading', async () => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': String(MAX_BYTES + 1) };
    expect(await post('{}', headers)).toEqual({ ok: false, error: { kind: 'body_too_large', maxBytes: MAX_BYTES } });
  });

  it('without a length and without end, and stops reading', async () => {
    let pieces = 0;
    let cancelled = false;
    const body = new ReadableStream({
      pull: (controller) => {
        pieces += 1;
        controller.enqueue(new Uint8Array(1024));
      },
      cancel: () => {
        cancelled = true;
      },
    });
    expect(await post(body)).toEqual({ ok: false, error: { kind: 'body_too_large', maxBytes: MAX_BYTES } });
    expect(cancelled).toBe(true);
    expect(pieces).toBeLessThan(32);
  });
});
